"""The participants table: who belongs to which group, who takes no part and why, and which file is whose.

Read when the workflow is planned, so nothing heavy is imported here.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gradspec.cohort.covariates import Limits, check_covariate
from gradspec.cohort.groups import group_of, kept_values, nearly
from gradspec.cohort.identities import find_listed, identify, join_ids
from gradspec.cohort.joined import JoinedTables, find_joined
from gradspec.cohort.layout import require_folder
from gradspec.cohort.tables import NOT_AVAILABLE, Missing, Table, is_number, read_rows
from gradspec.errors import ConfigError

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
        All cells of the row; ``n/a`` where one is missing.
    notes : sequence of str
        What is worth knowing of the row, such as another spelling of the id.
    """

    id: str
    group: str
    row: Mapping[str, str]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class ListedPerson:
    """A row of the participants table, whether the person takes part or not.

    Attributes
    ----------
    line : int
        Where it stands in the file.
    listed_as : str
        The id as the table spells it.
    id : str
        The id of the data set.
    value : str
        Value of the group column.
    group : str or None
        The level that the value makes.
    asked_for : bool
        Whether ``cohort.participants`` leaves the person in.
    row : dict of str to str
    notes : tuple of str
    """

    line: int
    listed_as: str
    id: str
    value: str
    group: str | None
    asked_for: bool
    row: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @property
    def takes_part(self) -> bool:
        """Whether the person enters the cohort."""
        return self.group is not None and self.asked_for


@dataclass(frozen=True)
class Roster:
    """Everybody whom the participants table lists, and what was met on reading it.

    Attributes
    ----------
    path : str
    people : list of ListedPerson
        In the order of the table.
    missing : list of Missing
        Cells that are taken as missing, of all tables.
    warnings : list of str
    """

    path: str
    people: list[ListedPerson]
    missing: list[Missing]
    warnings: list[str]

    @property
    def remarks(self) -> list[str]:
        """What is to be told before anything runs: the warnings, who takes no part, and what counts as missing."""
        outside = Counter(person.value for person in self.people if person.group is None)
        said = list(self.warnings)
        if outside:
            values = ", ".join(f"{value!r} ({count})" for value, count in outside.most_common())
            said.append(
                f"{self.path}: {outside.total()} of {len(self.people)} rows are of neither group and take no part, by "
                f"value of the group column: {values}"
            )
        if self.missing:
            cells = ", ".join(f"{each.column} {each.spelling!r} ({each.n_rows})" for each in self.missing)
            said.append(f"{self.path}: taken as missing, with the number of rows: {cells}")
        return said


def read_participants(
    table: str | Path, cohort: Mapping[str, Any], *, required: Sequence[str] = ()
) -> list[Participant]:
    """Read the participants of the two groups that are compared.

    Parameters
    ----------
    table, cohort, required
        As of `read_roster`, which also says what is refused.

    Returns
    -------
    list of Participant
        Sorted by id; who belongs to neither group, or is not asked for, is left out.
    """
    people = read_roster(table, cohort, required=required).people
    taking_part = [person for person in people if person.takes_part]
    return [
        Participant(person.id, person.group or "", person.row, person.notes)
        for person in sorted(taking_part, key=lambda person: person.id)
    ]


