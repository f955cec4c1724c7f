"""Time courses of regions, one file a participant: their checks, and the cohort's data set."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool

from gradspec.cohort.datasets import numbered, timecourses_dataset
from gradspec.cohort.findings import DataFile, Finding
from gradspec.cohort.participants import Participant, participants_table
from gradspec.cohort.plan import data_file
from gradspec.cohort.runs import REPETITION_TIME_TOLERANCE
from gradspec.cohort.series import Series, describe_series, lost_regions, read_series
from gradspec.errors import ConfigError, ParticipantError
from gradspec.progress import track

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_ORIENTATION = "cohort.timeseries.orientation"
_AXES = {"volumes-in-rows": 0, "regions-in-rows": 1}
_TURNED = "regions in rows"
_N_VOLUMES = "n_volumes"  # column of the participants table


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

    Raises
    ------
    ConfigError
        If nothing says whether the rows of the files are volumes or regions.
    """
    table, section = participants_table(cohort), cohort["timeseries"]
    findings, read = [], []
    for person in track(people, "check time series", total=len(people)):
        finding = Finding(person)
        findings.append(finding)
        try:
            path = _file_of(person, section, table)
            found = read_series(path, person.id, section)
            time = _repetition_time(person, section, found.repetition_time, path)
            read.append((finding, path, describe_series(found), time))
        except ParticipantError as fault:
            finding.faults.append(fault)
    axes = _time_axes([(finding.participant, path, series) for finding, path, series, _ in read], section)
    for (finding, path, series, time), axis in zip(read, axes, strict=True):
        try:
            run, notes = _judge(finding.participant.id, path, series, axis, section, cohort["min_volumes"], time)
            finding.runs.append(run)
            finding.notes += notes
        except ParticipantError as fault:
            finding.faults.append(fault)
    return findings


def read_timecourses(participants: "pd.DataFrame", runs: "pd.DataFrame", cohort: Mapping[str, Any]) -> "xr.Dataset":
    """Read the time courses of the cohort.

    Parameters
    ----------
    participants, runs : DataFrame
        ``cohort/checked.tsv`` and ``cohort/runs.tsv``.
    cohort : mapping
        The section ``cohort`` of the configuration.

    Returns
    -------
    Dataset
        Variable ``timecourses`` (participant, time, component); longer series are cut to the common length, and
        regions without a signal are zero.
    """
    used = runs[runs["participant_id"].isin(participants["participant_id"])]
    length = cohort["n_volumes"] or int(used["n_volumes"].min())
    stacked = np.empty((0, length, 0), np.float32)
    names: tuple[str, ...] = ()
    for at, row in enumerate(track(used.itertuples(), "read time series", total=len(used))):
        found = read_series(row.file, row.participant_id, cohort["timeseries"])
        values, names = (found.values.T, found.rows) if row.reading == _TURNED else (found.values, found.columns)
        if not at:  # as much as the data set takes, and beside it one file at a time
            stacked = np.empty((len(used), length, values.shape[1]), np.float32)
        stacked[at] = np.where(lost_regions(values), 0.0, values)[:length]
        stacked[at, :, lost_regions(stacked[at])] = 0.0  # what varies only in the part that is cut off
    return timecourses_dataset(
        stacked,
        list(used["participant_id"]),
        [""] * len(used),
        names or numbered("region", stacked.shape[2]),
        float(used["repetition_time"].median()),
    )


def _file_of(person: Participant, section: Mapping[str, Any], table: Path) -> Path:
    path = data_file(person, section["file_column"], table)
    if path is None:
        raise ParticipantError(
            f"the participants table names no file in column {section['file_column']!r}; add it or take the row out",
            participant=person.id,
        )
    return path


def _repetition_time(person: Participant, section: Mapping[str, Any], own: float | None, path: Path) -> float:
    """Repetition time of the config or of the participants table; one in the file itself must agree."""
    stated = section["repetition_time"]
    where = "cohort.timeseries.repetition_time"
    if isinstance(stated, str):
        where = f"column {stated!r} of the participants table"
        if stated not in person.row:
            raise ConfigError(
                f"cohort.timeseries.repetition_time: the participants table has no column {stated!r}; name one, or "
                "give seconds"
            )
        try:
            stated = float(person.row[stated])
        except ValueError:
            stated = 0.0
        if not 0 < stated < np.inf:
            raise ParticipantError(
                f"{where} is {person.row[section['repetition_time']]!r}; a number of seconds is expected",
                participant=person.id,
            )
    if own is not None and not any(
        np.isclose(own, scale * stated, rtol=REPETITION_TIME_TOLERANCE, atol=0) for scale in (1, 1000)
    ):
        raise ParticipantError(
            f"has a volume every {own:g} (seconds or milliseconds) by itself, but {where} is {stated:g} s; correct the "
            "one that is wrong",
            participant=person.id,
            file=path,
        )
    return float(stated)


