"""From tables to arrays: the features of both groups in every training run, and how the runs share participants."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from gradspec.errors import ConfigError
from gradspec.spectra.window import select_epochs

if TYPE_CHECKING:
    import pandas as pd

TrainingRun = tuple[int, int]

_RUN = ["repeat", "fold"]
_LAYER = ["layer", "kind"]


@dataclass(frozen=True)
class Trajectories:
    """Features of both groups over training, of one network.

    Attributes
    ----------
    model : str
        Its name.
    tests : DataFrame
        Layer, kind and feature of each test.
    runs : list of (int, int)
        Repeat and fold of each run.
    epochs : list of int
        Number of each epoch.
    reference, comparison : array, shape (run, epoch, test)
        Values of the groups, in the unit of the feature; both NaN where either is undefined.
    """

    model: str
    tests: "pd.DataFrame"
    runs: list[TrainingRun]
    epochs: list[int]
    reference: Float[np.ndarray, "run epoch test"]
    comparison: Float[np.ndarray, "run epoch test"]

    def means(self, window: Sequence[float]) -> tuple[Float[np.ndarray, "run test"], Float[np.ndarray, "run test"]]:
        """Mean of each group over the epochs of the window in which both are defined; NaN where there is none."""
        chosen = np.isin(self.epochs, select_epochs(self.epochs, window))
        inside = np.stack([self.reference[:, chosen], self.comparison[:, chosen]])
        defined = np.isfinite(inside)
        with np.errstate(invalid="ignore"):
            reference, comparison = np.where(defined, inside, 0.0).sum(axis=2) / defined.sum(axis=2)
        return reference, comparison


def pair_groups(features: "pd.DataFrame", levels: Sequence[str], names: Sequence[str]) -> Trajectories:
    """Arrange the features of one network by run, epoch and test.

    Parameters
    ----------
    features : DataFrame
        Features of one model, as `gradspec.spectra.table.extract_features` gives them.
    levels : (str, str)
        Reference and comparison group.
    names : sequence of str
        Features to take.

    Returns
    -------
    Trajectories
        Layers in the order of the table.

    Raises
    ------
    ConfigError
        If a group or a feature is not in the table.
    """
    import pandas as pd

    model = str(features["model"].iloc[0])
    _check_table(features, levels, names, model)
    layers = list(features[_LAYER].drop_duplicates().itertuples(index=False, name=None))
    runs = sorted(features[_RUN].drop_duplicates().itertuples(index=False, name=None))
    epochs = sorted(int(epoch) for epoch in features["epoch"].unique())
    cells = pd.MultiIndex.from_tuples([(*run, epoch, *layer) for run in runs for epoch in epochs for layer in layers])
    key = [*_RUN, "epoch", *_LAYER]
    reference, comparison = (
        features[features["group"] == level]
        .set_index(key)[list(names)]
        .reindex(cells)
        .to_numpy(dtype=float)
        .reshape(len(runs), len(epochs), -1)
        for level in levels
    )
    undefined = ~(np.isfinite(reference) & np.isfinite(comparison))
    reference[undefined] = comparison[undefined] = np.nan
    tests = pd.DataFrame([(*layer, name) for layer in layers for name in names], columns=[*_LAYER, "feature"])
    return Trajectories(model, tests, runs, epochs, reference, comparison)


def training_sets(
    splits: "pd.DataFrame", runs: Sequence[TrainingRun], model: str
) -> Bool[np.ndarray, "run participant"]:
    """Who trained which run (repeat, fold) of a model."""
    is_training = splits.assign(trains=splits["set"] == "train").pivot_table(
        index=_RUN, columns="participant_id", values="trains", aggfunc="any", fill_value=False
    )
    absent = [run for run in runs if run not in is_training.index]
    if absent:
        raise ConfigError(
            f"The features of model {model} have repeat {absent[0][0]}, fold {absent[0][1]}, which splits.tsv has not: "
            "they were made with other folds; run the training again"
        )
    found: Bool[np.ndarray, "run participant"] = is_training.loc[list(runs)].to_numpy(dtype=bool)
    return found


def has_one_partition(splits: "pd.DataFrame") -> bool:
    """Whether every repeat leaves out the same participants together, as where each fold is a site."""
    test = splits[splits["set"] == "test"].groupby(_RUN)["participant_id"].agg(frozenset)
    partitions = test.groupby("repeat").agg(frozenset)
    return len(partitions) > 1 and bool((partitions == partitions.iloc[0]).all())


def fold_shape(runs: Sequence[TrainingRun], model: str) -> tuple[int, int]:
    """Numbers of repeats and of folds, of runs (repeat, fold) that are all there."""
    repeats, folds = (sorted(set(numbers)) for numbers in zip(*runs, strict=True))
    absent = sorted({(repeat, fold) for repeat in repeats for fold in folds} - set(runs))
    if absent:
        raise ConfigError(
            f"The features of model {model} lack repeat {absent[0][0]}, fold {absent[0][1]}; the jackknife needs every "
            f"fold of a repeat. Delete features/{model}.tsv and run again"
        )
    return len(repeats), len(folds)


def _check_table(features: "pd.DataFrame", levels: Sequence[str], names: Sequence[str], model: str) -> None:
    groups = features["group"].unique()
    for what, wanted, found in (("group", levels, groups), ("feature", names, features.columns)):
        absent = [name for name in wanted if name not in set(found)]
        if absent:
            raise ConfigError(
                f"The features of model {model} have no {what} {', '.join(map(repr, absent))}; they have "
                f"{', '.join(map(str, found))}. Delete features/{model}.tsv and run again"
            )


def count_learners(splits: "pd.DataFrame") -> tuple[int, int]:
    """Smallest and largest number of participants that a training run learns from.

    Parameters
    ----------
    splits : DataFrame
        Columns repeat, fold, participant_id, set.
    """
    trained = splits[splits["set"] == "train"].groupby(["repeat", "fold"])["participant_id"].nunique()
    return int(trained.min()), int(trained.max())