def read_roster(table: str | Path, cohort: Mapping[str, Any], *, required: Sequence[str] = ()) -> Roster:
    """Read everybody whom the participants table lists.

    Parameters
    ----------
    table : path
        A row a participant, with the column ``participant_id``; the column of the group and the covariates stand there
        or in one of ``cohort.tables``.
    cohort : mapping
        The section ``cohort`` of the configuration.
    required : sequence of str
        Further columns that must be there.

    Returns
    -------
    Roster

    Raises
    ------
    ConfigError
        If a table or a column is missing, an id is double, not to be told from another or not a BIDS label, a group has
        nobody, or a covariate is neither numbers nor categories.
    """
    listed = read_rows(table, missing_values=cohort["missing_values"], keep=kept_values(cohort))
    column, covariates = cohort["group"]["column"], cohort["covariates"]
    if reserved := [name for name in covariates if name in RESERVED]:
        raise ConfigError(
            f"cohort.covariates: {', '.join(reserved)} is a column of the cohort's own tables; rename it in {table}"
        )
    spellings = _identified(listed)
    names = _names_in_data(spellings, table, cohort)
    root = data_root(table, cohort)
    joined = JoinedTables(cohort, spellings, {who: root / name for who, name in names.items()})
    measured = [MEAN_FD] if cohort["source"] in ("bids", "fmriprep") else []
    given = [name for name in covariates if name not in measured or name in (*listed.columns, *joined.columns)]
    known = replace(listed, columns=[*listed.columns, *joined.columns])
    known.require({"cohort.group.column": [column], "cohort.covariates": given})
    listed.require({"the section of the source": required})
    rows = _with_joined(listed, list(spellings), joined, [column, *given])
    wanted = _asked_for(cohort["participants"], names, spellings, table)
    people = []
    for line, (who, spelling), row in zip(listed.lines, spellings.items(), rows, strict=True):
        notes = [f"is {spelling!r} in {listed.name}"] if names[who].removeprefix("sub-") != _bare(spelling) else []
        notes += joined.notes.get(who, [])
        group = group_of(row[column], cohort["group"])
        is_asked_for = wanted is None or names[who] in wanted
        people.append(ListedPerson(line, spelling, names[who], row[column], group, is_asked_for, row, tuple(notes)))
    _require_groups(people, cohort, table)
    warnings = _warn_of_values(people, cohort["group"], table)
    for name in given:
        cells = {person.id: person.row[name] for person in people if person.takes_part}
        if not (name in measured and set(cells.values()) == {NOT_AVAILABLE}):
            is_category = listed.is_category(name) or joined.is_category(name)
            warnings += check_covariate(
                name, cells, table=str(table), is_category=is_category, limits=_limits(listed, name)
            )
    return Roster(str(table), people, [*listed.missing, *joined.missing], warnings)


def participants_table(cohort: Mapping[str, Any]) -> Path:
    """Return the path of the participants table of a source that has one.

    Raises
    ------
    ConfigError
        If the key that names it is not set, or the data set is missing.
    """
    source = cohort["source"]
    section = cohort[source]
    if section.get("participants"):
        return Path(section["participants"]).expanduser()
    if source in ("bids", "fmriprep"):
        table = require_folder(section["root"], f"cohort.{source}.root") / "participants.tsv"
        if source == "fmriprep" and not table.is_file():
            raise ConfigError(
                f"{table} does not exist: derivatives often come without it; name the table that holds the groups in "
                "cohort.fmriprep.participants"
            )
        return table
    raise ConfigError(
        f"cohort.{source}.participants is not set: name the tab-separated table that lists the participants there"
    )


def find_tables(cohort: Mapping[str, Any], participants: Sequence[str]) -> list[str]:
    """List the participants table, those of ``cohort.tables`` and their sidecars: a changed one is read again."""
    table = participants_table(cohort)
    paths = [table, *find_joined(cohort, data_root(table, cohort), participants)]
    every = [file for path in paths for file in (path, path.with_suffix(".json"))]
    return list(dict.fromkeys(str(path) for path in every if path.is_file()))


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


def _identified(table: Table) -> dict[str, str]:
    """Return how the table spells each id, and refuse what is double or not a BIDS label."""
    first: dict[str, int] = {}
    spellings: dict[str, str] = {}
    for line, row in zip(table.lines, table.rows, strict=True):
        spelling = row["participant_id"]
        try:
            who = identify(spelling)
        except ConfigError as error:
            raise ConfigError(f"{table.path}, line {line}: participant_id {error}") from error
        if who in first:
            both = "" if spellings[who] == spelling else f" (as {spellings[who]!r} and {spelling!r})"
            raise ConfigError(
                f"{table.path}: participant {who} is listed twice, in lines {first[who]} and {line}{both}; keep one "
                "row a participant (several sessions of a person are told apart by their file names)"
            )
        first[who] = line
        spellings[who] = spelling
    return spellings


def _bare(spelling: str) -> str:
    return spelling.removeprefix("sub-")


