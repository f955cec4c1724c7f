"""GIG-ICA one component after the other, as the equations of Du & Fan (2013) say it: slow and obvious."""

import numpy as np


def plain_gig_ica(signal: np.ndarray, template: np.ndarray, *, most: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Return maps (component, voxel) and time courses (time, component) of a run whose volumes are centred."""
    signal = signal.astype(np.float64)
    n_voxels = signal.shape[1]
    values, vectors = np.linalg.eigh(signal @ signal.T / n_voxels)
    kept = values > 1e-5 * values[-1]
    whitened = np.diag(values[kept] ** -0.5) @ vectors[:, kept].T @ signal
    maps = []
    for reference in template.astype(np.float64):
        reference = (reference - reference.mean()) / reference.std()
        b = whitened @ reference / n_voxels

        def gamma(w):
            y = w @ whitened
            return np.mean(np.log(np.cosh(y))) - 0.3745672075

        w = b / np.linalg.norm(b)
        c = np.tan(np.pi * (w @ b) / 2) / gamma(w) ** 2

        def objective(w, b=b, c=c, gamma=gamma):
            return 0.5 * (2 / np.pi) * np.arctan(c * gamma(w) ** 2) + 0.5 * (w @ b)

        step, evaluations = 1.0, 1
        while evaluations < most:
            y = w @ whitened
            j = gamma(w) ** 2
            independence = (2 / np.pi) * c / (1 + c**2 * j**2) * 2 * gamma(w)
            g = 0.5 * independence * (whitened @ np.tanh(y)) / n_voxels + 0.5 * b
            trial = w + step * g / np.linalg.norm(g)
            trial = trial / np.linalg.norm(trial)
            evaluations += 1
            change = np.sum((trial - w) ** 2)
            if objective(trial) - objective(w) >= 0.02 * step * np.linalg.norm(g):
                w = trial
            else:
                step = step / 2
            if change < 1e-5:
                break
        maps.append(w @ whitened)
    maps = np.stack(maps)
    return maps, signal @ maps.T / n_voxels
