"""Names and metadata of the derivatives: fMRIPrep's names, BIDS sidecars, the description of the data set."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from gradspec import __version__
from gradspec.cohort.layout import bids
from gradspec.cohort.runs import BoldRun
from gradspec.files import write_json
from gradspec.preprocess import SPACE
from gradspec.preprocess.slice_timing import reference_time
from gradspec.preprocess.tissues import LABELS


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


def name_anatomical(participant: str, t1w: Path, settings: Mapping[str, Any]) -> list[Output]:
    """Outputs of the anatomical workflow."""
    label, template = participant.removeprefix("sub-"), {"space": SPACE}

    def output(field: str, sidecar: Mapping[str, Any], folder: str = "anat", **entities: str) -> Output:
        name = bids({"subject": label, "suffix": "T1w", "extension": ".nii.gz"}, **entities)
        return Output(field, f"{folder}/{name}", sidecar)

    raw = [bids_uri(t1w, participant, "raw")]
    registration = {"Sources": raw, **_registration(settings)}
    here, there = {"Sources": raw, "SkullStripped": False}, {"Sources": raw, "SpatialReference": _reference(settings)}
    corrected = {"BiasFieldCorrection": "N4 (ANTs)" if settings["bias_field"] else "none"}
    mask = {"Sources": raw, "Type": "Brain", "Method": "deepbet"}
    xfm = {"mode": "image", "suffix": "xfm", "extension": ".h5"}
    figure = {**template, "folder": "figures", "extension": ".png"}
    outputs = [
        output("t1w", {**here, **corrected}, desc="preproc"),
        output("mask", mask, desc="brain", suffix="mask"),
        output("t1w_template", {**there, "SkullStripped": False, **corrected}, **template, desc="preproc"),
        output("mask_template", {**there, "Type": "Brain"}, **template, desc="brain", suffix="mask"),
        output("to_template", registration, from_="T1w", to=SPACE, **xfm),
        output("from_template", registration, from_=SPACE, to="T1w", **xfm),
        output("picture", {}, **figure, desc="registration"),
        output("before_after", {}, **figure, desc="beforeafter"),
    ]
    if settings["segmentation"] == "atropos":
        method = {"Sources": raw, "Method": "Atropos (ANTs), three classes", "LabelMap": LABELS}
        outputs.append(output("dseg", method, suffix="dseg"))
    return outputs


def name_functional(run: BoldRun, settings: Mapping[str, Any], has_t1w: bool = True) -> list[Output]:
    """Outputs of the workflow of a BOLD run, which follows a T1w image to the template or goes there by itself."""

    def output(field: str, sidecar: Mapping[str, Any], **entities: str) -> Output:
        return Output(field, str(run.path(**{"extension": ".nii.gz", **entities})), sidecar)

    def figure(field: str, **entities: str) -> Output:
        return Output(field, f"figures/{bids(run.entities, **entities, extension='.png')}", {})

    template = {"space": SPACE}
    raw = [bids_uri(run.bold, run.participant_id, "raw")]
    native = {"Sources": raw}
    there = {"Sources": raw, "SpatialReference": _reference(settings)}
    timing = {"RepetitionTime": run.repetition_time, **task_name(run)}
    bold = {
        **timing,
        **there,
        "SkullStripped": False,
        **_slice_timing(run, settings),
        "Interpolation": "cubic B-spline",
    }
    confounds = {"desc": "confounds", "suffix": "timeseries"}
    return [
        output("boldref", native, desc="hmc", suffix="boldref"),
        output("mask", {**native, "Type": "Brain"}, desc="brain", suffix="mask"),
        *(output(field, sidecar, **entities) for field, sidecar, entities in _transforms(native, settings, has_t1w)),
        output("bold_template", bold, **template, desc="preproc"),
        output("boldref_template", there, **template, suffix="boldref"),
        output("mask_template", {**there, "Type": "Brain"}, **template, desc="brain", suffix="mask"),
        output("confounds", {}, **confounds, extension=".tsv"),
        output("confounds_sidecar", {}, **confounds, extension=".json"),
        figure("carpet", desc="carpetplot"),
        figure("correlation", desc="confoundcorr"),
        figure("tsnr", **template, desc="tsnr"),
        figure("picture", **template, desc="registration"),
        figure("rois", **template, desc="rois"),
        figure("before_after", desc="coreg" if has_t1w else "epinorm"),
    ]


_MOTION = {
    "precise": "Gauss-Newton least squares, then SimpleITK, Mattes mutual information",
    "fast": "Gauss-Newton least squares",
    "none": "not estimated, every transform is the identity",
}


def _transforms(
    native: Mapping[str, Any], settings: Mapping[str, Any], has_t1w: bool
) -> list[tuple[str, dict[str, Any], dict[str, str]]]:
    """Field, sidecar and entities of each transform of a run."""
    xfm = {"mode": "image", "suffix": "xfm", "extension": ".txt"}
    motion = {**native, "Method": _MOTION[settings["motion"]]}
    outputs = [("motion", motion, {"from_": "orig", "to": "boldref", "desc": "hmc", **xfm})]
    if has_t1w:
        coregistration = {**native, "Method": "SimpleITK, Mattes mutual information, rigid"}
        return [*outputs, ("coregistration", coregistration, {"from_": "boldref", "to": "T1w", "desc": "coreg", **xfm})]
    method = "SimpleITK, Mattes mutual information, affine, to the template in the contrast of a BOLD reference"
    registration = {**native, "Method": method}
    return [
        *outputs,
        ("to_template", registration, {"from_": "boldref", "to": SPACE, **xfm}),
        ("from_template", registration, {"from_": SPACE, "to": "boldref", **xfm}),
    ]


def _registration(settings: Mapping[str, Any]) -> dict[str, str]:
    setting = settings["normalization"]
    return {"Registration": "ANTs affine" if setting == "affine" else "ANTs affine + SyN", "Setting": setting}


def _slice_timing(run: BoldRun, settings: Mapping[str, Any]) -> dict[str, Any]:
    if not settings["slice_timing"] or run.slice_timing is None:
        return {"SliceTimingCorrected": False}
    return {"SliceTimingCorrected": True, "StartTime": round(reference_time(run.slice_timing), 6)}


def task_name(run: BoldRun) -> dict[str, str]:
    """The task as sidecars name it; nothing for a run that has none."""
    return {"TaskName": run.entities["task"]} if "task" in run.entities else {}


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
        "runs.*",
        "methods.md",
        "*.html",
        "*_xfm.*",
        "*_boldref.*",
        "*_timeseries.*",
    ]
    ignore.parent.mkdir(parents=True, exist_ok=True)
    ignore.write_text("\n".join(ignored) + "\n", encoding="utf-8")