def data_root(table: str | Path, cohort: Mapping[str, Any]) -> Path:
    """Return the folder of the participants' folders: the root of the data set, or where their table lies."""
    root = cohort.get(cohort["source"], {}).get("root")
    return Path(root).expanduser() if root else Path(table).parent


def _with_joined(
    listed: Table, ids: Sequence[str], joined: JoinedTables, columns: Sequence[str]
) -> list[dict[str, str]]:
    """Fill the columns that are asked for from the further tables."""
    rows = [dict(row) for row in listed.rows]
    for column in columns:
        if column in joined.columns:
            given = {who: row[column] for who, row in zip(ids, listed.rows, strict=True) if column in row}
            values = joined.values(column, given)
            for who, row in zip(ids, rows, strict=True):
                row[column] = values.get(who, NOT_AVAILABLE)
    return rows


def _names_in_data(spellings: Mapping[str, str], table: str | Path, cohort: Mapping[str, Any]) -> dict[str, str]:
    """Return the id of each participant in the data set, where its folders spell it in another way."""
    if cohort["source"] not in ("bids", "fmriprep"):
        return {who: who for who in spellings}
    root = data_root(table, cohort)
    folders = sorted(path.name for path in root.glob("sub-*") if path.is_dir())
    joined = join_ids(spellings, folders, where=str(table), there=f"the folders in {root}")
    if folders and not joined:
        raise ConfigError(
            f"{table}: none of its {len(spellings)} participants has a folder in {root}: the table has "
            f"{_few(spellings.values())}, the folders are {_few(folders)}; write the ids in the table as the folders "
            "have them"
        )
    return {who: joined.get(who, who) for who in spellings}


def _asked_for(
    restriction: Sequence[str | int], names: Mapping[str, str], spellings: Mapping[str, str], table: str | Path
) -> set[str] | None:
    """Ids that the config restricts the cohort to, spelt as in the table or as in the data; None for everybody."""
    if not restriction:
        return None
    known = {**names, **{name: name for name in names.values()}}
    found = {wanted: find_listed(wanted, known) for wanted in restriction}
    if unknown := [wanted for wanted, who in found.items() if who is None]:
        raise ConfigError(
            f"cohort.participants: {', '.join(identify(str(wanted)) for wanted in unknown)} is not in {table}, which "
            f"has {_few(spellings.values())}; write the ids as they are there, in quotes"
        )
    return {who for who in found.values() if who is not None}


def _require_groups(people: Sequence[ListedPerson], cohort: Mapping[str, Any], table: str | Path) -> None:
    present = {person.group for person in people if person.takes_part}
    if absent := [level for level in cohort["group"]["levels"] if level not in present]:
        counts = Counter(person.value for person in people if person.asked_for)
        values = ", ".join(f"{value!r} ({counts[value]})" for value in sorted(counts))
        raise ConfigError(
            f"{table}: nobody has {cohort['group']['column']} = {' or '.join(map(repr, absent))}; its values are "
            f"{values}. Name the two groups in cohort.group.levels"
        )


def _warn_of_values(people: Sequence[ListedPerson], group: Mapping[str, Any], table: str | Path) -> list[str]:
    """Name values that look like one of a group but are not."""
    neither = Counter(person.value for person in people if person.group is None)
    return [
        f"{table}: {count} rows have {group['column']} = {value!r}, which differs from {near!r} by case, blanks or "
        f"punctuation only, and take no part; write it as {near!r}, or add it to that group in cohort.group.levels"
        for value, count in neither.items()
        if (near := nearly(value, group)) is not None
    ]


def _limits(table: Table, column: str) -> Limits:
    about = table.sidecar.get(column)
    given = [about.get(key) if isinstance(about, Mapping) else None for key in ("Minimum", "Maximum")]
    lowest, highest = (float(str(value)) if is_number(str(value)) else None for value in given)
    return lowest, highest


def _few(ids: Sequence[str] | Any, most: int = 3) -> str:
    names = list(ids)
    return ", ".join(map(repr, names[:most])) + (", …" if len(names) > most else "")
