"""What the runs of an analysis share: their repetition time, and which of them a fold learns from."""

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from gradspec.cohort.runs import REPETITION_TIME_TOLERANCE, BoldRun
from gradspec.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd


def training_participants(splits: "pd.DataFrame", repeat: int, fold: int) -> list[str]:
    """Name the training participants of a fold.

    Parameters
    ----------
    splits : DataFrame
        Columns repeat, fold, participant_id and set, the table of the cross-validation.
    repeat, fold : int
        Which fold.

    Returns
    -------
    list of str
        Participants, in the order of the table.

    Raises
    ------
    ConfigError
        If the table does not hold this fold.
    """
    rows = splits[(splits["repeat"] == repeat) & (splits["fold"] == fold) & (splits["set"] == "train")]
    if rows.empty:
        raise ConfigError(f"the table of splits has no fold {fold} in repeat {repeat}; delete splits.tsv and run again")
    return list(rows["participant_id"])


def common_repetition_time(runs: Sequence[BoldRun]) -> float:
    """Return the repetition time (s) of the runs, their median; `ConfigError` where they differ: time has one axis."""
    common = median(run.repetition_time for run in runs)
    for run in runs:
        if abs(run.repetition_time - common) > REPETITION_TIME_TOLERANCE * common:
            raise ConfigError(
                f"{run.name} has a repetition time of {run.repetition_time} s, most others of {common} s; the runs of "
                "an analysis must have the same one: choose participants or runs accordingly"
            )
    return common
