"""fMRIPrep derivatives: which files belong to a preprocessed run.

Also reads what this workflow's own preprocessing writes. Read when the workflow is planned, so nothing heavy is
imported here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gradspec.cohort.layout import NIFTI, ImageFile, Selection, bids, list_files, select_runs
from gradspec.cohort.motion_files import find_motion_files
from gradspec.cohort.runs import BoldRun, space_entities
from gradspec.cohort.sidecars import find_sidecars
from gradspec.errors import ConfigError


def find_preprocessed(
    root: str | Path, participants: Sequence[str], section: Mapping[str, Any]
) -> dict[str, list[BoldRun]]:
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
        Runs by participant, with the mask and the confounds that lie beside; an empty list for who has none.

    Raises
    ------
    ConfigError
        If nobody has an image in that space, or if the selection is not clear: two resolutions or two cohorts of a
        template are two grids.
    """
    files = {who: list(map(ImageFile.from_path, list_files(Path(root, who)))) for who in participants}
    preprocessed = {who: list(filter(_is_preprocessed_bold, theirs)) for who, theirs in files.items()}
    wanted = _space_asked_for(section)
    in_space = {
        who: [image for image in theirs if wanted.items() <= image.entities.items()]
        for who, theirs in preprocessed.items()
    }
    if not any(in_space.values()):
        _refuse_space(root, preprocessed, wanted)
    _refuse_several_resolutions(in_space)
    chosen = select_runs(in_space, Selection.from_config(section, "cohort.fmriprep"))
    _refuse_several_cohorts(chosen)
    shared = [ImageFile.from_path(path) for path in Path(root).glob("*.json")]
    return {who: [_complete(who, image, [*shared, *files[who]]) for image in theirs] for who, theirs in chosen.items()}


def _space_asked_for(section: Mapping[str, Any]) -> dict[str, str]:
    """Read the entities of the space, which may have a cohort as fMRIPrep writes it: MNIPediatricAsym:cohort-3."""
    name = f"space-{section['space'].replace(':', '_')}_bold"
    resolution = {} if section["resolution"] is None else {"resolution": str(section["resolution"])}
    return space_entities(ImageFile.from_path(name)) | resolution


def _is_preprocessed_bold(image: ImageFile) -> bool:
    entities = image.entities
    return entities["suffix"] == "bold" and entities.get("desc") == "preproc" and entities["extension"] in NIFTI


def _complete(participant: str, bold: ImageFile, files: Sequence[ImageFile]) -> BoldRun:
    """Find the mask and the confounds that go with an image; confounds have no space in their name."""
    run = BoldRun(participant, Path(bold.path), sidecars=find_sidecars(bold, files))
    folder, there = run.bold.parent, {file.path for file in files}
    in_space = {**run.entities, **run.space, "desc": "brain", "suffix": "mask"}
    masks = [str(folder / bids(in_space, extension=extension)) for extension in NIFTI]
    tables = [
        str(folder / bids(run.entities, desc="confounds", suffix=suffix, extension=".tsv"))
        for suffix in ("timeseries", "regressors")  # the latter until fMRIPrep 20.1
    ]
    confounds = [path for path in tables if path in there][:1] or find_motion_files(bold, there)
    if len(confounds) > 1:
        listed = ", ".join(Path(path).name for path in confounds)
        raise ConfigError(f"{bold.path} has several motion files beside it: {listed}; keep one")
    return replace(
        run,
        mask=next((Path(path) for path in masks if path in there), None),
        confounds=next(map(Path, confounds), None),
    )


def _refuse_space(root: str | Path, preprocessed: Mapping[str, Sequence[ImageFile]], wanted: Mapping[str, str]) -> None:
    spaces = {bids(space_entities(image)) or "native space" for theirs in preprocessed.values() for image in theirs}
    if present := sorted(spaces):
        raise ConfigError(
            f"{root}: no preprocessed BOLD image in {bids(wanted)}; there are {', '.join(present)}. Set "
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


def _refuse_several_cohorts(chosen: Mapping[str, Sequence[ImageFile]]) -> None:
    """Refuse a template with a cohort (of ages, in MNIPediatricAsym) that differs: each cohort is another template."""
    cohorts = sorted({image.entities.get("cohort", "none") for theirs in chosen.values() for image in theirs})
    if len(cohorts) > 1:
        raise ConfigError(
            f"cohort.fmriprep.space has images in several cohorts of the template: {', '.join(cohorts)}; name one, for "
            f"instance cohort.fmriprep.filters: {{cohort: {cohorts[0]}}}"
        )
