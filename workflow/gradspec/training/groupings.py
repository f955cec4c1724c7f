"""Other groupings of the samples than the one that is learnt: by sex, by site, by a third of the motion."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int

from gradspec.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Grouping:
    """A grouping of the samples.

    Parameters
    ----------
    name : str
        Its name in ``training.groupings``.
    levels : tuple of str
        Names of the groups.
    labels : array of int
        Group of each sample; -1 for one whose group is unknown, which counts in pooled only.
    permutations : array of int, optional
        Arrangements of the labels by lot, the labels themselves first; see `gradspec.training.permutations`.
    """

    name: str
    levels: tuple[str, ...]
    labels: Int[np.ndarray, "sample"]
    permutations: Int[np.ndarray, "arrangement sample"] | None = None


def make_groupings(
    participants: "pd.DataFrame", sample_participants: np.ndarray, wanted: Mapping[str, Mapping[str, Any]]
) -> list[Grouping]:
    """Group the samples by columns of the participants table.

    Parameters
    ----------
    participants : DataFrame
        A row a participant, with ``participant_id`` and the columns.
    sample_participants : array of str
        Participant of each sample.
    wanted : mapping
        ``training.groupings`` of the config: by name, ``column`` and ``quantiles``.

    Returns
    -------
    list of Grouping
        In the order of the config. Values are sorted; quantiles, of participants rather than runs, are named ``1of3``,
        ``2of3`` … from the lowest.

    Raises
    ------
    ConfigError
        If a column is missing, has fewer than two values, a value that is called ``pooled``, or no numbers to take
        quantiles of.
    """
    rows = participants.set_index("participant_id")
    groupings = []
    for name, about in wanted.items():
        column, quantiles = about["column"], about["quantiles"]
        if column not in rows:
            raise ConfigError(f"training.groupings.{name}: the participants table has no column {column!r}")
        values = rows[column] if quantiles is None else _quantiles(rows[column], quantiles, name)
        values = values.astype(str).where(values.notna(), None)
        levels = tuple(sorted(values.dropna().unique()))
        if len(levels) < 2 or "pooled" in levels:
            raise ConfigError(
                f"training.groupings.{name}: column {column!r} has the values {', '.join(levels) or 'n/a'}; at least "
                "two are needed, none of them called 'pooled'"
            )
        label_of = {level: label for label, level in enumerate(levels)}
        labels = [label_of.get(value, -1) for value in values.loc[sample_participants]]
        groupings.append(Grouping(name, levels, np.array(labels, dtype=np.int64)))
    return groupings


def _quantiles(values: "pd.Series", quantiles: int, name: str) -> "pd.Series":
    import pandas as pd

    try:
        return pd.qcut(values, quantiles, labels=[f"{i}of{quantiles}" for i in range(1, quantiles + 1)])
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"training.groupings.{name}: column {values.name!r} cannot be cut into {quantiles} groups of equal size "
            f"({error}); it must hold numbers, not too many of them equal"
        ) from error
