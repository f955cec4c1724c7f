"""Check preprocessed runs: the series, its brain mask and its confounds belong together and can be read."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gradspec.cohort.confounds import read_confounds
from gradspec.cohort.findings import Finding, examine_runs
from gradspec.cohort.fmriprep import find_preprocessed
from gradspec.cohort.images import ImageFacts, examine_image, require_length, settle_repetition_time
from gradspec.cohort.layout import require_folder
from gradspec.cohort.participants import Participant
from gradspec.cohort.runs import BoldRun
from gradspec.cohort.sidecars import read_sidecars
from gradspec.errors import ParticipantError


def examine_derivatives(people: Sequence[Participant], section: Mapping[str, Any], min_volumes: int) -> list[Finding]:
    """Check every preprocessed run of every participant.

    Parameters
    ----------
    people : sequence of Participant
        Who is looked for.
    section : mapping
        The section ``cohort.fmriprep`` of the configuration.
    min_volumes : int
        A run with fewer volumes is left out.

    Returns
    -------
    list of Finding
        One a participant.
    """
    root = require_folder(section["root"], "cohort.fmriprep.root")
    findings = examine_runs(
        people,
        find_preprocessed(root, [person.id for person in people], section),
        partial(_examine_run, min_volumes=min_volumes),
        lambda participant: (
            f"no preprocessed BOLD image in space-{section['space']} in {root / participant}; run fMRIPrep again"
        ),
    )
    for finding in findings:
        bare = [run.bold.name for run in finding.runs if isinstance(run, BoldRun) and run.confounds is None]
        finding.notes += [f"{name} has no confounds beside it: none can be regressed out" for name in bare]
    return findings


def _examine_run(run: BoldRun, min_volumes: int) -> BoldRun:
    participant, path = run.participant_id, run.bold
    if run.mask is None:
        raise ParticipantError(
            "has no brain mask (desc-brain_mask) beside it; put one on its grid there",
            participant=participant,
            file=path,
        )
    facts = examine_image(path, 4, participant)
    n_volumes = facts.shape[3]
    require_length(n_volumes, min_volumes, participant, facts.path)
    _require_same_grid(facts, examine_image(run.mask, 3, participant), participant)
    if run.confounds is not None:
        _require_rows(run.confounds, n_volumes, participant)
    repetition_time = settle_repetition_time(facts, read_sidecars(run), participant)
    return replace(run, repetition_time=repetition_time, n_volumes=n_volumes)


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
