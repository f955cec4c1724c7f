"""A file of time courses by itself: columns that are no regions, and what tells rows that are volumes from regions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from gradspec.cohort.arrays import ArrayFile, read_array
from gradspec.cohort.text import is_run
from gradspec.errors import ParticipantError

_TIMES = {"time", "t", "tr", "sec", "second", "seconds"}
_VOLUMES = {"volume", "volumes", "vol", "frame", "frames", "timepoint", "timepoints", "time_point", "scan"}
_INDEX = {"index", "idx", "unnamed: 0", ""}
_LABELS = {"participant_id", "participant", "subject", "subject_id", "sub", "session", "ses", "run"}
_COUNTED = re.compile(r"(?P<stem>.*?)[ _.-]?(?P<number>\d+)")
_NO_STEM = {"", "v", "x", "var", "col", "column", "row", "c", "r", "#"}  # what R, pandas and MATLAB number columns with
_FEWEST_ROWS = 10  # for a column that goes up evenly to be no region


@dataclass(frozen=True)
class Series:
    """What is known of a file of time courses by itself.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns.
    columns, rows : tuple of str
        Their names.
    notes : tuple of str
        What was left out.
    time_axis : int or None
        Axis along which time runs, if the file says so.
    why : str
        How it says so.
    lost : tuple of ndarray of bool
        Series without a signal, if time runs along the rows (first) or the columns (second).
    broken : tuple of ndarray of bool
        Series of which some values are missing or infinite, likewise.
    smoothness : tuple of float
        Mean correlation of neighbours along the rows and along the columns; NaN where the time axis is known.
    """

    shape: tuple[int, int]
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    notes: tuple[str, ...]
    time_axis: int | None
    why: str
    lost: tuple[Bool[np.ndarray, " column"], Bool[np.ndarray, " row"]]
    broken: tuple[Bool[np.ndarray, " column"], Bool[np.ndarray, " row"]]
    smoothness: tuple[float, float]


def read_series(path: str | Path, participant: str, section: Mapping[str, Any]) -> ArrayFile:
    """Read a file of time courses, as it lies in the file, without the columns that count or label the volumes.

    Parameters
    ----------
    path : path
        The file.
    participant : str
        Whose file it is, for messages.
    section : mapping
        The section ``cohort.timeseries`` of the configuration.

    Raises
    ------
    ParticipantError
        If it cannot be read, or a column is named like an index but is none.
    """
    found = read_array(path, participant, section["variable"], "cohort.timeseries.variable", header=section["header"])
    return _without_index(found, participant, path)


def describe_series(found: ArrayFile) -> Series:
    """Say what a file of time courses tells by itself."""
    time_axis, why = _time_axis(found)
    finite = np.isfinite(found.values)
    lost, broken = [], []
    for values, is_finite in ((found.values, finite), (found.values.T, finite.T)):
        lost.append(lost_regions(values))
        broken.append(~is_finite.all(axis=0) & ~lost[-1])
    smoothness = (np.nan, np.nan) if time_axis is not None else (_smoothness(found.values), _smoothness(found.values.T))
    n_rows, n_columns = found.values.shape
    return Series(
        (n_rows, n_columns),
        found.columns,
        found.rows,
        found.notes,
        time_axis,
        why,
        (lost[0], lost[1]),
        (broken[0], broken[1]),
        smoothness,
    )


def lost_regions(values: Float[np.ndarray, "time region"]) -> Bool[np.ndarray, " region"]:
    """Say which regions have no signal: constant (beyond the rounding of a constant), or missing throughout."""
    spread = values.max(axis=0) - values.min(axis=0)
    lost: np.ndarray = spread <= 1e-10 * np.abs(values).max(axis=0)
    if np.isnan(values).any():
        lost = lost | np.isnan(values).all(axis=0)
    return lost


def _without_index(found: ArrayFile, participant: str, path: str | Path) -> ArrayFile:
    """Leave out the columns that count the volumes, give their times, or say whose they are."""
    values, names = found.values, found.columns or ("",) * found.values.shape[1]
    index = _goes_up_evenly(values)
    notes = list(found.notes)
    repetition_time, time_axis = found.repetition_time, found.time_axis
    for at, name in enumerate(names):
        plain, column = name.strip().lower(), values[:, at]
        if index[at]:
            notes.append(f"column {name or at + 1!r} left out: it goes up evenly, like an index")
        elif found.columns and plain in _TIMES | _VOLUMES | _INDEX:
            if not np.all(np.diff(column) > 0):
                raise ParticipantError(
                    f"has a column {name!r}, named like an index of the volumes, which does not go up; rename it if it "
                    "is a region, or take it out",
                    participant=participant,
                    file=path,
                )
            notes.append(f"column {name!r} left out: it counts the volumes")
            index[at] = True
        elif plain in _LABELS and np.all(column == column[0]):
            notes.append(f"column {name!r} left out: it says whose the volumes are")
            index[at] = True
        if index[at] and plain in _TIMES | _VOLUMES:
            time_axis = 0
        if index[at] and plain in _TIMES:
            step = float(np.median(np.diff(column)))
            repetition_time = step if step != 1 else repetition_time  # a time that goes up by one may be a count
    if not index.any():
        return found
    kept = (
        tuple(name for name, is_index in zip(found.columns, index, strict=True) if not is_index)
        if found.columns
        else ()
    )
    if index.all():
        raise ParticipantError("has no column beside an index of the volumes", participant=participant, file=path)
    return replace(
        found,
        values=values[:, ~index],
        columns=kept,
        notes=tuple(notes),
        repetition_time=repetition_time,
        time_axis=time_axis,
    )


def _goes_up_evenly(values: Float[np.ndarray, "row column"]) -> Bool[np.ndarray, " column"]:
    """Say which columns go up by the same step all along, which no signal does."""
    even = np.zeros(values.shape[1], dtype=bool)
    if len(values) < _FEWEST_ROWS:
        return even
    step = values[1] - values[0]
    with np.errstate(invalid="ignore"):
        possible = np.flatnonzero((step > 0) & (np.abs(values[2] - values[1] - step) <= 1e-6 * step))
        for at in possible:
            even[at] = np.all(np.abs(np.diff(values[:, at]) - step[at]) <= 1e-6 * step[at])
    return even


def _time_axis(found: ArrayFile) -> tuple[int | None, str]:
    """Axis along which time runs, and what says so."""
    columns, rows = _kind_of_names(found.columns), _kind_of_names(found.rows)
    if columns == "volumes" or (rows == "regions" and columns != "regions"):
        return 1, "its rows are named like regions" if rows == "regions" else "its columns are named like volumes"
    if columns == "regions" and rows != "regions":
        return 0, "its columns are named like regions"
    if rows == "volumes":
        return 0, "its rows are named like volumes"
    if found.time_axis is not None:
        return found.time_axis, "its format says so"
    return None, ""


def _kind_of_names(names: tuple[str, ...]) -> str:
    """Say whether names are those of ``regions`` or ``volumes``, or ``nothing`` that tells."""
    if not names:
        return "nothing"
    counted = [_COUNTED.fullmatch(name.lower()) for name in names]
    stems = {match["stem"].strip() for match in counted if match}
    if all(counted) and len(stems) == 1:
        (stem,) = stems
        numbers = np.array([int(match["number"]) for match in counted if match], dtype=float)
        if stem in _TIMES | _VOLUMES:
            return "volumes"
        if stem in _NO_STEM:
            return "nothing" if is_run(numbers) else "regions"
    if all(re.fullmatch(r"\d+\[.*\]", name) for name in names):
        return "volumes"  # sub-bricks of AFNI
    return "regions"


def _smoothness(values: Float[np.ndarray, "sample series"]) -> float:
    """Mean correlation of a value with the next, over the series that vary."""
    values = values[:, np.isfinite(values).all(axis=0)]
    centred = values - values.mean(axis=0)
    power = np.square(centred).sum(axis=0)
    varying = power > 0
    if len(values) < 3 or not varying.any():
        return float("nan")
    return float(np.mean((centred[1:] * centred[:-1]).sum(axis=0)[varying] / power[varying]))
