"""Check preprocessed runs: the series, its brain mask and its confounds belong together and can be read."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gradspec.cohort.findings import Finding, Run
from gradspec.cohort.fmriprep import PreprocessedRun, find_preprocessed
from gradspec.cohort.images import ImageFacts, examine_image, require_length, settle_repetition_time
from gradspec.cohort.layout import require_folder
from gradspec.cohort.participants import Participant
from gradspec.errors import ParticipantError
from gradspec.files import read_json
from gradspec.progress import track


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
    root = require_folder(section["root"], "cohort.fmriprep.root").resolve()
    runs = find_preprocessed(root, [person.id for person in people], section)
    findings = []
    for person in track(people, "check images", total=len(people)):
        finding = Finding(person)
        for run in runs[person.id]:
            try:
                finding.runs.append(_examine_run(run, person.id, min_volumes))
            except ParticipantError as fault:
                finding.faults.append(fault)
        if not runs[person.id]:
            reason = f"no preprocessed BOLD image in space-{section['space']} in {root / person.id}; run fMRIPrep again"
            finding.faults.append(ParticipantError(reason, participant=person.id))
        findings.append(finding)
    return findings


def _examine_run(run: PreprocessedRun, participant: str, min_volumes: int) -> Run:
    path = run.bold.path
    for what, companion in (("brain mask (desc-brain_mask)", run.mask), ("table of confounds", run.confounds)):
        if companion is None:
            raise ParticipantError(f"has no {what} beside it; run fMRIPrep again", participant=participant, file=path)
    assert run.mask is not None and run.confounds is not None
    facts = examine_image(path, 4, participant)
    n_volumes = facts.shape[3]
    require_length(n_volumes, min_volumes, participant, path)
    _require_same_grid(facts, examine_image(run.mask, 3, participant), participant)
    _require_rows(run.confounds, n_volumes, participant)
    session, task, label = run.bold.key
    return Run(
        session=session,
        task=task,
        run=label,
        bold=path,
        mask=run.mask,
        confounds=run.confounds,
        repetition_time=settle_repetition_time(facts, _sidecar(run, participant), participant),
        n_volumes=n_volumes,
    )


def _require_same_grid(bold: ImageFacts, mask: ImageFacts, participant: str) -> None:
    if mask.shape != bold.shape[:3] or not np.allclose(mask.affine, bold.affine, atol=1e-3):
        raise ParticipantError(
            f"the mask has shape {mask.shape}, but the series {Path(bold.path).name} has {bold.shape[:3]}, or their "
            "affines differ; both must be on one grid",
            participant=participant,
            file=mask.path,
        )


def _require_rows(table: str, n_volumes: int, participant: str) -> None:
    """Count the rows of a table of confounds."""
    try:
        with Path(table).open(newline="", encoding="utf-8") as stream:
            rows = sum(1 for line in csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE) if line) - 1
    except (UnicodeDecodeError, csv.Error) as error:
        raise ParticipantError(
            f"is not a tab-separated table ({error})", participant=participant, file=table
        ) from error
    if rows != n_volumes:
        raise ParticipantError(
            f"has {max(rows, 0)} rows, but the series has {n_volumes} volumes; run fMRIPrep again",
            participant=participant,
            file=table,
        )


def _sidecar(run: PreprocessedRun, participant: str) -> Mapping[str, Any]:
    path = run.bold.path.removesuffix(run.bold.entities["extension"]) + ".json"
    if not Path(path).exists():
        return {}
    try:
        sidecar = read_json(path)
    except (ValueError, RecursionError) as error:
        raise ParticipantError(
            f"is not valid JSON ({error}); correct it", participant=participant, file=path
        ) from error
    if not isinstance(sidecar, dict):
        raise ParticipantError("holds no JSON object; correct it", participant=participant, file=path)
    return sidecar