def _time_axes(files: Sequence[tuple[Participant, Path, Series]], section: Mapping[str, Any]) -> list[int]:
    """Axis along which time runs, file by file; what a file does not say itself, the others may."""
    if section["orientation"] != "auto":
        return [_AXES[section["orientation"]]] * len(files)
    own = [_own_axis(person, series) for person, _, series in files]
    counts = Counter(
        series.shape[1 - axis] for (_, _, series), axis in zip(files, own, strict=True) if axis is not None
    )
    unknown = [series for (_, _, series), axis in zip(files, own, strict=True) if axis is None]
    if not unknown:
        return [axis for axis in own if axis is not None]
    n_regions = counts.most_common(1)[0][0] if counts else None
    common = _axis_by_lengths(unknown) if n_regions is None else None
    axes: list[int] = []
    for (_, path, series), axis in zip(files, own, strict=True):
        if axis is None and n_regions is not None and (series.shape[0] == n_regions) != (series.shape[1] == n_regions):
            axis = 1 if series.shape[0] == n_regions else 0
        axis = common if axis is None else axis
        if axis is None:
            raise _unknown_orientation(path, series, unknown)
        axes.append(axis)
    return axes


def _own_axis(person: Participant, series: Series) -> int | None:
    """Axis of time by the file's names or format, or by the number of volumes in the participants table."""
    stated = person.row.get(_N_VOLUMES, "")
    counted = None
    if stated.isdecimal() and (series.shape[0] == int(stated)) != (series.shape[1] == int(stated)):
        counted = 0 if series.shape[0] == int(stated) else 1
    if counted is not None and series.why in ("", "its format says so"):
        return counted
    return series.time_axis


def _axis_by_lengths(files: Sequence[Series]) -> int | None:
    """Axis of time of files without names: atlases have one size and runs several, and signals are smooth in time."""
    sizes = [len({series.shape[axis] for series in files}) for axis in (0, 1)]
    if (sizes[0] > 1) == (sizes[1] > 1):
        return None
    axis = 0 if sizes[0] > 1 else 1
    along, across = (float(np.nanmedian([series.smoothness[each] for series in files])) for each in (axis, 1 - axis))
    return axis if along > across + 0.1 else None


def _unknown_orientation(path: Path, series: Series, files: Sequence[Series]) -> ConfigError:
    down, along = np.nanmedian([each.smoothness for each in files], axis=0)
    hint = ""
    if abs(down - along) > 0.1:  # signals of the brain are smooth in time
        suggested, where = ("volumes-in-rows", "columns") if down > along else ("regions-in-rows", "rows")
        hint = (
            f" (neighbours are more alike along the {where}, r = {max(down, along):.2f} and {min(down, along):.2f}, "
            f"which suggests {suggested})"
        )
    return ConfigError(
        f"{path}: nothing says whether its {series.shape[0]} rows are volumes or regions, as of {len(files)} files of "
        f"the cohort; write {_ORIENTATION}: volumes-in-rows or regions-in-rows{hint}, or give the column {_N_VOLUMES} "
        "in the participants table"
    )


def _judge(
    participant: str,
    path: Path,
    series: Series,
    axis: int,
    section: Mapping[str, Any],
    min_volumes: int,
    repetition_time: float,
) -> tuple[DataFile, list[str]]:
    def fault(reason: str) -> ParticipantError:
        return ParticipantError(reason, participant=participant, file=path)

    n_volumes, n_regions = series.shape[axis], series.shape[1 - axis]
    names = (series.columns, series.rows)[axis]
    labels = names or tuple(str(index + 1) for index in range(n_regions))
    lines = ("rows", "columns")[axis]
    if n_volumes < min_volumes:
        other = next(name for name, at in _AXES.items() if at != axis)
        raise fault(
            f"has {n_volumes} volumes ({lines}), but cohort.min_volumes asks for {min_volumes}; lower it, or write "
            f"{_ORIENTATION}: {other} if its {lines} are regions"
        )
    if series.broken[axis].any():
        raise fault(
            f"holds NaN or infinite values, though not throughout, in region {_named(labels, series.broken[axis])}; "
            "export it again or take the row out"
        )
    lost = series.lost[axis]
    if lost.mean() > section["max_constant"]:
        raise fault(
            f"{lost.sum()} of {n_regions} regions have no signal (constant, or missing throughout), more than the "
            f"share cohort.timeseries.max_constant = {section['max_constant']:g} allows: {_named(labels, lost)}"
        )
    notes = [*series.notes]
    if lost.any():
        notes.append(f"no signal in region {_named(labels, lost)}, kept as zeros")
    if axis == 1:
        notes.append(f"read with regions in rows{f': {series.why}' if series.time_axis == 1 else ''}")
    run = DataFile(
        file=str(path),
        repetition_time=repetition_time,
        n_volumes=n_volumes,
        form=f"{n_regions} regions",
        names=names,
        reading=_TURNED if axis else "",
    )
    return run, notes


def _named(labels: Sequence[str], chosen: Bool[np.ndarray, " region"], most: int = 10) -> str:
    names = [label for label, is_chosen in zip(labels, chosen, strict=True) if is_chosen]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
