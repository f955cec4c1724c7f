"""Which group a value of the group column makes: one value, or several, of the table."""

from collections.abc import Mapping
from typing import Any

from gradspec.cohort.tables import is_number, plain, same_value


def values_of(group: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the values of each group, in the order of the levels.

    Parameters
    ----------
    group : mapping
        The section ``cohort.group`` of the configuration; a level without values of its own is its own value.
    """
    return {level: [str(value) for value in group["values"].get(level, [level])] for level in group["levels"]}


def group_of(value: str, group: Mapping[str, Any]) -> str | None:
    """Return the group of a value, or None."""
    by_group = values_of(group)
    exact = [level for level, values in by_group.items() if value in values]
    alike = [level for level, values in by_group.items() if any(same_value(value, wanted) for wanted in values)]
    return next(iter([*exact, *alike]), None)


def nearly(value: str, group: Mapping[str, Any]) -> str | None:
    """Return the value of a group from which another one differs by case, blanks or punctuation alone, or None."""
    wanted = [wanted for values in values_of(group).values() for wanted in values]
    return next((name for name in wanted if plain(value) == plain(name) != "" and not is_number(value)), None)


def kept_values(cohort: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the values of the group column that the config names: none of them is missing, whatever it looks like."""
    return {cohort["group"]["column"]: [value for values in values_of(cohort["group"]).values() for value in values]}
