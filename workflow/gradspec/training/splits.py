"""Repeated cross-validation over participants, so that all runs of one stay on one side."""

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int

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
        "Levels": {
            "train": "The network learns from it",
            "validation": "Says which epoch's network is kept (training.validation)",
            "test": "The network is tried on it",
            "unused": "Left out of this fold, so that both groups are as large (training.equal_groups)",
        },
    },
}

_SETS = ("train", "validation", "test", "unused")


def make_splits(
    participants: "pd.DataFrame",
    folds: int,
    repeats: int,
    seed: int,
    *,
    split: str = "stratified",
    site: str | None = None,
    validation: float = 0.0,
    equal_groups: bool = False,
) -> "pd.DataFrame":
    """Part the participants into training, validation and test sets.

    Parameters
    ----------
    participants : DataFrame
        A row a participant, with ``participant_id``, ``group``, and the column `site` where one is named. The order of
        rows does not matter.
    folds : int
        Parts of a partition; each is the test set once.
    repeats : int
        Number of partitions.
    seed : int
        Seed of the config.
    split : {"stratified", "site-stratified", "leave-site-out"}
        The same share of each group in every test set; the same share of each group of each site too; or all of one
        site, which is the same in each repeat.
    site : str, optional
        Column of the site, for the last two.
    validation : float
        Share of the participants beside the test set that is set apart from training, with the same share of each
        group.
    equal_groups : bool
        Whether as many participants of the larger group are in a training set as of the smaller, drawn anew for each;
        the others are in no set of that fold.

    Returns
    -------
    DataFrame
        Columns repeat, fold, participant_id, group, set; a row for every repeat, fold and participant.

    Raises
    ------
    ConfigError
        If an id occurs twice, a group has fewer participants than there are folds, a site is missing, there are not as
        many sites as folds to leave one out in each, or a training or validation set would lack a group.
    """
    import pandas as pd

    participants = _sort(participants, folds)
    parts = [
        participants[["participant_id", "group"]].assign(repeat=repeat, fold=fold, set=side)
        for repeat in range(repeats)
        for fold, side in enumerate(
            _place(participants, folds, repeat, seed, split, site, validation=validation, equal_groups=equal_groups)
        )
    ]
    return pd.concat(parts, ignore_index=True)[list(SPLIT_COLUMNS)]


def split_repeat(
    participants: "pd.DataFrame",
    folds: int,
    repeat: int,
    seed: int,
    *,
    split: str = "stratified",
    site: str | None = None,
    validation: float = 0.0,
    equal_groups: bool = False,
) -> list[dict[str, list[str]]]:
    """Part the participants in one repeat only, as `make_splits` does with the same arguments.

    Returns
    -------
    list of dict
        Of each fold the ids in each set, as `get_fold` gives them.

    Raises
    ------
    ConfigError
        As `make_splits` does.
    """
    participants = _sort(participants, folds)
    ids = participants["participant_id"].to_numpy()
    parts = _place(participants, folds, repeat, seed, split, site, validation=validation, equal_groups=equal_groups)
    return [{name: ids[side == name].tolist() for name in _SETS if (side == name).any()} for side in parts]


