"""Whose data are fetched: participants of the two groups, and no more of each than asked for."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradspec.cohort.groups import group_of
from gradspec.cohort.identities import find_listed, identify
from gradspec.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

FILE_COLUMNS: dict[str, Any] = {
    "participant_id": "Whose data",
    "group": "Group of the participant",
    "file": "Path of the file, relative to the folder of the data set",
    "bytes": {"Description": "Size of the file", "Units": "byte"},
}
"""Columns of the record of what was fetched."""


def choose_participants(
    table: "pd.DataFrame", cohort: Mapping[str, Any], *, per_group: int | None = None, filled: Sequence[str] = ()
) -> "pd.DataFrame":
    """Choose the participants that the cohort compares.

    Parameters
    ----------
    table : DataFrame
        Participants of the data set, with ``participant_id`` and the group column.
    cohort : mapping
        The section ``cohort`` of the configuration: group column and levels, and ids where it restricts to some.
    per_group : int, optional
        Participants of each group, the first of the table; None for all.
    filled : sequence of str
        Columns that must not be empty: what a participant must have.

    Returns
    -------
    DataFrame
        ``participant_id`` and ``group``, a row a participant in the order of the table.

    Raises
    ------
    ConfigError
        If the table lacks a column, or a group has nobody.
    """
    column, levels = cohort["group"]["column"], list(cohort["group"]["levels"])
    if lacking := [name for name in ("participant_id", column, *filled) if name not in table]:
        raise ConfigError(
            f"the participants table of the data set has no column {', '.join(map(repr, lacking))}; it has "
            f"{', '.join(map(str, table.columns))}: mend cohort.group.column or fetch"
        )
    people = table.assign(group=[group_of(str(value), cohort["group"]) for value in table[column]])
    people = people.dropna(subset=["group", *filled])
    people = people.assign(participant_id=[identify(str(who)) for who in people["participant_id"]])
    if cohort["participants"]:
        known = {who: who for who in people["participant_id"]}
        people = people[people["participant_id"].isin([find_listed(who, known) for who in cohort["participants"]])]
    if per_group is not None:
        people = people.groupby("group", sort=False).head(per_group)
    if empty := [level for level in levels if level not in set(people["group"])]:
        raise ConfigError(
            f"no participant to fetch in group {', '.join(map(repr, empty))} of column {column!r}, which has "
            f"{', '.join(sorted(map(repr, table[column].dropna().unique())))}; mend cohort.group.levels, "
            "cohort.participants or fetch"
        )
    return people[["participant_id", "group"]].reset_index(drop=True)
