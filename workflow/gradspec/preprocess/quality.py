"""How good a preprocessed run is, in numbers, and the limits beyond which it is not used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from gradspec.cohort.runs import BoldRun
from gradspec.errors import ParticipantError
from gradspec.preprocess.regressors import describe_rows

QUALITY_COLUMNS = {
    "mean_fd": {"Description": "Mean framewise displacement (Power et al. 2012)", "Units": "mm"},
    "max_fd": {"Description": "Largest framewise displacement", "Units": "mm"},
    "n_dummy_scans": {"Description": "Volumes at the start in which the magnetisation has not settled"},
    "n_motion_outliers": {"Description": "Volumes with framewise displacement > 0.5 mm or std_dvars > 1.5"},
    "share_motion_outliers": {"Description": "Share of the volumes that are motion outliers"},
    "mean_dvars": {"Description": "Mean DVARS, image scaled to a median of 1000"},
    "tsnr": {"Description": "Median over the brain of temporal mean over standard deviation, linear trend removed"},
    "overlap": {"Description": "Dice coefficient of the BOLD mask with the template's brain mask"},
    "normalization_overlap": {"Description": "Dice coefficient of the warped T1w mask with the template's brain mask"},
    "degrees_of_freedom": {"Description": "Degrees of freedom that are left after denoising"},
    "n_confounds": {"Description": "Columns that were regressed out, the constant not counted"},
    "n_components": {"Description": "How many of these are components of anatomical CompCor"},
    "n_cosines": {"Description": "How many are cosines of the confounds table"},
    "n_own_cosines": {"Description": "How many are cosines that were made for the run"},
}
"""Every number that is known of a run, with its description."""


def dice(first: Bool[np.ndarray, "..."], second: Bool[np.ndarray, "..."]) -> float:
    """Dice coefficient of two masks; 0 if both are empty."""
    total = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / total if total else 0.0


def temporal_snr(brain: Float[np.ndarray, "time voxel"], block: int = 8192) -> Float[np.ndarray, " voxel"]:
    """Temporal signal-to-noise ratio of each voxel after a linear trend is removed; 0 for constant voxels."""
    time = np.linspace(-1, 1, len(brain))
    time /= np.linalg.norm(time)
    tsnr = np.zeros(brain.shape[1], dtype=np.float32)
    for first in range(0, brain.shape[1], block):  # blocks: no second copy of the run
        part = brain[:, first : first + block].astype(float)
        mean = part.mean(axis=0)
        part -= mean
        part -= np.outer(time, time @ part)
        spread = part.std(axis=0)
        tsnr[first : first + block] = np.divide(mean, spread, out=np.zeros_like(mean), where=spread > 0)
    return tsnr


def measure_run(
    confounds: pd.DataFrame | None, tsnr: Float[np.ndarray, " voxel"], marked: bool = True, **overlaps: float
) -> dict[str, float | int]:
    """Quality numbers of a run.

    Parameters
    ----------
    confounds : DataFrame or None
        Confounds of the run; what it lacks (tables made elsewhere may lack much) is not measured.
    tsnr : array, shape (voxel,)
        Temporal signal-to-noise ratio.
    marked : bool
        Whether motion outliers were looked for; otherwise they are not counted.
    **overlaps : float
        Dice coefficients, ``overlap`` and ``normalization_overlap``, where they are known.

    Returns
    -------
    dict
        Keyed as in `QUALITY_COLUMNS`.

    Raises
    ------
    ParticipantError
        If displacement or DVARS is missing where there should be a number.
    """
    numbers: dict[str, float | int] = {}
    table = pd.DataFrame() if confounds is None else confounds
    n_dummies, n_outliers = (
        sum(name.startswith(kind) for name in table) for kind in ("non_steady_state_outlier", "motion_outlier")
    )
    if "framewise_displacement" in table:
        displacement = _changes(table["framewise_displacement"], n_dummies)
        numbers |= {"mean_fd": _round(displacement.mean()), "max_fd": _round(displacement.max())}
    if len(table):
        numbers["n_dummy_scans"] = n_dummies
        if marked:
            numbers |= {
                "n_motion_outliers": n_outliers,
                "share_motion_outliers": _round(n_outliers / len(table)),
            }
    if "dvars" in table:
        numbers["mean_dvars"] = _round(_changes(table["dvars"], n_dummies).mean())
    return numbers | {"tsnr": _round(float(np.median(tsnr)))} | {key: _round(dice) for key, dice in overlaps.items()}


def _changes(column: "pd.Series[Any]", n_dummies: int) -> Float[np.ndarray, " time"]:
    """Changes from the volume before; only the first volume and dummy scans may have none."""
    missing = np.flatnonzero(column.isna())
    late = missing[missing > n_dummies]
    if column.dtype == object or len(late) or len(missing) == len(column):
        what = f"is missing in {describe_rows(late)} of {len(column)}" if len(late) else "holds no numbers"
        raise ParticipantError(
            f"column {column.name} of the confounds {what}, so that the quality of the run is not known; make it "
            "again, or take the column out"
        )
    return np.asarray(column.dropna(), dtype=float)


def _round(value: float) -> float:
    return float(f"{value:.6g}")


@dataclass(frozen=True)
class Limit:
    """A limit of the configuration.

    Attributes
    ----------
    key : str
        Its name in the section ``preprocess.quality``.
    column : str
        The number that it limits, of `QUALITY_COLUMNS`.
    largest : bool
        Whether the number must not be above it (otherwise: not below).
    text : str
        What is wrong with a number beyond it, with ``{value}``.
    """

    key: str
    column: str
    largest: bool
    text: str


LIMITS = (
    Limit("max_mean_fd", "mean_fd", True, "mean framewise displacement {value:.2f} mm"),
    Limit("max_outlier_share", "share_motion_outliers", True, "share of motion outliers {value:.2f}"),
    Limit("min_tsnr", "tsnr", False, "temporal signal-to-noise ratio {value:.1f}"),
    Limit("min_overlap", "overlap", False, "overlap of the brain mask with the template's {value:.2f} (Dice)"),
    Limit(
        "min_normalization_overlap",
        "normalization_overlap",
        False,
        "overlap of the normalised T1w mask with the template's {value:.2f} (Dice)",
    ),
)
"""Every limit that a run can be beyond."""


def find_flags(quality: Mapping[str, Any], limits: Mapping[str, float | None]) -> dict[str, str]:
    """Say which limits a run is beyond.

    Parameters
    ----------
    quality : mapping
        Numbers of the run; one that is missing or NaN is beyond no limit.
    limits : mapping
        The section ``preprocess.quality`` of the configuration; None switches a limit off.

    Returns
    -------
    dict
        By column, a sentence for each limit that is passed; empty for a good run.
    """
    flags = {}
    for limit in LIMITS:
        value, bound = quality.get(limit.column), limits.get(limit.key)
        if value is None or bound is None or not (value > bound if limit.largest else value < bound):
            continue
        side = "above" if limit.largest else "below"
        flags[limit.column] = f"{limit.text.format(value=value)} is {side} the limit of {bound:g}"
    return flags


def judge(participant: str, runs: Sequence[BoldRun], limits: Mapping[str, float | None]) -> None:
    """Hold the quality numbers of all runs against the limits.

    Raises
    ------
    ParticipantError
        Naming every limit that a run is beyond.
    """
    faults = []
    for run in runs:
        name = "_".join(f"{key}-{run.entities[key]}" for key in ("task", "run") if key in run.entities)
        faults += [f"{name or 'run'}: {fault}" for fault in find_flags(run.quality, limits).values()]
    if faults:
        raise ParticipantError("; ".join(faults), participant=participant)
