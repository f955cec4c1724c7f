"""Repeated stratified cross-validation over participants, so that all runs of one stay on one side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradspec.errors import ConfigError
from gradspec.training.seeds import derive_seed

if TYPE_CHECKING:
    import pandas as pd

SPLIT_COLUMNS: dict[str, str | dict[str, Any]] = {
    "repeat": "Repetition of the cross-validation, from 0",
    "fold": "Fold of that repetition, from 0",
    "participant_id": "Participant",
    "group": "Group of the participant",
    "set": {
        "Description": "Side of the fold that all runs of the participant are on",
        "Levels": {"train": "The network learns from it", "test": "The network is tried on it"},
    },
}


def make_splits(participants: "pd.DataFrame", folds: int, repeats: int, seed: int) -> "pd.DataFrame":
    """Part the participants into training and test sets, with the same share of each group in every fold.

    Parameters
    ----------
    participants : DataFrame
        A row a participant, with ``participant_id`` and ``group``. The order of rows does not matter.
    folds : int
        Parts of a partition; each is the test set once.
    repeats : int
        Number of partitions.
    seed : int
        Seed of the config.

    Returns
    -------
    DataFrame
        Columns repeat, fold, participant_id, group, set; a row for every repeat, fold and participant.

    Raises
    ------
    ConfigError
        If an id occurs twice, or a group has fewer participants than there are folds.
    """
    import pandas as pd
    from sklearn.model_selection import StratifiedKFold

    participants = participants.sort_values("participant_id", ignore_index=True)
    twice = participants["participant_id"][participants["participant_id"].duplicated()].unique()
    if len(twice):
        raise ConfigError(f"The participants table holds {', '.join(twice)} more than once; keep one row each")
    sizes = participants["group"].value_counts().sort_index()
    if len(sizes) < 2:
        found = ", ".join(map(repr, sizes.index)) or "nobody"
        raise ConfigError(f"Training needs participants of two groups, but found only {found}")
    for group, size in sizes.items():
        if size < folds:
            raise ConfigError(
                f"Group {group!r} has {size} usable participant(s), fewer than training.folds ({folds}): each fold "
                "needs one of each group; lower training.folds or look into cohort/excluded.tsv"
            )
    parts = []
    for repeat in range(repeats):
        partition = StratifiedKFold(folds, shuffle=True, random_state=derive_seed(seed, "splits", repeat))
        for fold, (_, test) in enumerate(partition.split(participants, participants["group"])):
            side = np.full(len(participants), "train", dtype=object)
            side[test] = "test"
            parts.append(participants[["participant_id", "group"]].assign(repeat=repeat, fold=fold, set=side))
    return pd.concat(parts, ignore_index=True)[list(SPLIT_COLUMNS)]


def get_fold(splits: "pd.DataFrame", repeat: int, fold: int) -> tuple[Sequence[str], Sequence[str]]:
    """Ids of the training and of the test participants of a fold.

    Raises
    ------
    ConfigError
        If the table does not hold this repeat and fold.
    """
    rows = splits[(splits["repeat"] == repeat) & (splits["fold"] == fold)]
    if rows.empty:
        raise ConfigError(
            f"splits.tsv has no fold {fold} in repeat {repeat}: it was made with other training.folds or "
            "training.repeats; delete it and run again"
        )
    train, test = (rows.loc[rows["set"] == side, "participant_id"].tolist() for side in ("train", "test"))
    return train, test
