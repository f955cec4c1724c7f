"""What the networks have to be better than: no knowledge at all, and linear models of connectivity."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from gradspec.training.predictions import tabulate_predictions
from gradspec.training.samples import Samples
from gradspec.training.sides import place_samples
from gradspec.training.splits import get_fold

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import ClassifierMixin


def fit_baselines(
    samples: Samples, splits: "pd.DataFrame", names: Sequence[str], levels: Sequence[str]
) -> "pd.DataFrame":
    """Fit each baseline on each fold, and have it predict the test samples.

    They need no validation set, and learn from its participants as from those of the training set. Nothing is random.

    Parameters
    ----------
    samples : Samples
        Connectivity or feature vectors of the cohort.
    splits : DataFrame
        From `make_splits`.
    names : sequence of str
        ``dummy``: each group is as probable as the other, as in the balanced batches of the networks; the reference
        stands as predicted.
        ``logistic``: logistic regression on z-scored features with both groups weighing the same and a ridge penalty
        ``C = 1 / n_features``, which lets the log-odds of a typical sample have a prior standard deviation of 1.
        ``svm``: support vector machine with a linear kernel and C = 1, both groups weighing the same, on Fisher z as
        it is (Dadi et al. 2019 found this one of the best of connectivity), other features z-scored. Its score
        stands for the log-odds: Platt's sigmoid, fitted within the training set, would turn the order of those it
        predicts where nothing is learnt.
    levels : sequence of str
        Names of the two groups, the reference first.

    Returns
    -------
    DataFrame
        Predictions as the networks write them, by baseline, repeat and fold.

    Raises
    ------
    ConfigError
        If the splits and the samples are not of the same participants.
    """
    import pandas as pd

    vectors = samples.values.reshape(len(samples.values), -1).astype(np.float64)
    parts = []
    for name in names:
        for repeat, fold in splits[["repeat", "fold"]].drop_duplicates().itertuples(index=False):
            index = place_samples(samples, get_fold(splits, repeat, fold), levels)
            learnt = np.concatenate([rows for side, rows in index.items() if side != "test"])
            model = _build(name, vectors.shape[1], samples.kind)
            model.fit(vectors[learnt], samples.groups[learnt])
            logits = _logits(model, vectors[index["test"]])
            parts.append(tabulate_predictions(samples, index["test"], logits, (name, repeat, fold), levels))
    return pd.concat(parts, ignore_index=True)


def _build(name: str, n_features: int, kind: str) -> "ClassifierMixin":
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    if name == "dummy":
        return DummyClassifier(strategy="uniform")
    if name == "svm":
        machine = SVC(kernel="linear", class_weight="balanced")
        return machine if kind == "fnc" else make_pipeline(StandardScaler(), machine)
    return make_pipeline(StandardScaler(), LogisticRegression(C=1 / n_features, class_weight="balanced", max_iter=1000))


def _logits(model: "ClassifierMixin", vectors: Float[np.ndarray, "sample feature"]) -> Float[np.ndarray, "sample 2"]:
    """Scores of both groups, of which the softmax gives the probabilities."""
    if hasattr(model, "predict_proba"):
        least = np.finfo(np.float64).tiny  # in place of a probability of zero
        return np.asarray(np.log(np.maximum(model.predict_proba(vectors), least)))
    score = model.decision_function(vectors)
    return np.stack([np.zeros_like(score), score], axis=1)
