"""How good a preprocessed run is, in numbers, and the limits beyond which it is not used."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

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
    confounds: pd.DataFrame, tsnr: Float[np.ndarray, " voxel"], overlap: float, normalization_overlap: float
) -> dict[str, float | int]:
    """Quality numbers of a run, keyed as in `QUALITY_COLUMNS`."""
    displacement = confounds["framewise_displacement"]
    n_dummies, n_outliers = (
        sum(name.startswith(kind) for name in confounds) for kind in ("non_steady_state_outlier", "motion_outlier")
    )
    return {
        "mean_fd": _round(displacement.mean()),
        "max_fd": _round(displacement.max()),
        "n_dummy_scans": n_dummies,
        "n_motion_outliers": n_outliers,
        "share_motion_outliers": _round(n_outliers / len(confounds)),
        "mean_dvars": _round(confounds["dvars"].mean()),
        "tsnr": _round(float(np.median(tsnr))),
        "overlap": _round(overlap),
        "normalization_overlap": _round(normalization_overlap),
    }


def _round(value: float) -> float:
    return float(f"{value:.6g}")


def find_faults(quality: Mapping[str, Any], limits: Mapping[str, float | None]) -> list[str]:
    """Say which limits a run is beyond.

    Parameters
    ----------
    quality : mapping
        Numbers of the run.
    limits : mapping
        ``max_mean_fd`` (mm) and ``min_overlap``; None switches a limit off.

    Returns
    -------
    list of str
        A sentence for each limit that is passed; empty for a good run.
    """
    faults = []
    largest, smallest = limits.get("max_mean_fd"), limits.get("min_overlap")
    if largest is not None and quality["mean_fd"] > largest:
        faults.append(f"mean framewise displacement {quality['mean_fd']:.2f} mm is above the limit of {largest:g} mm")
    if smallest is not None and quality["overlap"] < smallest:
        faults.append(
            f"the brain mask overlaps the template's by {quality['overlap']:.2f} (Dice), below the limit of "
            f"{smallest:g}: look at the registration pictures"
        )
    return faults
