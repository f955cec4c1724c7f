"""Measures of performance, for many weightings of the same samples at once (a weighting is a bootstrap resample)."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import expit, logit

if TYPE_CHECKING:
    import pandas as pd

Truth = Bool[np.ndarray, "sample"]
Probability = Float[np.ndarray, "sample"]
Weights = Float[np.ndarray, "resample sample"]
Metric = Float[np.ndarray, "resample"]

_ROUNDING = 1e-6  # of log-odds in single precision
_STEPS, _LONGEST = 30, 4.0  # of Newton, the latter in standard deviations of the log-odds


def roc_auc(positive: Truth, probability: Probability, weights: Weights) -> Metric:
    """Area under the receiver operating characteristic: share of pairs in the right order, ties counting half.

    Parameters
    ----------
    positive : array of bool
        True group of each sample.
    probability : array
        Probability of the positive class. Any NaN makes the result NaN.
    weights : array
        Weight of each sample in each resample.

    Returns
    -------
    array
        One area a resample.
    """
    if np.isnan(probability).any():
        return np.full(len(weights), np.nan)
    order = np.argsort(probability, kind="stable")
    _, first = np.unique(probability[order], return_index=True)
    positives = np.add.reduceat(np.where(positive[order], weights[:, order], 0.0), first, axis=1)
    negatives = np.add.reduceat(np.where(positive[order], 0.0, weights[:, order]), first, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives
    right = (positives * (below + negatives / 2)).sum(axis=1)
    area: Metric = right / (positives.sum(axis=1) * negatives.sum(axis=1))
    return area


def balanced_accuracy(positive: Truth, predicted: Truth, weights: Weights) -> Metric:
    """Mean of sensitivity and specificity."""
    right = np.where(positive == predicted, weights, 0.0)
    shares = [right[:, side].sum(axis=1) / weights[:, side].sum(axis=1) for side in (positive, ~positive)]
    accuracy: Metric = (shares[0] + shares[1]) / 2
    return accuracy


def brier(positive: Truth, probability: Probability, weights: Weights) -> Metric:
    """Mean squared difference between the probability and what was true (Brier 1950)."""
    score: Metric = weights @ np.square(probability - positive) / weights.sum(axis=1)
    return score


def calibration_bias(positive: Truth, probability: Probability, weights: Weights) -> Metric:
    """Mean probability minus the share of the positive class."""
    bias: Metric = weights @ (probability - positive) / weights.sum(axis=1)
    return bias


def calibration_slope(positive: Truth, probability: Probability, weights: Weights) -> Metric:
    """Slope of the logistic regression of the class on the log-odds that were predicted (Cox 1958), by Newton's method.

    Returns
    -------
    array
        NaN where it does not exist: all probabilities equal, or a threshold that parts the classes.
    """
    odds = logit(np.clip(probability, 1e-7, 1 - 1e-7))  # exactly 0 or 1 is rounding of single precision
    scale = np.std(odds)
    if not np.ptp(odds) > _ROUNDING:  # nor would equal odds have a deviation of exactly 0
        return np.full(len(weights), np.nan)
    design = np.column_stack([np.ones_like(odds), (odds - odds.mean()) / scale])
    beta = np.zeros((len(weights), 2))
    for _ in range(_STEPS):
        expected = expit(beta @ design.T)
        score = (weights * (positive - expected)) @ design
        information = np.einsum("rs,si,sj->rij", weights * expected * (1 - expected), design, design)
        determinant = information[:, 0, 0] * information[:, 1, 1] - information[:, 0, 1] ** 2
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            step = (
                np.column_stack(
                    [
                        information[:, 1, 1] * score[:, 0] - information[:, 0, 1] * score[:, 1],
                        information[:, 0, 0] * score[:, 1] - information[:, 0, 1] * score[:, 0],
                    ]
                )
                / determinant[:, None]
            )
            beta = beta + np.clip(step, -_LONGEST, _LONGEST)
    converged = np.abs(step).max(axis=1) < 1e-8
    slope: Metric = np.where(converged, beta[:, 1] / scale, np.nan)
    return slope


def share_told_right(members: Truth, told: Truth, weights: Weights) -> Metric:
    """Share of the samples of a class that were taken for it: of the positive one the sensitivity."""
    share: Metric = weights @ (members & told).astype(float) / (weights @ members.astype(float))
    return share


def mean_error(error: Float[np.ndarray, "sample"], weights: Weights) -> Metric:
    """Mean error of the reconstruction."""
    mean: Metric = weights @ error / weights.sum(axis=1)
    return mean


def reconstructs(predictions: "pd.DataFrame") -> bool:
    """Whether the predictions of a model are errors of a reconstruction, and not groups."""
    return "error" in predictions and bool(predictions["error"].notna().any())


METRICS: dict[str, Callable[[Truth, Probability, Truth, Weights], Metric]] = {
    "roc_auc": lambda positive, probability, _, weights: roc_auc(positive, probability, weights),
    "balanced_accuracy": lambda positive, _, predicted, weights: balanced_accuracy(positive, predicted, weights),
    "brier": lambda positive, probability, _, weights: brier(positive, probability, weights),
    "calibration_bias": lambda positive, probability, _, weights: calibration_bias(positive, probability, weights),
    "calibration_slope": lambda positive, probability, _, weights: calibration_slope(positive, probability, weights),
    "sensitivity": lambda positive, _, predicted, weights: share_told_right(positive, predicted, weights),
    "specificity": lambda positive, _, predicted, weights: share_told_right(~positive, ~predicted, weights),
}
