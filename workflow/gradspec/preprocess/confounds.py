"""The table of confounds, with fMRIPrep's columns and units.

Units: mm, rad, and arbitrary image units for signals. A first row that has no value (differences) is NaN.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from gradspec.errors import ParticipantError
from gradspec.preprocess.compcor import make_compcor
from gradspec.preprocess.geometry import rigid_parameters

GROUPS = ("motion", "signals", "a_comp_cor", "t_comp_cor", "outliers")
"""Groups of confounds; DVARS and the marks of dummy scans are always there."""
MOTION_COLUMNS = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
HEAD_RADIUS = 50.0
"""Radius, in mm, of the sphere on which Power turns rotations into displacements."""
_RMS_RADIUS = 80.0  # mm, of the sphere that rmsd is averaged over
MAX_FRAMEWISE_DISPLACEMENT = 0.5
MAX_STD_DVARS = 1.5
_MIN_TISSUE_VOXELS = 3


def make_confounds(
    brain: Float[np.ndarray, "time voxel"],
    tissues: Mapping[str, Bool[np.ndarray, " voxel"]],
    motion: Float[np.ndarray, "time 4 4"],
    centre: Float[np.ndarray, "axis=3"],
    repetition_time: float,
    n_dummies: int = 0,
    groups: Collection[str] = GROUPS,
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
    n_dummies : int
        Dummy scans at the start: each has a column that marks it, and components and DVARS do without them.
    groups : collection of str
        Those of `GROUPS` that are wanted. Without ``motion``, displacement is not measured either.

    Returns
    -------
    DataFrame
        A row a volume, dummy scans included.

    Raises
    ------
    ParticipantError
        If a tissue has next to no voxels in the brain mask.
    """
    if {"signals", "a_comp_cor"} & set(groups):
        _require_tissues(tissues)
    dvars, std_dvars = (_pad(values, n_dummies) for values in compute_dvars(brain[n_dummies:]))
    columns: dict[str, np.ndarray] = {}
    if "signals" in groups:
        signals = {
            "csf": brain[:, tissues["csf"]].mean(axis=1, dtype=float),
            "white_matter": brain[:, tissues["white_matter"]].mean(axis=1, dtype=float),
            "global_signal": brain.mean(axis=1, dtype=float),
        }
        columns |= expand(signals)
    displacement = np.full(len(brain), np.nan)
    if "motion" in groups:
        parameters = np.stack([rigid_parameters(matrix, centre) for matrix in motion])
        displacement = framewise_displacement(parameters)
        columns |= {"framewise_displacement": displacement, "rmsd": relative_rms(motion, centre)}
    columns |= {"dvars": dvars, "std_dvars": std_dvars}
    if "motion" in groups:
        columns |= expand(dict(zip(MOTION_COLUMNS, parameters.T, strict=True)))
    columns |= _choose_compcor(groups, brain, tissues, repetition_time, n_dummies)
    columns |= _mark("non_steady_state_outlier", np.arange(n_dummies), len(brain))
    if "outliers" in groups:
        columns |= motion_outliers(displacement, std_dvars, n_dummies)
    return pd.DataFrame(columns)


def _require_tissues(tissues: Mapping[str, Bool[np.ndarray, " voxel"]]) -> None:
    for name, voxels in tissues.items():
        if voxels.sum() < _MIN_TISSUE_VOXELS:
            raise ParticipantError(
                f"only {voxels.sum()} voxels of {name} lie in the brain mask of the run, at least "
                f"{_MIN_TISSUE_VOXELS} are needed: the registration failed, or the field of view misses the ventricles"
            )


def _choose_compcor(
    groups: Collection[str],
    brain: Float[np.ndarray, "time voxel"],
    tissues: Mapping[str, Bool[np.ndarray, " voxel"]],
    repetition_time: float,
    n_dummies: int,
) -> dict[str, np.ndarray]:
    """Components of the groups that are wanted, with the cosines that were removed before them."""
    if not {"a_comp_cor", "t_comp_cor"} & set(groups):
        return {}
    left_out = {"a_comp_cor": ("a_comp_cor", "c_comp_cor", "w_comp_cor"), "t_comp_cor": ("t_comp_cor",)}
    unwanted = tuple(prefix for group, prefixes in left_out.items() if group not in groups for prefix in prefixes)
    components = make_compcor(brain, tissues, repetition_time, n_dummies)
    return {name: values for name, values in components.items() if not name.startswith(unwanted)}


def _pad(values: Float[np.ndarray, " time"], n_dummies: int) -> Float[np.ndarray, " time"]:
    return np.concatenate([np.full(n_dummies, np.nan), values])


