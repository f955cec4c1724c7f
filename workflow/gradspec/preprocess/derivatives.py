"""Names and metadata of the derivatives: fMRIPrep's names, BIDS sidecars, the description of the data set."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from gradspec import __version__
from gradspec.files import write_json
from gradspec.preprocess import SPACE
from gradspec.preprocess.slice_timing import reference_time
from gradspec.preprocess.tissues import LABELS

PAGE = "report.html"
"""Name of the page of a participant, in the participant's folder."""


@dataclass(frozen=True)
class Output:
    """One file among the derivatives of a participant.

    Attributes
    ----------
    field : str
        Name of the result in the outputnode of its workflow.
    path : str
        Where it goes, relative to the participant's folder.
    sidecar : dict
        Metadata written beside it; empty for none.
    """

    field: str
    path: str
    sidecar: Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """A usable BOLD run, a row of ``cohort/runs.tsv``.

    Attributes
    ----------
    bold, t1w : Path or None
        Raw images.
    session, task, run : str or None
        Labels without prefix.
    repetition_time : float
        In seconds.
    n_volumes : int
        Length of the run.
    mask, confounds : Path or None
        Given for derivatives that were made elsewhere.
    slice_timing : tuple of float or None
        Time of each slice in s after the start of its volume.
    slice_encoding_direction : str
        Axis of the slices.
    """

    bold: Path
    t1w: Path | None
    session: str | None
    task: str | None
    run: str | None
    repetition_time: float
    n_volumes: int
    mask: Path | None = None
    confounds: Path | None = None
    slice_timing: tuple[float, ...] | None = None
    slice_encoding_direction: str = "k"

    @property
    def prefix(self) -> str:
        """Entities of the file name up to the suffix, without space and description."""
        stem = self.bold.name.removesuffix(".gz").removesuffix(".nii").removesuffix("_bold")
        return re.sub(r"_(space|res|desc)-[A-Za-z0-9]+", "", stem)

    @property
    def folder(self) -> str:
        """Folder of the functional images, relative to the participant's."""
        return f"ses-{self.session}/func" if self.session else "func"


def read_runs(rows: Iterable[Mapping[str, Any]]) -> list[Run]:
    """Make runs of rows of ``cohort/runs.tsv`` (missing cells are None, NaN or ``n/a``)."""
    return [
        Run(
            bold=Path(row["bold"]).absolute(),
            t1w=_path(row["t1w"]),
            session=_text(row["session"]),
            task=_text(row["task"]),
            run=_text(row["run"]),
            repetition_time=float(row["repetition_time"]),
            n_volumes=int(row["n_volumes"]),
            mask=_path(row["mask"]),
            confounds=_path(row["confounds"]),
            slice_timing=_times(row.get("slice_timing")),
            slice_encoding_direction=_text(row.get("slice_encoding_direction")) or "k",
        )
        for row in rows
    ]


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value != "n/a" else None


def _path(value: Any) -> Path | None:
    text = _text(value)
    return None if text is None else Path(text).absolute()  # steps run in folders of their own


def _times(value: Any) -> tuple[float, ...] | None:
    if isinstance(value, int | float) and value == value:  # a single slice is read as a number
        return (float(value),)
    text = _text(value)
    return None if text is None else tuple(float(time) for time in text.split(","))


def name_anatomical(participant: str, t1w: Path, settings: Mapping[str, Any]) -> list[Output]:
    """Outputs of the anatomical workflow."""
    prefix, template = f"anat/{participant}", f"anat/{participant}_space-{SPACE}"
    raw = [bids_uri(t1w, participant, "raw")]
    registration = {"Sources": raw, **_registration(settings)}
    here, there = {"Sources": raw, "SkullStripped": False}, {"Sources": raw, "SpatialReference": _reference(settings)}
    corrected = {"BiasFieldCorrection": "N4 (ANTs)" if settings["bias_field"] else "none"}
    mask = {"Sources": raw, "Type": "Brain", "Method": "deepbet"}
    outputs = [
        Output("t1w", f"{prefix}_desc-preproc_T1w.nii.gz", {**here, **corrected}),
        Output("mask", f"{prefix}_desc-brain_mask.nii.gz", mask),
        Output("t1w_template", f"{template}_desc-preproc_T1w.nii.gz", {**there, "SkullStripped": False, **corrected}),
        Output("mask_template", f"{template}_desc-brain_mask.nii.gz", {**there, "Type": "Brain"}),
        Output("to_template", f"{prefix}_from-T1w_to-{SPACE}_mode-image_xfm.h5", registration),
        Output("from_template", f"{prefix}_from-{SPACE}_to-T1w_mode-image_xfm.h5", registration),
        Output("picture", f"figures/{participant}_space-{SPACE}_desc-registration_T1w.png", {}),
        Output("before_after", f"figures/{participant}_space-{SPACE}_desc-beforeafter_T1w.png", {}),
    ]
    if settings["segmentation"] == "atropos":
        method = {"Sources": raw, "Method": "Atropos (ANTs), three classes", "LabelMap": LABELS}
        outputs.append(Output("dseg", f"{prefix}_dseg.nii.gz", method))
    return outputs


