"""Everybody whom the participants table lists, as a table: whoever takes part, and whoever does not."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from gradspec.cohort.examine import as_data_set
from gradspec.cohort.participants import ListedPerson, participants_table, read_roster
from gradspec.cohort.tables import NOT_AVAILABLE

TAKES_PART, NEITHER, NOT_ASKED_FOR = "yes", "in neither group", "not asked for"

LISTED_COLUMNS: dict[str, Any] = {
    "line": "Line of the participants table",
    "participant_id": "Id of the participant",
    "listed_as": "The id as the participants table spells it",
    "value": "Value of the group column",
    "group": "Group that the value makes; n/a for none",
    "takes_part": {
        "Description": "Whether the participant enters the cohort",
        "Levels": {
            TAKES_PART: "Is in one of the groups",
            NEITHER: "The value of the group column belongs to no group (cohort.group.levels)",
            NOT_ASKED_FOR: "Is not among cohort.participants",
        },
    },
    "note": "What is worth knowing of the row",
}


def list_participants(config: Mapping[str, Any]) -> tuple[pd.DataFrame, list[str]]:
    """List everybody of the participants table.

    Parameters
    ----------
    config : mapping
        The keys ``results`` and ``cohort`` of the configuration, defaults filled in.

    Returns
    -------
    DataFrame
        A row per row of the table, columns as in `LISTED_COLUMNS`; empty for a cohort that has no table.
    list of str
        What is worth knowing of the tables.

    Raises
    ------
    ConfigError
        As of `gradspec.cohort.participants.read_roster`.
    """
    cohort = as_data_set(config)
    if cohort["source"] == "numerical":
        return pd.DataFrame(columns=list(LISTED_COLUMNS)), []
    roster = read_roster(participants_table(cohort), cohort)
    rows = [
        {
            "line": person.line,
            "participant_id": person.id,
            "listed_as": person.listed_as,
            "value": person.value,
            "group": person.group,
            "takes_part": _takes_part(person),
            "note": "; ".join(person.notes) or None,
        }
        for person in roster.people
    ]
    return pd.DataFrame(rows, columns=list(LISTED_COLUMNS)), roster.remarks


def count_by_value(listed: pd.DataFrame, used: set[str]) -> pd.DataFrame:
    """Count the rows of the participants table by value of the group column.

    Parameters
    ----------
    listed : DataFrame
        As `list_participants` gives it.
    used : set of str
        Ids of those who are analysed.

    Returns
    -------
    DataFrame
        value, group, n_rows, n_used; values that belong to a group first, then by number of rows.
    """
    counts = (
        listed.assign(is_used=listed["participant_id"].isin(used), value=listed["value"].fillna(NOT_AVAILABLE))
        .groupby(["value", "group"], dropna=False, sort=False)["is_used"]
        .agg(n_rows="size", n_used="sum")
        .reset_index()
    )
    return counts.sort_values(
        ["group", "n_rows"], ascending=[True, False], na_position="last", kind="stable", ignore_index=True
    )


def _takes_part(person: ListedPerson) -> str:
    if person.group is None:
        return NEITHER
    return TAKES_PART if person.asked_for else NOT_ASKED_FOR
