"""Check BOLD runs, raw or preprocessed: the series and what belongs to it are read to their last byte."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gradspec.cohort.confounds import read_confounds
from gradspec.cohort.findings import Finding
from gradspec.cohort.images import ImageFacts, examine_image, require_length, settle_repetition_time
from gradspec.cohort.participants import Participant
from gradspec.cohort.plan import find_bold
from gradspec.cohort.runs import BoldRun
from gradspec.cohort.sidecars import read_sidecars
from gradspec.errors import ParticipantError
from gradspec.progress import track


def examine_bold(people: Sequence[Participant], cohort: Mapping[str, Any], *, whole: bool = True) -> list[Finding]:
    """Check every BOLD run of every participant.

    Parameters
    ----------
    people : sequence of Participant
        Who is looked for.
    cohort : mapping
        The section ``cohort`` of the configuration.
    whole : bool
        Whether images are read to their last byte; otherwise their headers tell.

    Returns
    -------
    list of Finding
        One a participant.

    Raises
    ------
    ConfigError
        If nothing in the data set is asked for.
    """
    root, runs = find_bold([person.id for person in people], cohort)
    preprocessed, findings = cohort["source"] == "fmriprep", []
    for person in track(people, "check images", total=len(people)):
        finding = Finding(person)
        for run in runs[person.id]:
            try:
                finding.runs.append(_examine_run(run, cohort["min_volumes"], preprocessed, whole))
            except ParticipantError as fault:
                finding.faults.append(fault)
        if not runs[person.id]:
            what, remedy = (
                (f"preprocessed BOLD image in space-{cohort['fmriprep']['space']}", "run fMRIPrep again")
                if preprocessed
                else (
                    "BOLD image of the task and runs that are asked for",
                    "add it, or take the participant out of the table",
                )
            )
            finding.faults.append(ParticipantError(f"no {what} in {root / person.id}; {remedy}", participant=person.id))
        elif not preprocessed and any(run.t1w is None for run in runs[person.id]):
            finding.notes.append("has no T1w image: the BOLD reference itself is registered to the template")
        if preprocessed:
            bare = [run.bold.name for run in finding.runs if isinstance(run, BoldRun) and run.confounds is None]
            finding.notes += [f"{name} has no confounds beside it: none can be regressed out" for name in bare]
        findings.append(finding)
    return findings


def _examine_run(run: BoldRun, min_volumes: int, preprocessed: bool, whole: bool) -> BoldRun:
    participant, path = run.participant_id, run.bold
    if preprocessed and run.mask is None:
        raise ParticipantError(
            "has no brain mask (desc-brain_mask) beside it; put one on its grid there",
            participant=participant,
            file=path,
        )
    if run.t1w is not None:
        examine_image(run.t1w, 3, participant, whole=whole)
    facts = examine_image(path, 4, participant, whole=whole)
    n_volumes = facts.shape[3]
    require_length(n_volumes, min_volumes, participant, facts.path)
    if run.mask is not None:
        _require_same_grid(facts, examine_image(run.mask, 3, participant, whole=whole), participant)
    if run.confounds is not None:
        _require_rows(run.confounds, n_volumes, participant)
    metadata = read_sidecars(run)
    return replace(
        run,
        repetition_time=settle_repetition_time(facts, metadata, participant),
        n_volumes=n_volumes,
        grid=facts.grid,
        slice_timing=None if preprocessed else _slice_timing(metadata.get("SliceTiming")),
        slice_encoding_direction=None if preprocessed else metadata.get("SliceEncodingDirection"),
    )


def _slice_timing(times: Any) -> tuple[float, ...] | None:
    """Times of the slices; None for what is no list of numbers, since few need the times."""
    numbers = isinstance(times, list) and times and all(type(time) in (int, float) for time in times)
    return tuple(map(float, times)) if numbers else None


def _require_same_grid(bold: ImageFacts, mask: ImageFacts, participant: str) -> None:
    if mask.shape != bold.shape[:3] or not np.allclose(mask.affine, bold.affine, atol=1e-3):
        raise ParticipantError(
            f"the mask has shape {mask.shape}, but the series {Path(bold.path).name} has {bold.shape[:3]}, or their "
            "affines differ; both must be on one grid",
            participant=participant,
            file=mask.path,
        )


def _require_rows(table: Path, n_volumes: int, participant: str) -> None:
    """Hold the rows of a table of confounds against the length of the series."""
    try:
        rows = len(read_confounds(table))
    except ParticipantError as error:
        raise ParticipantError(error.reason, participant=participant, file=error.file) from error
    if rows != n_volumes:
        raise ParticipantError(
            f"has {rows} rows, but the series has {n_volumes} volumes; run fMRIPrep again",
            participant=participant,
            file=table,
        )