def framewise_displacement(parameters: Float[np.ndarray, "time parameter=6"]) -> Float[np.ndarray, " time"]:
    """Framewise displacement of Power et al. (2012), NeuroImage 59, 2142, in mm; the first is NaN."""
    change = np.abs(np.diff(parameters, axis=0))
    change[:, 3:] *= HEAD_RADIUS
    return np.concatenate([[np.nan], change.sum(axis=1)])


def relative_rms(
    motion: Float[np.ndarray, "time 4 4"], centre: Float[np.ndarray, "axis=3"]
) -> Float[np.ndarray, " time"]:
    """Root mean square displacement, in mm, from the volume before over a sphere of 80 mm; the first is NaN.

    ``sqrt(R^2 / 5 trace(A^T A) + |b|^2)``, with ``A`` the linear part of the change minus identity and ``b`` the
    displacement of the centre (Jenkinson 1999, FMRIB technical report TR99MJ1).

    Parameters
    ----------
    motion : array, shape (time, 4, 4)
        World matrices from the BOLD reference to each volume.
    centre : array, shape (3,)
        Centre of the sphere, in mm.
    """
    change = motion[1:] @ np.linalg.inv(motion[:-1]) - np.eye(4)
    linear, shift = change[:, :3, :3], change[:, :3, :3] @ centre + change[:, :3, 3]
    squared = _RMS_RADIUS**2 / 5 * (linear**2).sum(axis=(1, 2)) + (shift**2).sum(axis=1)
    return np.concatenate([[np.nan], np.sqrt(squared)])


def expand(signals: Mapping[str, Float[np.ndarray, " time"]]) -> dict[str, np.ndarray]:
    """Signals, their backward differences, and the squares of both, as fMRIPrep.

    Of six motion parameters these are the 24 terms of Satterthwaite et al. (2013), NeuroImage 64, 240.
    """
    columns = {}
    for name, values in signals.items():
        derivative = np.concatenate([[np.nan], np.diff(values)])
        columns[name] = values
        columns[f"{name}_derivative1"] = derivative
        columns[f"{name}_derivative1_power2"] = derivative**2
        columns[f"{name}_power2"] = values**2
    return columns


def complete_motion(table: pd.DataFrame) -> pd.DataFrame:
    """Add what six motion parameters give by themselves, where a table made elsewhere lacks it.

    Parameters
    ----------
    table : DataFrame
        Confounds of a run, in fMRIPrep's columns and units.

    Returns
    -------
    DataFrame
        With differences, squares and framewise displacement, if the six are there as numbers; else as it was.
    """
    if not all(name in table and table[name].dtype.kind == "f" for name in MOTION_COLUMNS):
        return table
    parameters = table[list(MOTION_COLUMNS)].to_numpy()
    columns = {"framewise_displacement": framewise_displacement(parameters)}
    columns |= expand(dict(zip(MOTION_COLUMNS, parameters.T, strict=True)))
    new = {name: values for name, values in columns.items() if name not in table}
    return pd.concat([table, pd.DataFrame(new, index=table.index)], axis=1)


def compute_dvars(
    brain: Float[np.ndarray, "time voxel"],
) -> tuple[Float[np.ndarray, " time"], Float[np.ndarray, " time"]]:
    """DVARS and its standardised form (Nichols 2013, doi:10.1101/125021), on fMRIPrep's scale; the first is NaN.

    As fMRIPrep's, they are those of nipype's `compute_dvars` with ``remove_zerovariance``: voxels whose quartiles are
    equal are left out, and the root mean square of the change is divided by the mean over voxels of its expected
    standard deviation. The root of their mean variance would be larger, and the limit of 1.5 is not meant for it.

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
        voxel times ``sqrt(2 (1 - r))`` with r its lag-1 autocorrelation, mean over voxels. NaN throughout if no
        voxel has quartiles that differ, as in a run of two volumes.
    """
    robust_sd, autocorrelation = _noise_of_voxels(brain)
    varying = robust_sd > 0
    is_known = bool(varying.any())
    if not is_known:
        varying[:] = True
    square = np.empty(len(brain) - 1)
    for index in range(len(brain) - 1):  # volume by volume: no second copy of the run
        square[index] = np.mean((brain[index + 1] - brain[index])[varying] ** 2, dtype=float)
    expected = np.mean(np.sqrt(2 * (1 - autocorrelation[varying])) * robust_sd[varying])
    scale = 1000 / np.median(brain.mean(axis=0))  # nipype's median of all values would copy the run
    dvars = np.concatenate([[np.nan], np.sqrt(square)])
    return scale * dvars, dvars / expected if is_known else np.full(len(brain), np.nan)