def get_fold(splits: "pd.DataFrame", repeat: int, fold: int) -> dict[str, list[str]]:
    """Ids of the participants in each set of a fold: train, test, and validation and unused where there are such.

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
    sides = {side: rows.loc[rows["set"] == side, "participant_id"].tolist() for side in _SETS}
    return {side: ids for side, ids in sides.items() if ids}


def _sort(participants: "pd.DataFrame", folds: int) -> "pd.DataFrame":
    """Participants by id, of whom there must be enough."""
    participants = participants.sort_values("participant_id", ignore_index=True)
    _check_participants(participants, folds)
    return participants


def _place(
    participants: "pd.DataFrame",
    folds: int,
    repeat: int,
    seed: int,
    split: str,
    site: str | None,
    *,
    validation: float,
    equal_groups: bool,
) -> Iterator[np.ndarray]:
    """Set of every participant, in each fold of a repeat."""
    groups = participants["group"]
    sites = None if split == "stratified" else _sites(participants, split, site)
    for fold, test in enumerate(_partition(groups, sites, split, folds, seed, repeat)):
        side = np.full(len(participants), "train", dtype=object)
        side[test] = "test"
        rest = np.flatnonzero(side == "train")
        _check_rest(groups.to_numpy()[rest], repeat, fold)
        if validation:
            drawn = _draw_validation(groups.iloc[rest], validation, seed, repeat, fold)
            side[rest[drawn]] = "validation"
        if equal_groups:
            train = np.flatnonzero(side == "train")
            surplus = _draw_surplus(groups.to_numpy()[train], seed, repeat, fold)
            side[train[surplus]] = "unused"
        yield side


def _partition(
    groups: "pd.Series", sites: "pd.Series | None", split: str, folds: int, seed: int, repeat: int
) -> Iterator[Int[np.ndarray, "test"]]:
    """Test participants of each fold."""
    from sklearn.model_selection import LeaveOneGroupOut, StratifiedKFold

    if sites is not None and split == "leave-site-out":
        if sites.nunique() != folds:
            raise ConfigError(
                f"training.split leaves out one site in each fold: there are {sites.nunique()} sites "
                f"({', '.join(sorted(sites.unique()))}), so set training.folds to {sites.nunique()}"
            )
        for _, test in LeaveOneGroupOut().split(groups, groups, sites):
            yield test
        return
    # Sorted by group and then site, each group is spread as evenly over the folds as each of its sites is: scikit-learn
    # deals out the sorted strata like cards.
    strata = groups if sites is None else groups + " at " + sites
    order = np.arange(len(groups)) if sites is None else np.lexsort((sites, groups))
    partition = StratifiedKFold(folds, shuffle=True, random_state=derive_seed(seed, "splits", repeat))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        try:
            for _, test in partition.split(order, strata.to_numpy()[order]):
                yield np.sort(order[test])
        except ValueError as error:
            raise ConfigError(
                f"No site has {folds} participants of one group, one for each fold: lower training.folds, or set "
                "training.split to 'stratified' or 'leave-site-out'"
            ) from error


def _draw_validation(
    groups: "pd.Series", share: float, seed: int, repeat: int, fold: int
) -> Int[np.ndarray, "validation"]:
    from sklearn.model_selection import StratifiedShuffleSplit

    draw = StratifiedShuffleSplit(1, test_size=share, random_state=derive_seed(seed, "validation", repeat, fold))
    try:
        train, drawn = next(draw.split(groups, groups))
    except ValueError as error:
        raise ConfigError(_too_few(share, repeat, fold)) from error
    if any(groups.iloc[side].nunique() < 2 for side in (train, drawn)):
        raise ConfigError(_too_few(share, repeat, fold))
    return np.sort(drawn)


def _draw_surplus(groups: np.ndarray, seed: int, repeat: int, fold: int) -> Int[np.ndarray, "surplus"]:
    """Draw of the larger group as many as it has more than the smaller."""
    rng = np.random.default_rng(derive_seed(seed, "equal groups", repeat, fold))
    names, sizes = np.unique(groups, return_counts=True)
    surplus = [
        rng.choice(np.flatnonzero(groups == name), size - sizes.min(), replace=False)
        for name, size in zip(names, sizes, strict=True)
    ]
    return np.sort(np.concatenate(surplus))


def _too_few(share: float, repeat: int, fold: int) -> str:
    return (
        f"training.validation is {share:g}: too small or too large a share to put both groups on both sides in fold "
        f"{fold} of repeat {repeat}; choose another, or 0 for no validation set"
    )


def _sites(participants: "pd.DataFrame", split: str, site: str | None) -> "pd.Series":
    if site not in participants:
        raise ConfigError(f"training.split is {split!r}, but the participants table has no column {site!r}")
    unknown = participants["participant_id"][participants[site].isna()]
    if len(unknown):
        raise ConfigError(
            f"{', '.join(unknown)} have no {site!r}, which training.split {split!r} needs; fill it in, or leave them "
            "out with cohort.participants"
        )
    return participants[site].astype(str)


def _check_participants(participants: "pd.DataFrame", folds: int) -> None:
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
                "needs one of each group; lower training.folds or look into selection/excluded.tsv"
            )


def _check_rest(groups: np.ndarray, repeat: int, fold: int) -> None:
    if len(np.unique(groups)) < 2:
        raise ConfigError(
            f"Outside the test set of fold {fold} in repeat {repeat} there is only group {groups[0]!r}: one site holds "
            "all of the other; set training.split to 'stratified' or 'site-stratified'"
        )
