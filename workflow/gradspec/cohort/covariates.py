"""What a column of covariates must be: numbers throughout, or categories; a code of what is missing is no number."""

import re
from collections.abc import Mapping

from gradspec.cohort.tables import NOT_AVAILABLE, is_number, plain
from gradspec.errors import ConfigError

Limits = tuple[float | None, float | None]

_NINES = re.compile(r"[-+]?99+(\.0*)?", re.ASCII)
_LEVELS_AT_MOST = 10
"""So many different numbers, all whole, may be codes of categories."""


def check_covariate(
    column: str, cells: Mapping[str, str], *, table: str, is_category: bool, limits: Limits = (None, None)
) -> list[str]:
    """Check the values of those who take part.

    Parameters
    ----------
    column : str
    cells : mapping
        Value of each participant.
    table : str
        For messages.
    is_category : bool
        Whether the sidecar lists the levels of the column.
    limits : tuple
        The least and the most that was measured, as the sidecar has them (``Minimum``, ``Maximum``), or None.

    Returns
    -------
    list of str
        What looks odd.

    Raises
    ------
    ConfigError
        If nobody has a value; if some of many numbers cannot be read as such; or if a number is none but a code.
    """
    given = {who: value for who, value in cells.items() if value != NOT_AVAILABLE}
    if not given:
        raise ConfigError(
            f"{table}: nobody in the two groups has a value in column {column!r}, named by cohort.covariates; take it "
            "out there, or fill the column"
        )
    numbers = {who: float(value) for who, value in given.items() if is_number(value)}
    others = {who: value for who, value in given.items() if who not in numbers}
    if is_category:
        return _warn_of_spellings(column, set(given.values()), table)
    if others and _is_measure(list(numbers.values()), len(given), others):
        who, value = next(iter(others.items()))
        raise ConfigError(
            f"{table}: column {column!r} has numbers, but {value!r} for {who}{_and_more(others)}, which would make "
            "each number a category; write n/a for what is missing or name its code in cohort.missing_values, write "
            "decimals with a point, or, if they are categories, list them as Levels in the JSON file beside the table"
        )
    if others:
        return _warn_of_spellings(column, set(given.values()), table)
    require_no_codes(column, given, table, limits)
    return _warn_of_negatives(column, numbers, table)


def _is_measure(numbers: list[float], n_given: int, others: Mapping[str, str]) -> bool:
    """Say whether the column is meant to hold numbers: decimal commas, or mostly numbers that are no codes."""
    if all(is_number(value.replace(",", ".", 1)) for value in others.values()):
        return True
    are_codes = len(set(numbers)) <= _LEVELS_AT_MOST and all(number.is_integer() for number in numbers)
    return 2 * len(numbers) > n_given and not are_codes


def require_no_codes(column: str, cells: Mapping[str, str], table: str, limits: Limits = (None, None)) -> None:
    """Refuse 99, -999 and the like among numbers that lie far from them: codes of what is missing, by their looks.

    Parameters
    ----------
    column : str
    cells : mapping
        Value of each participant, as text.
    table : str
        For messages.
    limits : tuple
        As of `check_covariate`.

    Raises
    ------
    ConfigError
        Naming one of them.
    """
    suspects = {who: float(value) for who, value in cells.items() if _NINES.fullmatch(value)}
    if not suspects:
        return
    numbers = [float(value) for value in cells.values() if is_number(value)]
    odd = {
        who: number
        for who, number in suspects.items()
        if not _is_measured(number, limits) and _is_far(number, [rest for rest in numbers if rest != number])
    }
    if odd:
        who, number = next(iter(odd.items()))
        raise ConfigError(
            f"{table}: column {column!r} has {number:g} for {who}{_and_more(odd)}, far from all others: a code of what "
            f"is missing, by its looks. Name it in cohort.missing_values ([{number:g}]); if it was measured, say so by "
            "Minimum and Maximum of the column in the JSON file beside the table"
        )


def _is_measured(number: float, limits: Limits) -> bool:
    lowest, highest = limits
    return (lowest is not None and lowest <= number < 0) or (highest is not None and 0 < number <= highest)


def _is_far(number: float, rest: list[float]) -> bool:
    if not rest:
        return False
    low, high = min(rest), max(rest)
    return number < low - 2 * (high - low) or number > high + 2 * (high - low) or number < 0 <= low


def _warn_of_negatives(column: str, numbers: Mapping[str, float], table: str) -> list[str]:
    negative = {who: number for who, number in numbers.items() if number < 0}
    if len(set(negative.values())) != 1 or len(negative) == len(numbers):
        return []
    who, number = next(iter(negative.items()))
    return [
        f"{table}: column {column!r} is {number:g} for {who}{_and_more(negative)} and not negative for anybody else; "
        "if that is a code of what is missing, name it in cohort.missing_values"
    ]


def _warn_of_spellings(column: str, values: set[str], table: str) -> list[str]:
    by_text: dict[str, list[str]] = {}
    for value in sorted(values):
        by_text.setdefault(plain(value), []).append(value)
    return [
        f"{table}: column {column!r} has {' and '.join(map(repr, alike))}, which differ by case, blanks or punctuation "
        "only and count as different categories; write them alike if they are the same"
        for text, alike in by_text.items()
        if text and len(alike) > 1 and not any(map(is_number, alike))
    ]


def _and_more(found: Mapping[str, object]) -> str:
    return f" and {len(found) - 1} more" if len(found) > 1 else ""
