"""The participants table: who belongs to which group, and which file is whose.

Read when the workflow is planned, so nothing heavy is imported here.
"""

import csv
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradspec.errors import ConfigError
from gradspec.files import participant_id

log = logging.getLogger(__name__)

RESERVED = ("participant_id", "group", "status", "reason", "n_runs", "note", "stage")
"""Columns of the cohort's own tables; a covariate cannot have such a name."""

MEAN_FD = "mean_fd"
"""Covariate that is measured of images where the table of participants does not give it."""


@dataclass(frozen=True)
class Participant:
    """One row of the participants table.

    Attributes
    ----------
    id : str
        For example ``sub-01``.
    group : str
        One of the two levels.
    row : dict of str to str
        All cells of the row; ``n/a`` where the table says so.
    """

    id: str
    group: str
    row: Mapping[str, str]


def read_participants(
    table: str | Path, cohort: Mapping[str, Any], *, required: Sequence[str] = ()
) -> list[Participant]:
    """Read the participants of the two groups that are compared.

    Parameters
    ----------
    table : path
        Tab-separated, with the columns ``participant_id`` and the group column.
    cohort : mapping
        The section ``cohort`` of the configuration.
    required : sequence of str
        Further columns that must be there.

    Returns
    -------
    list of Participant
        Sorted by id; who belongs to neither group, or is not asked for, is left out.

    Raises
    ------
    ConfigError
        If the table or a column is missing, an id is double or not a BIDS label, or a group level is absent.
    """
    columns, rows = read_rows(table)
    column, levels, covariates = cohort["group"]["column"], cohort["group"]["levels"], cohort["covariates"]
    measured = [MEAN_FD] if cohort["source"] in ("bids", "fmriprep") else []
    given = [name for name in covariates if name not in measured]
    _require_columns(table, columns, {"cohort.group.column": [column], "cohort.covariates": given})
    _require_columns(table, columns, {"the section of the source": required})
    if reserved := [name for name in covariates if name in RESERVED]:
        raise ConfigError(
            f"cohort.covariates: {', '.join(reserved)} is a column of the cohort's own tables; rename it in {table}"
        )
    everybody = [Participant(identity, row[column], row) for identity, row in _identified(table, rows)]
    return _compared(table, _asked_for(table, everybody, cohort["participants"]), column, levels)


def require_group_sizes(groups: Mapping[str, str], levels: Sequence[str], folds: int, remedy: str) -> None:
    """Check that every fold can hold a participant of each group.

    Parameters
    ----------
    groups : mapping
        Group of each participant, by id.
    levels : sequence of str
        The two groups.
    folds : int
        Folds of the cross-validation.
    remedy : str
        What to look at, added to the message.

    Raises
    ------
    ConfigError
        If a group has fewer participants than there are folds.
    """
    counts = Counter(groups.values())
    if short := [level for level in levels if counts[level] < folds]:
        found = ", ".join(f"{level}: {counts[level]}" for level in levels)
        raise ConfigError(
            f"training.folds is {folds}, but group {' and '.join(map(repr, short))} has fewer participants than that "
            f"({found}); {remedy}"
        )


def read_rows(table: str | Path) -> tuple[list[str], list[dict[str, str]]]:
    """Read a tab-separated table as text.

    Returns
    -------
    columns : list of str
    rows : list of dict
        Cells without blanks around them.

    Raises
    ------
    ConfigError
        If the file is missing, empty, not UTF-8, has rows of unequal length, or no column ``participant_id``.
    """
    path = Path(table)
    if not path.is_file():
        raise ConfigError(f"{table}: there is no participants table; it must have a row a participant, tab-separated")
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            lines = [[cell.strip() for cell in line] for line in csv.reader(stream, delimiter="\t") if any(line)]
    except UnicodeDecodeError as error:
        raise ConfigError(f"{table}: is not encoded in UTF-8 ({error}); save it as UTF-8 text") from error
    except csv.Error as error:
        raise ConfigError(f"{table}: is not a tab-separated table ({error}); export it again") from error
    if not lines:
        raise ConfigError(f"{table}: is empty; a header and a row a participant are expected")
    columns, *rows = lines
    if "participant_id" not in columns:
        hint = " (is it separated by commas? tabs are expected)" if len(columns) == 1 else ""
        raise ConfigError(f"{table}: has no column 'participant_id'{hint}; its columns are {', '.join(columns)}")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(columns):
            raise ConfigError(f"{table}, row {number}: has {len(row)} cells, but the header has {len(columns)}")
    if not rows:
        raise ConfigError(f"{table}: lists no participants, only a header")
    return columns, [dict(zip(columns, row, strict=True)) for row in rows]


def _require_columns(table: str | Path, columns: Sequence[str], wanted: Mapping[str, Sequence[str]]) -> None:
    for key, names in wanted.items():
        if absent := [name for name in names if name not in columns]:
            raise ConfigError(
                f"{table}: has no column {', '.join(map(repr, absent))}, named by {key}; its columns are "
                f"{', '.join(columns)}. Add the column to the table, or name another one in the config"
            )


def _identified(table: str | Path, rows: Sequence[Mapping[str, str]]) -> list[tuple[str, Mapping[str, str]]]:
    """Give every row its participant id, and refuse what is double or not a BIDS label."""
    first_row: dict[str, int] = {}
    identified = []
    for number, row in enumerate(rows, start=2):
        try:
            identity = participant_id(row["participant_id"])
        except ConfigError as error:
            raise ConfigError(f"{table}, row {number}: participant_id {error}") from error
        if identity in first_row:
            raise ConfigError(
                f"{table}: participant {identity} is listed twice, in rows {first_row[identity]} and {number}; keep "
                "one row a participant (several sessions of a person are told apart by their file names)"
            )
        first_row[identity] = number
        identified.append((identity, row))
    return sorted(identified, key=lambda pair: pair[0])


def _asked_for(table: str | Path, everybody: list[Participant], restriction: Sequence[str]) -> list[Participant]:
    wanted = {participant_id(value) for value in restriction}
    if unknown := sorted(wanted - {person.id for person in everybody}):
        raise ConfigError(f"cohort.participants: {', '.join(unknown)} is not in {table}")
    return [person for person in everybody if not wanted or person.id in wanted]


def _compared(table: str | Path, people: list[Participant], column: str, levels: Sequence[str]) -> list[Participant]:
    present = sorted({person.group for person in people})
    if absent := [level for level in levels if level not in present]:
        raise ConfigError(
            f"{table}: nobody has {column} = {' or '.join(map(repr, absent))}; its values are "
            f"{', '.join(map(repr, present))}. Name the two groups in cohort.group.levels"
        )
    neither = [person.id for person in people if person.group not in levels]
    if neither:
        log.info("%d participants belong to neither group and take no part: %s", len(neither), ", ".join(neither))
    return [person for person in people if person.group in levels]
