"""Time courses of regions, one file a participant: their checks, and the cohort's data set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from gradspec.cohort.arrays import read_array
from gradspec.cohort.datasets import numbered, timecourses_dataset
from gradspec.cohort.findings import Finding, Run
from gradspec.cohort.participants import Participant, participants_table
from gradspec.cohort.plan import data_file
from gradspec.errors import ParticipantError
from gradspec.progress import track

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_KEY = "cohort.timeseries.variable"


def examine_timeseries(people: Sequence[Participant], cohort: Mapping[str, Any]) -> list[Finding]:
    """Check the time courses of every participant.

    Parameters
    ----------
    people : sequence of Participant
        Rows of the participants table.
    cohort : mapping
        The section ``cohort`` of the configuration.

    Returns
    -------
    list of Finding
        One a participant.
    """
    table, section = participants_table(cohort), cohort["timeseries"]
    findings = []
    for person in track(people, "check time series", total=len(people)):
        finding = Finding(person)
        try:
            run, notes = _examine_file(
                person.id, data_file(person, section["file_column"], table), section, cohort["min_volumes"]
            )
            finding.runs.append(run)
            finding.notes += notes
        except ParticipantError as fault:
            finding.faults.append(fault)
        findings.append(finding)
    return findings


def read_timecourses(participants: "pd.DataFrame", runs: "pd.DataFrame", cohort: Mapping[str, Any]) -> "xr.Dataset":
    """Read the time courses of the cohort.

    Parameters
    ----------
    participants, runs : DataFrame
        ``cohort/participants.tsv`` and ``cohort/runs.tsv``.
    cohort : mapping
        The section ``cohort`` of the configuration.

    Returns
    -------
    Dataset
        Variable ``timecourses`` (participant, time, component); longer series are cut to the common length, and
        regions without variance are zero.
    """
    used = runs[runs["participant_id"].isin(participants["participant_id"])]
    length = int(used["n_volumes"].min())
    series: list[np.ndarray] = []
    names: tuple[str, ...] = ()
    for row in track(used.itertuples(), "read time series", total=len(used)):
        values, names = read_array(row.file, row.participant_id, cohort["timeseries"]["variable"], _KEY)
        series.append(np.where(constant_regions(values[:length]), 0.0, values[:length]))
    stacked = np.stack(series)
    return timecourses_dataset(
        stacked,
        list(used["participant_id"]),
        [""] * len(used),
        names or numbered("region", stacked.shape[2]),
        cohort["timeseries"]["repetition_time"],
    )


def constant_regions(values: Float[np.ndarray, "time region"]) -> Bool[np.ndarray, " region"]:
    """Say which regions do not vary (beyond the rounding of a constant) over time."""
    spread = values.max(axis=0) - values.min(axis=0)
    constant: np.ndarray = spread <= 1e-10 * np.abs(values).max(axis=0)
    return constant


def _examine_file(
    participant: str, path: Path | None, section: Mapping[str, Any], min_volumes: int
) -> tuple[Run, list[str]]:
    if path is None:
        raise ParticipantError(
            f"the participants table names no file in column {section['file_column']!r}; add it or take the row out",
            participant=participant,
        )

    def fault(reason: str) -> ParticipantError:
        return ParticipantError(reason, participant=participant, file=path)

    values, names = read_array(path, participant, section["variable"], _KEY)
    n_volumes, n_regions = values.shape
    labels = names or tuple(str(index + 1) for index in range(n_regions))
    if n_volumes < min_volumes:
        raise fault(
            f"has {n_volumes} volumes (rows), but cohort.min_volumes asks for {min_volumes}; lower it, or turn the "
            "file if its rows are regions"
        )
    if not np.isfinite(values).all():
        bad = _named(labels, ~np.isfinite(values).all(axis=0))
        raise fault(f"holds NaN or infinite values in region {bad}; export it again or take the row out")
    constant = constant_regions(values)
    if constant.mean() > section["max_constant"]:
        raise fault(
            f"{constant.sum()} of {n_regions} regions have zero variance, more than the share "
            f"cohort.timeseries.max_constant = {section['max_constant']:g} allows: {_named(labels, constant)}"
        )
    notes = [f"zero variance in region {_named(labels, constant)}, kept as zeros"] if constant.any() else []
    run = Run(
        file=str(path),
        repetition_time=section["repetition_time"],
        n_volumes=n_volumes,
        form=f"{n_regions} regions",
        names=names,
    )
    return run, notes


def _named(labels: Sequence[str], chosen: Bool[np.ndarray, " region"], most: int = 10) -> str:
    names = [label for label, is_chosen in zip(labels, chosen, strict=True) if is_chosen]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
