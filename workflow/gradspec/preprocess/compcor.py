"""Components of noise: slow cosines, and principal components of tissues or of the most variable voxels.

Both forms of CompCor are those of Behzadi et al. (2007), NeuroImage 37, 90, after the high-pass filter of fMRIPrep:
the cosines are its own, column for column.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float

N_COMPONENTS = 5
COMPCOR_HIGH_PASS = 1 / 128
"""Cut-off, in Hz, of the cosines that are taken out before the components are found."""
_TEMPORAL_SHARE = 0.02  # most variable voxels of tCompCor


def cosine_basis(n_volumes: int, repetition_time: float, high_pass: float) -> Float[np.ndarray, "time cosine"]:
    """Discrete cosines slower than `high_pass`, orthonormal and without the constant.

    Parameters
    ----------
    n_volumes : int
        Length of the run.
    repetition_time : float
        In seconds.
    high_pass : float
        Cut-off, in Hz.

    Returns
    -------
    array, shape (time, cosine)
        Cosine k has frequency ``k / (2 n_volumes repetition_time)``; none is faster than the cut-off.
    """
    n_cosines = min(int(np.floor(2 * n_volumes * repetition_time * high_pass)), n_volumes - 1)
    phase = np.pi / n_volumes * (np.arange(n_volumes) + 0.5)
    basis: np.ndarray = np.sqrt(2 / n_volumes) * np.cos(phase[:, np.newaxis] * np.arange(1, n_cosines + 1))
    return basis


def compcor_cosines(n_volumes: int, repetition_time: float) -> Float[np.ndarray, "time cosine"]:
    """Cosines that fMRIPrep takes out before it finds components: those slower than 1/128 Hz, the fastest left out.

    nipype's `cosine_filter` counts the constant among the cosines that a run has room for, so that it has one fewer.

    Parameters
    ----------
    n_volumes : int
        Length of the run without dummy scans.
    repetition_time : float
        In seconds.
    """
    return cosine_basis(n_volumes, repetition_time, COMPCOR_HIGH_PASS)[:, :-1]


def make_compcor(
    brain: Float[np.ndarray, "time voxel"],
    tissues: Mapping[str, Bool[np.ndarray, " voxel"]],
    repetition_time: float,
    n_dummies: int = 0,
) -> dict[str, np.ndarray]:
    """Every CompCor column of the confounds table, and the cosines.

    Parameters
    ----------
    brain : array, shape (time, voxel)
        The run inside its brain mask.
    tissues : mapping of array of bool, shape (voxel,)
        The voxels of ``csf`` and of ``white_matter``.
    repetition_time : float
        In seconds.
    n_dummies : int
        Volumes at the start that say nothing of the noise; every column is 0 there.

    Returns
    -------
    dict of array, shape (time,)
        ``a_comp_cor_00`` and so on of both tissues together, ``c_comp_cor_00`` of liquor, ``w_comp_cor_00`` of white
        matter, ``t_comp_cor_00`` of the 2 % most variable voxels, all of unit length, and the ``cosine_00`` and so on
        that were taken out before them: a denoising that uses the components needs the cosines too.
    """
    steady = brain[n_dummies:]
    cosines = compcor_cosines(len(steady), repetition_time)
    liquor, white = tissues["csf"], tissues["white_matter"]
    found = {
        "a_comp_cor": noise_components(steady[:, liquor | white], cosines),
        "c_comp_cor": noise_components(steady[:, liquor], cosines),
        "w_comp_cor": noise_components(steady[:, white], cosines),
        "t_comp_cor": noise_components(steady[:, most_variable(steady, cosines)], cosines),
        "cosine": cosines,
    }
    return {
        f"{name}_{index:02d}": np.concatenate([np.zeros(n_dummies), column])
        for name, columns in found.items()
        for index, column in enumerate(columns.T)
    }


def noise_components(
    signals: Float[np.ndarray, "time voxel"], cosines: Float[np.ndarray, "time cosine"]
) -> Float[np.ndarray, "time component"]:
    """First principal components of signals whose mean and slow cosines are removed and whose variance is made one.

    Parameters
    ----------
    signals : array, shape (time, voxel)
        The run inside a region of noise.
    cosines : array, shape (time, cosine)
        Orthonormal, without the constant.

    Returns
    -------
    array, shape (time, component)
        At most `N_COMPONENTS`, of unit length; the largest entry of each is positive.
    """
    residual = _without(signals, cosines)
    spread = residual.std(axis=0)
    residual = residual[:, spread > 0] / spread[spread > 0]
    values, vectors = np.linalg.eigh(residual @ residual.T)
    components = vectors[:, np.argsort(values)[::-1][:N_COMPONENTS]]
    # The sign of an eigenvector is arbitrary: the largest entry is made positive, so that reruns agree.
    peak = components[np.abs(components).argmax(axis=0), np.arange(components.shape[1])]
    oriented: np.ndarray = components * np.where(peak < 0, -1.0, 1.0)
    return oriented


def most_variable(
    brain: Float[np.ndarray, "time voxel"], cosines: Float[np.ndarray, "time cosine"], block: int = 8192
) -> Bool[np.ndarray, " voxel"]:
    """Mark the 2 % of the voxels (at least `N_COMPONENTS`) that vary most once mean and cosines are removed."""
    variance = np.concatenate(  # blocks: no second copy of the run
        [_without(brain[:, first : first + block], cosines).var(axis=0) for first in range(0, brain.shape[1], block)]
    )
    n_chosen = min(len(variance), max(N_COMPONENTS, round(_TEMPORAL_SHARE * len(variance))))
    chosen = np.zeros(len(variance), dtype=bool)
    chosen[np.argsort(variance, kind="stable")[len(variance) - n_chosen :]] = True
    return chosen


def _without(
    signals: Float[np.ndarray, "time voxel"], cosines: Float[np.ndarray, "time cosine"]
) -> Float[np.ndarray, "time voxel"]:
    slow = np.column_stack([np.full(len(signals), len(signals) ** -0.5), cosines])
    residual: np.ndarray = signals - slow @ (slow.T @ signals)
    return residual