def name_functional(participant: str, run: Run, settings: Mapping[str, Any], has_t1w: bool = True) -> list[Output]:
    """Outputs of the workflow of a BOLD run, which follows a T1w image to the template or goes there by itself."""
    prefix = f"{run.folder}/{run.prefix}"
    template = f"{prefix}_space-{SPACE}"
    raw = [bids_uri(run.bold, participant, "raw")]
    native = {"Sources": raw}
    there = {"Sources": raw, "SpatialReference": _reference(settings)}
    timing = {"RepetitionTime": run.repetition_time, **({"TaskName": run.task} if run.task else {})}
    bold = {
        **timing,
        **there,
        "SkullStripped": False,
        **_slice_timing(run, settings),
        "Interpolation": "cubic B-spline",
    }
    figure = f"figures/{run.prefix}"
    return [
        Output("boldref", f"{prefix}_desc-hmc_boldref.nii.gz", native),
        Output("mask", f"{prefix}_desc-brain_mask.nii.gz", {**native, "Type": "Brain"}),
        *_name_transforms(prefix, native, settings, has_t1w),
        Output("bold_template", f"{template}_desc-preproc_bold.nii.gz", bold),
        Output("boldref_template", f"{template}_boldref.nii.gz", there),
        Output("mask_template", f"{template}_desc-brain_mask.nii.gz", {**there, "Type": "Brain"}),
        Output("confounds", f"{prefix}_desc-confounds_timeseries.tsv", {}),
        Output("confounds_sidecar", f"{prefix}_desc-confounds_timeseries.json", {}),
        Output("carpet", f"{figure}_desc-carpetplot_bold.png", {}),
        Output("correlation", f"{figure}_desc-confoundcorr_bold.png", {}),
        Output("tsnr", f"{figure}_space-{SPACE}_desc-tsnr_bold.png", {}),
        Output("picture", f"{figure}_space-{SPACE}_desc-registration_bold.png", {}),
        Output("rois", f"{figure}_space-{SPACE}_desc-rois_bold.png", {}),
        Output("before_after", f"{figure}_desc-{'coreg' if has_t1w else 'epinorm'}_bold.png", {}),
    ]


_MOTION = {
    "precise": "Gauss-Newton least squares, then SimpleITK, Mattes mutual information",
    "fast": "Gauss-Newton least squares",
    "none": "not estimated, every transform is the identity",
}


def _name_transforms(
    prefix: str, native: Mapping[str, Any], settings: Mapping[str, Any], has_t1w: bool
) -> list[Output]:
    motion = {**native, "Method": _MOTION[settings["motion"]]}
    outputs = [Output("motion", f"{prefix}_from-orig_to-boldref_mode-image_desc-hmc_xfm.txt", motion)]
    if has_t1w:
        coregistration = {**native, "Method": "SimpleITK, Mattes mutual information, rigid"}
        path = f"{prefix}_from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt"
        return [*outputs, Output("coregistration", path, coregistration)]
    method = "SimpleITK, Mattes mutual information, affine, to the template in the contrast of a BOLD reference"
    registration = {**native, "Method": method}
    return [
        *outputs,
        Output("to_template", f"{prefix}_from-boldref_to-{SPACE}_mode-image_xfm.txt", registration),
        Output("from_template", f"{prefix}_from-{SPACE}_to-boldref_mode-image_xfm.txt", registration),
    ]


def _registration(settings: Mapping[str, Any]) -> dict[str, str]:
    setting = settings["normalization"]
    return {"Registration": "ANTs affine" if setting == "affine" else "ANTs affine + SyN", "Setting": setting}


def _slice_timing(run: Run, settings: Mapping[str, Any]) -> dict[str, Any]:
    if not settings["slice_timing"] or run.slice_timing is None:
        return {"SliceTimingCorrected": False}
    return {"SliceTimingCorrected": True, "StartTime": round(reference_time(run.slice_timing), 6)}


def bids_uri(path: Path, participant: str, dataset: str = "") -> str:
    """BIDS URI of a file of a participant.

    Parameters
    ----------
    path : Path
        The file.
    participant : str
        For example ``sub-01``, the name of a folder that it lies in.
    dataset : str
        Key of its data set in ``DatasetLinks``; empty for the data set that the URI is written in.
    """
    parts = path.parts
    start = parts.index(participant) if participant in parts else len(parts) - 1
    return f"bids:{dataset}:{PurePosixPath(*parts[start:])}"


def _reference(settings: Mapping[str, Any]) -> str:
    return f"ICBM 2009a non-linear symmetric template of nilearn, resampled to {settings['resolution']:g} mm"


def _link(raw: Path, here: Path) -> str:
    """Where the raw data are, as a URI; relative where they lie in the results too, which may be moved together."""
    raw, here = raw.absolute(), here.absolute()
    return f"../{raw.name}" if raw.parent == here.parent else raw.as_uri()


def describe_derivatives(description: Path, ignore: Path, settings: Mapping[str, Any], raw: Path) -> None:
    """Write dataset_description.json and .bidsignore of the derivatives.

    Parameters
    ----------
    description, ignore : Path
        The two files.
    settings : mapping
        The section ``preprocess`` of the configuration.
    raw : Path
        The raw data set.
    """
    from importlib.metadata import version

    write_json(
        {
            "Name": "gradspec preprocessing",
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "GeneratedBy": [
                {
                    "Name": "gradspec",
                    "Version": __version__,
                    "Description": (
                        f"motion: {settings['motion']}, normalization: {settings['normalization']}, "
                        f"resolution: {settings['resolution']:g} mm"
                    ),
                },
                *({"Name": name, "Version": version(name)} for name in ("nipype", "nilearn", "SimpleITK", "deepbet")),
            ],
            "DatasetLinks": {"raw": _link(raw, description.parent)},
        },
        description,
    )
    # Pictures, status files and the images for the group analysis are the workflow's own; transforms, references and
    # confounds have names (fMRIPrep's) that BIDS has not adopted yet.
    ignored = [
        "figures",
        "status",
        "denoised",
        "group_bold.*",
        "methods.md",
        "*.html",
        "*_xfm.*",
        "*_boldref.*",
        "*_timeseries.*",
    ]
    ignore.parent.mkdir(parents=True, exist_ok=True)
    ignore.write_text("\n".join(ignored) + "\n", encoding="utf-8")
