"""The table of confounds, with fMRIPrep's columns and units.

Units: mm, rad, and arbitrary image units for signals. A first row that has no value (differences) is NaN.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from gradspec.errors import ParticipantError
from gradspec.preprocess.geometry import rigid_parameters

MOTION_COLUMNS = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
HEAD_RADIUS = 50.0
"""Radius, in mm, of the sphere on which Power turns rotations into displacements."""
N_COMPONENTS = 5
COMPCOR_HIGH_PASS = 1 / 128
"""Cut-off, in Hz, of the cosines that are taken out before aCompCor."""
MAX_FRAMEWISE_DISPLACEMENT = 0.5
MAX_STD_DVARS = 1.5
_MIN_TISSUE_VOXELS = 3


def make_confounds(
    brain: Float[np.ndarray, "time voxel"],
    tissues: Mapping[str, Bool[np.ndarray, " voxel"]],
    motion: Float[np.ndarray, "time 4 4"],
    centre: Float[np.ndarray, "axis=3"],
    repetition_time: float,
) -> pd.DataFrame:
    """Put the confounds of a run together.

    Parameters
    ----------
    brain : array, shape (time, voxel)
        The preprocessed run inside its brain mask.
    tissues : mapping of array of bool, shape (voxel,)
        The voxels of ``csf`` and of ``white_matter``.
    motion : array, shape (time, 4, 4)
        World matrices from the BOLD reference to each volume.
    centre : array, shape (3,)
        Point that rotations are about, in mm.
    repetition_time : float
        In seconds.

    Returns
    -------
    DataFrame
        A row a volume.

    Raises
    ------
    ParticipantError
        If a tissue has next to no voxels in the brain mask.
    """
    for name, voxels in tissues.items():
        if voxels.sum() < _MIN_TISSUE_VOXELS:
            raise ParticipantError(
                f"only {voxels.sum()} voxels of {name} lie in the brain mask of the run, at least "
                f"{_MIN_TISSUE_VOXELS} are needed: the registration failed, or the field of view misses the ventricles"
            )
    parameters = np.stack([rigid_parameters(matrix, centre) for matrix in motion])
    displacement = framewise_displacement(parameters)
    dvars, std_dvars = compute_dvars(brain)
    columns: dict[str, np.ndarray] = {
        "csf": brain[:, tissues["csf"]].mean(axis=1, dtype=float),
        "white_matter": brain[:, tissues["white_matter"]].mean(axis=1, dtype=float),
        "global_signal": brain.mean(axis=1, dtype=float),
        "framewise_displacement": displacement,
        "dvars": dvars,
        "std_dvars": std_dvars,
        **expand_motion(parameters),
        **anatomical_compcor(brain[:, tissues["csf"] | tissues["white_matter"]], repetition_time),
        **motion_outliers(displacement, std_dvars),
    }
    return pd.DataFrame(columns)


def framewise_displacement(parameters: Float[np.ndarray, "time parameter=6"]) -> Float[np.ndarray, " time"]:
    """Framewise displacement of Power et al. (2012), NeuroImage 59, 2142, in mm; the first is NaN."""
    change = np.abs(np.diff(parameters, axis=0))
    change[:, 3:] *= HEAD_RADIUS
    return np.concatenate([[np.nan], change.sum(axis=1)])


def expand_motion(parameters: Float[np.ndarray, "time parameter=6"]) -> dict[str, np.ndarray]:
    """Motion parameters, their backward differences, and the squares of both (Friston's 24 terms, as fMRIPrep)."""
    columns = {}
    for name, values in zip(MOTION_COLUMNS, parameters.T, strict=True):
        derivative = np.concatenate([[np.nan], np.diff(values)])
        columns[name] = values
        columns[f"{name}_derivative1"] = derivative
        columns[f"{name}_derivative1_power2"] = derivative**2
        columns[f"{name}_power2"] = values**2
    return columns


def compute_dvars(
    brain: Float[np.ndarray, "time voxel"],
) -> tuple[Float[np.ndarray, " time"], Float[np.ndarray, " time"]]:
    """DVARS and its standardised form (Nichols 2013, doi:10.1101/125021); the first of each is NaN.

    Parameters
    ----------
    brain : array, shape (time, voxel)
        The run inside its brain mask.

    Returns
    -------
    dvars : array, shape (time,)
        Root mean square of the change from the volume before, with the image scaled to a median of 1000.
    std_dvars : array, shape (time,)
        The same over its expectation for a steady first-order autoregression: a robust standard deviation of each
        voxel times ``sqrt(2 (1 - r))`` with r its lag-1 autocorrelation.
    """
    square = np.empty(len(brain) - 1)
    for index in range(len(brain) - 1):  # volume by volume: no second copy of the run
        square[index] = np.mean((brain[index + 1] - brain[index]) ** 2, dtype=float)
    robust_sd, autocorrelation = _noise_of_voxels(brain)
    expected = np.mean(2 * (1 - autocorrelation) * robust_sd**2)
    scale = 1000 / np.median(brain.mean(axis=0))
    dvars = np.concatenate([[np.nan], np.sqrt(square)])
    return scale * dvars, dvars / np.sqrt(expected)


def _noise_of_voxels(
    brain: Float[np.ndarray, "time voxel"], block: int = 8192
) -> tuple[Float[np.ndarray, " voxel"], Float[np.ndarray, " voxel"]]:
    """Robust standard deviation and lag-1 autocorrelation of each voxel, in blocks of voxels."""
    robust_sd, autocorrelation = np.zeros(brain.shape[1]), np.zeros(brain.shape[1])
    for first in range(0, brain.shape[1], block):
        part = brain[:, first : first + block].astype(float)
        lower, upper = np.percentile(part, [25, 75], axis=0, method="inverted_cdf")
        robust_sd[first : first + block] = (upper - lower) / 1.349
        part -= part.mean(axis=0)
        power = np.maximum((part**2).sum(axis=0), np.finfo(float).tiny)
        autocorrelation[first : first + block] = (part[1:] * part[:-1]).sum(axis=0) / power
    return robust_sd, autocorrelation


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


def anatomical_compcor(signals: Float[np.ndarray, "time voxel"], repetition_time: float) -> dict[str, np.ndarray]:
    """First components of white matter and liquor (Behzadi et al. 2007, NeuroImage 37, 90), and the cosines.

    Parameters
    ----------
    signals : array, shape (time, voxel)
        The run inside both tissues.
    repetition_time : float
        In seconds.

    Returns
    -------
    dict of array, shape (time,)
        ``a_comp_cor_00`` and so on, unit length, and the ``cosine_00`` and so on that were taken out before them:
        a denoising that uses the components needs the cosines too.
    """
    cosines = cosine_basis(len(signals), repetition_time, COMPCOR_HIGH_PASS)
    slow = np.column_stack([np.full(len(signals), len(signals) ** -0.5), cosines])
    residual = signals - slow @ (slow.T @ signals)
    spread = residual.std(axis=0)
    residual = residual[:, spread > 0] / spread[spread > 0]
    values, vectors = np.linalg.eigh(residual @ residual.T)
    components = vectors[:, np.argsort(values)[::-1][:N_COMPONENTS]]
    # The sign of an eigenvector is arbitrary: the largest entry is made positive, so that reruns agree.
    peak = components[np.abs(components).argmax(axis=0), np.arange(components.shape[1])]
    components = components * np.where(peak < 0, -1.0, 1.0)
    return {
        **{f"a_comp_cor_{index:02d}": column for index, column in enumerate(components.T)},
        **{f"cosine_{index:02d}": column for index, column in enumerate(cosines.T)},
    }


def motion_outliers(
    displacement: Float[np.ndarray, " time"], std_dvars: Float[np.ndarray, " time"]
) -> dict[str, np.ndarray]:
    """One column, with a single 1, for every volume that moved too far or changed too much."""
    outliers = np.flatnonzero((displacement > MAX_FRAMEWISE_DISPLACEMENT) | (std_dvars > MAX_STD_DVARS))
    width = max(2, len(str(len(outliers))))
    return {
        f"motion_outlier_{number:0{width}d}": (np.arange(len(displacement)) == volume).astype(int)
        for number, volume in enumerate(outliers)
    }


def describe_columns(columns: list[str]) -> dict[str, dict[str, str]]:
    """Describe confound columns for the sidecar of the table."""
    return {name: _describe(name) for name in columns}


def _describe(name: str) -> dict[str, str]:
    stem, axis = name.split("_")[0], name.split("_")[1] if "_" in name else ""
    if stem in ("trans", "rot"):
        what = "Translation along" if stem == "trans" else "Rotation about"
        unit = "mm" if stem == "trans" else "rad"
        text = f"{what} the world axis {axis} (RAS), from the BOLD reference to the volume, centre of the image fixed"
        if "derivative1" in name:
            text += "; difference from the volume before"
        if name.endswith("power2"):
            text, unit = f"{text}; squared", f"{unit}^2"
        return {"Description": text, "Units": unit}
    for prefix, text in _DESCRIPTIONS.items():
        if name.startswith(prefix):
            unit = "mm" if prefix == "framewise_displacement" else "arbitrary"
            return {"Description": text, "Units": unit}
    raise ValueError(f"no description of confound {name!r}")


_DESCRIPTIONS = {
    "csf": "Mean signal of the ventricles (template mask, eroded)",
    "white_matter": "Mean signal of deep white matter (template mask, eroded)",
    "global_signal": "Mean signal of the brain mask",
    "framewise_displacement": "Framewise displacement (Power et al. 2012), sphere of 50 mm",
    "dvars": "Root mean square change from the volume before, image scaled to a median of 1000",
    "std_dvars": "DVARS over its expectation for a steady autoregressive signal",
    "a_comp_cor": "Component of ventricles and white matter after the cosines were removed (Behzadi et al. 2007)",
    "cosine": "Discrete cosine slower than 1/128 Hz, removed before a_comp_cor",
    "motion_outlier": "Marks a volume with framewise displacement > 0.5 mm or std_dvars > 1.5",
}