def _noise_of_voxels(
    brain: Float[np.ndarray, "time voxel"], block: int = 8192
) -> tuple[Float[np.ndarray, " voxel"], Float[np.ndarray, " voxel"]]:
    """Robust standard deviation and lag-1 autocorrelation of each voxel, in blocks of voxels."""
    robust_sd, autocorrelation = np.zeros(brain.shape[1]), np.zeros(brain.shape[1])
    for first in range(0, brain.shape[1], block):
        part = brain[:, first : first + block].astype(float)
        lower, upper = np.percentile(part, [25, 75], axis=0, method="lower")  # as FSL and nipype
        robust_sd[first : first + block] = (upper - lower) / 1.349
        part -= part.mean(axis=0)
        power = np.maximum((part**2).sum(axis=0), np.finfo(float).tiny)
        autocorrelation[first : first + block] = (part[1:] * part[:-1]).sum(axis=0) / power
    return robust_sd, autocorrelation


def motion_outliers(
    displacement: Float[np.ndarray, " time"], std_dvars: Float[np.ndarray, " time"], n_dummies: int = 0
) -> dict[str, np.ndarray]:
    """One column, with a single 1, for every volume after the dummy scans that moved too far or changed too much."""
    outliers = np.flatnonzero((displacement > MAX_FRAMEWISE_DISPLACEMENT) | (std_dvars > MAX_STD_DVARS))
    return _mark("motion_outlier", outliers[outliers >= n_dummies], len(displacement))


def _mark(name: str, volumes: np.ndarray, n_volumes: int) -> dict[str, np.ndarray]:
    return {
        f"{name}_{number:02d}": (np.arange(n_volumes) == volume).astype(int) for number, volume in enumerate(volumes)
    }


def describe_columns(columns: list[str], source: str = "template") -> dict[str, dict[str, Any]]:
    """Describe confound columns for the sidecar of the table; `source` is the image that the masks come from."""
    return {name: _describe(name, source) for name in columns}


def _describe(name: str, source: str) -> dict[str, Any]:
    base, *_ = name.partition("_derivative1")
    base = base.removesuffix("_power2")
    text, unit = _describe_base(base)
    text = text.format(source=source)
    if "derivative1" in name:
        text += "; difference from the volume before"
    if name.endswith("power2"):
        text, unit = f"{text}; squared", unit if unit == "arbitrary" else f"{unit}^2"
    return {"Description": text, "Units": unit, **_COMPCOR.get(base.rpartition("_")[0], {})}


def _describe_base(name: str) -> tuple[str, str]:
    if name in MOTION_COLUMNS:
        kind, axis = name.split("_")
        what, unit = ("Translation along", "mm") if kind == "trans" else ("Rotation about", "rad")
        where = "from the BOLD reference to the volume, centre of the image fixed"
        return f"{what} the world axis {axis} (RAS), {where}", unit
    for prefix, text in _DESCRIPTIONS.items():
        if name.startswith(prefix):
            return text, "mm" if prefix in ("framewise_displacement", "rmsd") else "arbitrary"
    raise ValueError(f"no description of confound {name!r}")


_COMPCOR: dict[str, dict[str, Any]] = {
    "a_comp_cor": {"Method": "aCompCor", "Mask": "combined", "Retained": True},
    "c_comp_cor": {"Method": "aCompCor", "Mask": "CSF", "Retained": True},
    "w_comp_cor": {"Method": "aCompCor", "Mask": "WM", "Retained": True},
    "t_comp_cor": {"Method": "tCompCor", "Retained": True},
}
"""What fMRIPrep's sidecar says of components, by which nilearn's `load_confounds` chooses them."""
_DESCRIPTIONS = {
    "csf": "Mean signal of the ventricles (mask of the {source}, eroded)",
    "white_matter": "Mean signal of deep white matter (mask of the {source}, eroded)",
    "global_signal": "Mean signal of the brain mask",
    "framewise_displacement": "Framewise displacement (Power et al. 2012), sphere of 50 mm",
    "rmsd": "Root mean square displacement from the volume before over a sphere of 80 mm (Jenkinson 1999)",
    "dvars": "Root mean square change from the volume before, image scaled to a median of 1000",
    "std_dvars": "DVARS over its expectation for a steady autoregressive signal, on the scale of fMRIPrep",
    "a_comp_cor": "Component of ventricles and white matter after the cosines were removed (Behzadi et al. 2007)",
    "c_comp_cor": "Component of the ventricles after the cosines were removed",
    "w_comp_cor": "Component of white matter after the cosines were removed",
    "t_comp_cor": "Component of the 2 % most variable voxels after the cosines were removed (Behzadi et al. 2007)",
    "cosine": "Discrete cosine slower than 1/128 Hz, removed before the components (the set of fMRIPrep)",
    "non_steady_state_outlier": "Marks a dummy scan, in which the magnetisation has not settled",
    "motion_outlier": "Marks a volume with framewise displacement > 0.5 mm or std_dvars > 1.5",
}
