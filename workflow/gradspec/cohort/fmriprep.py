"""fMRIPrep derivatives: which files belong to a preprocessed run.

Also reads what this workflow's own preprocessing writes. Read when the workflow is planned, so nothing heavy is
imported here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradspec.cohort.layout import NIFTI, ImageFile, Selection, list_files, select_runs
from gradspec.cohort.motion_files import find_motion_files
from gradspec.errors import ConfigError

_CONFOUNDS = ("desc-confounds_timeseries.tsv", "desc-confounds_regressors.tsv")  # the latter until fMRIPrep 20.1


@dataclass(frozen=True)
class PreprocessedRun:
    """The files of one run in template space.

    Attributes
    ----------
    bold : ImageFile
        Preprocessed series.
    mask, confounds : str or None
        Brain mask on the same grid, and table of confounds or motion file; None where there is none.
    """

    bold: ImageFile
    mask: str | None
    confounds: str | None

    @property
    def files(self) -> list[str]:
        """All files of the run that are there, sidecar included."""
        sidecar = self.bold.path.removesuffix(self.bold.entities["extension"]) + ".json"
        names = [self.bold.path, sidecar, self.mask, self.confounds]
        if self.confounds is not None and self.confounds.endswith(".tsv"):
            names.append(self.confounds.removesuffix(".tsv") + ".json")
        return [name for name in names if name is not None and Path(name).exists()]


def find_preprocessed(
    root: str | Path, participants: Sequence[str], section: Mapping[str, Any]
) -> dict[str, list[PreprocessedRun]]:
    """Find the preprocessed runs of each participant in the space that the config asks for.

    Parameters
    ----------
    root : path
        Folder of the derivatives.
    participants : sequence of str
        Participant ids.
    section : mapping
        The section ``cohort.fmriprep`` of the configuration.

    Returns
    -------
    dict
        Runs by participant; an empty list for who has none.

    Raises
    ------
    ConfigError
        If nobody has an image in that space, or if the selection is not clear.
    """
    files = {who: list_files(Path(root, who)) for who in participants}
    preprocessed = {
        who: [image for image in map(ImageFile.from_path, theirs) if _is_preprocessed_bold(image)]
        for who, theirs in files.items()
    }
    resolution = None if section["resolution"] is None else str(section["resolution"])
    in_space = {
        who: [
            image
            for image in theirs
            if image.entities.get("space") == section["space"]
            and (resolution is None or image.entities.get("resolution") == resolution)
        ]
        for who, theirs in preprocessed.items()
    }
    if not any(in_space.values()):
        _refuse_space(root, preprocessed, section)
    _refuse_several_resolutions(in_space)
    chosen = select_runs(in_space, Selection.from_config(section, "cohort.fmriprep"))
    return {who: [_complete(image, set(files[who])) for image in theirs] for who, theirs in chosen.items()}


def _is_preprocessed_bold(image: ImageFile) -> bool:
    entities = image.entities
    return entities["suffix"] == "bold" and entities.get("desc") == "preproc" and entities["extension"] in NIFTI


def _complete(bold: ImageFile, files: set[str]) -> PreprocessedRun:
    """Find the mask and the confounds that go with an image; confounds have no space in their name."""
    folder, name = str(Path(bold.path).parent), Path(bold.path).name
    mask_stem = name.removesuffix(f"desc-preproc_bold{bold.entities['extension']}") + "desc-brain_mask"
    prefix = "_".join(
        part for part in name.split("_")[:-1] if part.partition("-")[0] not in ("space", "res", "den", "desc")
    )
    masks = [str(Path(folder, mask_stem + extension)) for extension in NIFTI]
    tables = [str(Path(folder, f"{prefix}_{ending}")) for ending in _CONFOUNDS]
    confounds = [path for path in tables if path in files][:1] or find_motion_files(bold, files)
    if len(confounds) > 1:
        listed = ", ".join(Path(path).name for path in confounds)
        raise ConfigError(f"{bold.path} has several motion files beside it: {listed}; keep one")
    return PreprocessedRun(
        bold, next((path for path in masks if path in files), None), confounds[0] if confounds else None
    )


def _refuse_space(
    root: str | Path, preprocessed: Mapping[str, Sequence[ImageFile]], section: Mapping[str, Any]
) -> None:
    present = sorted(
        {
            "_".join(
                f"{short}-{image.entities[name]}"
                for short, name in (("space", "space"), ("res", "resolution"))
                if name in image.entities
            )
            or "native space"
            for theirs in preprocessed.values()
            for image in theirs
        }
    )
    wanted = f"space-{section['space']}" + ("" if section["resolution"] is None else f"_res-{section['resolution']}")
    if present:
        raise ConfigError(
            f"{root}: no preprocessed BOLD image in {wanted}; there are {', '.join(present)}. Set "
            "cohort.fmriprep.space and cohort.fmriprep.resolution"
        )
    raise ConfigError(
        f"{root}: no participant ({len(preprocessed)}) has sub-*/[ses-*/]func/*_desc-preproc_bold.nii.gz;"
        " cohort.fmriprep.root must be the folder that holds the sub-* folders of the derivatives"
    )


def _refuse_several_resolutions(in_space: Mapping[str, Sequence[ImageFile]]) -> None:
    for theirs in in_space.values():
        for resolution in {image.entities.get("resolution") for image in theirs}:
            others = [image for image in theirs if image.entities.get("resolution") != resolution]
            if others:
                raise ConfigError(
                    f"cohort.fmriprep.resolution is not set, and {Path(theirs[0].path).parent} holds several: "
                    f"{', '.join(sorted({image.entities.get('resolution') or 'none' for image in theirs}))}; name one"
                )
