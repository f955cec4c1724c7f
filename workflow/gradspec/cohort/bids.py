"""Check the images of raw BIDS: the T1w image and every BOLD run, to their last byte."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from gradspec.cohort.findings import Finding, examine_runs
from gradspec.cohort.images import examine_image, require_length, settle_repetition_time
from gradspec.cohort.layout import require_folder
from gradspec.cohort.participants import Participant
from gradspec.cohort.raw import find_raw
from gradspec.cohort.runs import BoldRun
from gradspec.cohort.sidecars import read_sidecars


def examine_bids(people: Sequence[Participant], section: Mapping[str, Any], min_volumes: int) -> list[Finding]:
    """Check the T1w image and the BOLD runs of every participant.

    Parameters
    ----------
    people : sequence of Participant
        Who is looked for.
    section : mapping
        The section ``cohort.bids`` of the configuration.
    min_volumes : int
        A run with fewer volumes is left out.

    Returns
    -------
    list of Finding
        One a participant.

    Raises
    ------
    ConfigError
        If nothing in the data set is asked for.
    """
    root = require_folder(section["root"], "cohort.bids.root")
    findings = examine_runs(
        people,
        find_raw(root, [person.id for person in people], section),
        partial(_examine_run, min_volumes=min_volumes),
        lambda participant: (
            f"no BOLD image of the task and runs that are asked for in {root / participant}; add it, or take the "
            "participant out of participants.tsv"
        ),
    )
    for finding in findings:
        if any(run.t1w is None for run in finding.runs if isinstance(run, BoldRun)):
            finding.notes.append("has no T1w image: the BOLD reference itself is registered to the template")
    return findings


def _examine_run(run: BoldRun, min_volumes: int) -> BoldRun:
    if run.t1w is not None:
        examine_image(run.t1w, 3, run.participant_id)
    facts = examine_image(run.bold, 4, run.participant_id)
    require_length(facts.shape[3], min_volumes, run.participant_id, facts.path)
    metadata = read_sidecars(run)
    return replace(
        run,
        repetition_time=settle_repetition_time(facts, metadata, run.participant_id),
        n_volumes=facts.shape[3],
        slice_timing=_slice_timing(metadata.get("SliceTiming")),
        slice_encoding_direction=metadata.get("SliceEncodingDirection"),
    )


def _slice_timing(times: Any) -> tuple[float, ...] | None:
    """Times of the slices; None for what is no list of numbers, since few need the times."""
    numbers = isinstance(times, list) and times and all(type(time) in (int, float) for time in times)
    return tuple(map(float, times)) if numbers else None
