"""The denoised images of a participant: read, smooth, regress, scale, write."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from gradspec.cohort.confounds import read_confounds, read_metadata
from gradspec.cohort.runs import BoldRun
from gradspec.errors import ParticipantError
from gradspec.files import write_json
from gradspec.preprocess import SPACE
from gradspec.preprocess.confounds import complete_motion
from gradspec.preprocess.denoise import GRAND_MEAN, make_design, regress_out, scale_to_grand_mean
from gradspec.preprocess.derivatives import bids_uri, task_name
from gradspec.preprocess.images import read_image, write_image
from gradspec.preprocess.quality import measure_run, temporal_snr
from gradspec.preprocess.regressors import has_components

_UNITS = {
    "grand_mean": f"percent of the grand mean: the median over the brain of the mean signal is {GRAND_MEAN:g}",
    "none": "arbitrary",
}


def denoise_participant(
    participant: str, runs: Sequence[BoldRun], folder: Path, settings: Mapping[str, Any]
) -> list[BoldRun]:
    """Denoise all runs of a participant.

    Parameters
    ----------
    participant : str
        For example ``sub-01``.
    runs : sequence of BoldRun
        Runs in template space, with mask and confounds. The quality of those made elsewhere is measured.
    folder : Path
        Where the images go.
    settings : mapping
        The section ``preprocess`` of the configuration.

    Returns
    -------
    list of BoldRun
        The denoised runs, below `folder`, with the degrees of freedom among their quality numbers.

    Raises
    ------
    ParticipantError
        If a run cannot be denoised.
    """
    if not runs:
        raise ParticipantError("has no usable BOLD run", participant=participant)
    return [_denoise_run(run, folder, settings) for run in runs]


def _denoise_run(run: BoldRun, folder: Path, settings: Mapping[str, Any]) -> BoldRun:
    participant = run.participant_id
    if run.mask is None:
        raise ParticipantError("the run has no brain mask", participant=participant, file=run.bold)
    denoise = settings["denoise"]
    mask_image, mask_data = read_image(run.mask, 3)
    mask = mask_data > 0
    image, bold = read_image(run.bold, 4)
    if bold.shape[:3] != mask.shape or not np.allclose(image.affine, mask_image.affine, atol=1e-3):
        raise ParticipantError(
            f"the mask {run.mask.name} has shape {mask.shape}, the run {bold.shape[:3]}: they must share one grid",
            participant=participant,
            file=run.bold,
        )
    try:
        table = None if run.confounds is None else complete_motion(read_confounds(run.confounds))
        metadata = read_metadata(run.confounds) if run.confounds and has_components(denoise["strategy"]) else {}
        name = run.confounds.name if run.confounds else ""
        design = make_design(table, denoise, bold.shape[3], run.repetition_time, metadata, name)
        quality = run.quality or measure_run(table, temporal_snr(_steady(bold, mask, table)))
        signals = smooth_inside(bold, mask, image.affine, settings["fwhm"])
        del bold
        signals, degrees_of_freedom = regress_out(signals, design.matrix, denoise["min_degrees_of_freedom"])
        if settings["intensity"] == "grand_mean":
            scale_to_grand_mean(signals)
    except ParticipantError as error:
        culprit = error.file or run.confounds or run.bold
        raise ParticipantError(error.reason, participant=participant, file=culprit) from error
    space = run.space or {"space": SPACE}
    denoised_file = run.path(folder, **space, desc="denoised", extension=".nii.gz")
    mask_file = run.path(folder, **space, desc="brain", suffix="mask", extension=".nii.gz")
    denoised = np.zeros((*mask.shape, len(signals)), dtype=np.float32, order="F")
    for index, volume in enumerate(signals):
        denoised[mask, index] = volume
    write_image(denoised, image.affine, denoised_file, repetition_time=run.repetition_time)
    write_image(mask.astype(np.uint8), image.affine, mask_file)
    write_json(
        {
            "RepetitionTime": run.repetition_time,
            **task_name(run),
            "SkullStripped": True,
            "Sources": [bids_uri(file, participant) for file in (run.bold, run.mask, run.confounds) if file],
            "SmoothingFWHM": settings["fwhm"],
            "Denoising": denoise["strategy"],
            "Scrubbing": denoise["scrub"],
            "HighPass": denoise["high_pass"],
            "HighPassBasis": design.high_pass_basis,
            "Regressors": design.names,
            "DegreesOfFreedom": degrees_of_freedom,
            "LinearTrendRemoved": denoise["linear_trend"],
            "Units": _UNITS[settings["intensity"]],
            **({"Notes": list(design.notes)} if design.notes else {}),
        },
        run.path(folder, **space, desc="denoised", extension=".json"),
    )
    return replace(
        run,
        bold=denoised_file,
        mask=mask_file,
        confounds=None,
        sidecars=(),
        n_volumes=len(signals),
        quality={**quality, "degrees_of_freedom": degrees_of_freedom, **design.counts},
        note="; ".join(design.notes) or None,
        software={**run.software, "nilearn": version("nilearn")},
    )


def _steady(
    bold: Float[np.ndarray, "x y z time"], mask: Bool[np.ndarray, "x y z"], table: pd.DataFrame | None
) -> Float[np.ndarray, "time voxel"]:
    """The run inside its mask without the dummy scans."""
    n_dummies = 0 if table is None else sum(name.startswith("non_steady_state_outlier") for name in table)
    inside: np.ndarray = bold[mask].T[n_dummies:]
    return inside


def smooth_inside(
    bold: Float[np.ndarray, "x y z time"],
    mask: Bool[np.ndarray, "x y z"],
    affine: Float[np.ndarray, "4 4"],
    fwhm: float,
) -> Float[np.ndarray, "time voxel"]:
    """Smooth volume by volume and keep the voxels of the mask; smoothing and regression can change places.

    Parameters
    ----------
    bold : array, shape (x, y, z, time)
        The run.
    mask : array of bool, shape (x, y, z)
        Voxels to keep.
    affine : array, shape (4, 4)
        Voxel to world matrix.
    fwhm : float
        Full width at half maximum of the Gaussian, in mm; 0 for none.
    """
    import nibabel as nib
    from nilearn.image import smooth_img

    signals = np.empty((bold.shape[3], int(mask.sum())), dtype=np.float32)
    for index in range(len(signals)):
        volume = bold[..., index]
        if fwhm:
            volume = np.asarray(smooth_img(nib.Nifti1Image(np.ascontiguousarray(volume), affine), fwhm).dataobj)
        signals[index] = volume[mask]
    return signals
