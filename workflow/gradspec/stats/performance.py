"""How well the networks tell the groups apart, with intervals over participants."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

from gradspec.errors import ConfigError
from gradspec.stats.metrics import METRICS, mean_error, reconstructs
from gradspec.stats.shared_networks import p_against_chance

if TYPE_CHECKING:
    import pandas as pd

N_RESAMPLES = 1000

_DEFINED = 0.95


def describe_performance(levels: Sequence[str], alpha: float) -> dict[str, Any]:
    """Descriptions of the columns, for the groups and the level of significance that were used."""
    return {
        "model": "Network",
        "metric": {
            "Description": (
                "Measure on the test participants, pooled over the folds of a repeat, then the mean over repeats; "
                f"{levels[1]!r} is the positive class"
            ),
            "Levels": {
                "roc_auc": "Area under the receiver operating characteristic; chance is 0.5, best 1",
                "balanced_accuracy": "Mean of sensitivity and specificity; chance is 0.5, best 1",
                "brier": "Mean squared error of the probability; 0.25 for a probability of 0.5 for everybody, best 0",
                "reconstruction_error": (
                    "Mean squared error of a network that reconstructs its input, the only measure of one; 1 for the "
                    "mean of each time course, best 0"
                ),
                "calibration_bias": "Mean probability minus the share of the positive class; 0 is best",
                "calibration_slope": (
                    "Slope of the logistic regression of the class on the log-odds that were predicted (Cox 1958); 1 "
                    "is best, and below it predictions are too sure. n/a where a threshold parts the classes"
                ),
                "sensitivity": f"Share of {levels[1]!r} that was told right; the rest was taken for {levels[0]!r}",
                "specificity": f"Share of {levels[0]!r} that was told right; the rest was taken for {levels[1]!r}",
            },
        },
        "estimate": "Value on the whole cohort",
        "ci_low": (
            f"Lower end of the {100 * (1 - alpha):g} % interval: percentiles of {N_RESAMPLES} bootstrap resamples of "
            "participants, drawn within each group with all their runs and repeats. It covers the choice of test "
            "participants, not another training"
        ),
        "ci_high": "Upper end of that interval",
        "p_value": (
            "Two-sided, against chance: a rank-sum test of the predictions (roc_auc), a test of what people were taken "
            "for (balanced_accuracy), mean over repeats, with twice the variance, since where nothing is learnt people "
            "depend on each other through the networks that they trained. n/a for other measures, and where all "
            "predictions are alike. Not corrected"
        ),
        "n_participants": "Participants with predictions",
        "n_runs": "Training runs (repeat × fold)",
    }


@dataclass
class Predictions:
    """Predictions of a repeat, as arrays; `participant` counts participants of the model from 0."""

    participant: Int[np.ndarray, "sample"]
    positive: Bool[np.ndarray, "sample"]
    probability: Float[np.ndarray, "sample"]
    predicted: Bool[np.ndarray, "sample"]


def score_model(
    predictions: "pd.DataFrame", splits: "pd.DataFrame", *, levels: Sequence[str], alpha: float, seed: int
) -> "pd.DataFrame":
    """Measure the performance of one network.

    Parameters
    ----------
    predictions : DataFrame
        Predictions of all folds and repeats of one model: model, repeat, fold, participant_id, group, probability (of
        ``levels[1]``), predicted; of a network that reconstructs, error.
    splits : DataFrame
        Columns repeat, fold, participant_id, set: who must have a prediction.
    levels : (str, str)
        Reference and comparison group; the latter is the positive class.
    alpha : float
        One minus the confidence of the intervals.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    DataFrame
        A row a metric, with the columns of `describe_performance`. A network that predicts NaN has no values.

    Raises
    ------
    ConfigError
        If the predictions do not match the splits, or a group is missing.
    """
    import pandas as pd

    model = str(predictions["model"].iloc[0])
    _check_complete(predictions, splits, levels, model)
    ids, participant = np.unique(predictions["participant_id"].to_numpy(dtype=str), return_inverse=True)
    positive = (predictions["group"] == levels[1]).to_numpy()
    group_of = np.zeros(len(ids), dtype=bool)
    group_of[participant] = positive
    weights = bootstrap_counts(group_of, N_RESAMPLES, np.random.default_rng([seed, *model.encode()]))
    weights = np.concatenate([np.ones((1, len(ids))), weights])
    repeats = predictions["repeat"].to_numpy()
    by_repeat = [repeats == repeat for repeat in np.unique(repeats)]
    pooled = [
        Predictions(
            participant[here],
            positive[here],
            predictions["probability"].to_numpy(dtype=float)[here],
            (predictions["predicted"] == levels[1]).to_numpy()[here],
        )
        for here in by_repeat
    ]
    if reconstructs(predictions):
        error = predictions["error"].to_numpy(dtype=float)
        of_repeats = [mean_error(error[here], weights[:, participant[here]]) for here in by_repeat]
        measured = {"reconstruction_error": np.mean(of_repeats, axis=0)}
    else:
        measured = {
            name: np.mean(
                [metric(one.positive, one.probability, one.predicted, weights[:, one.participant]) for one in pooled],
                axis=0,
            )
            for name, metric in METRICS.items()
        }
    rows = []
    for name, values in measured.items():
        low, high = _interval(values[1:], alpha)
        p_value = _p_against_chance(pooled, group_of, VOTES[name]) if name in VOTES else np.nan
        rows.append({"metric": name, "estimate": values[0], "ci_low": low, "ci_high": high, "p_value": p_value})
    n_runs = len(predictions[["repeat", "fold"]].drop_duplicates())
    table = pd.DataFrame(rows).assign(model=model, n_participants=len(ids), n_runs=n_runs)
    return table[list(describe_performance(levels, alpha))]


VOTES: dict[str, Callable[[Predictions], Float[np.ndarray, "sample"]]] = {
    "roc_auc": lambda one: stats.rankdata(one.probability),
    "balanced_accuracy": lambda one: one.predicted.astype(float),
}
"""What makes a measure, which is linear in it, differ from chance."""


def _p_against_chance(
    pooled: Sequence[Predictions],
    group_of: Bool[np.ndarray, "participant"],
    vote: Callable[[Predictions], Float[np.ndarray, "sample"]],
) -> float:
    """P-value of the mean vote on each participant, over repeats and runs."""
    participant = np.concatenate([one.participant for one in pooled])
    votes = np.bincount(participant, np.concatenate([vote(one) for one in pooled])) / np.bincount(participant)
    return p_against_chance(votes, group_of)


def _interval(values: Float[np.ndarray, "resample"], alpha: float) -> tuple[float, float]:
    """Percentiles of the resamples in which a metric is defined; NaN where it is not in more than one of twenty."""
    defined = values[np.isfinite(values)]
    if len(defined) < _DEFINED * len(values):
        return np.nan, np.nan
    low, high = np.quantile(defined, [alpha / 2, 1 - alpha / 2])
    return float(low), float(high)


def bootstrap_counts(
    group: Bool[np.ndarray, "participant"], n_resamples: int, rng: np.random.Generator
) -> Int[np.ndarray, "resample participant"]:
    """How often each participant is drawn, with replacement and within each group, in each resample."""
    counts = np.zeros((n_resamples, len(group)), dtype=np.int64)
    for level in np.unique(group):
        members = np.flatnonzero(group == level)
        counts[:, members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), size=n_resamples)
    return counts


def _check_complete(predictions: "pd.DataFrame", splits: "pd.DataFrame", levels: Sequence[str], model: str) -> None:
    """Raise unless exactly the test participants of every fold are predicted, and both groups are there."""
    key = ["repeat", "fold", "participant_id"]
    expected = set(splits.loc[splits["set"] == "test", key].itertuples(index=False, name=None))
    found = set(predictions[key].itertuples(index=False, name=None))
    stray = sorted(expected ^ found)
    if stray:
        repeat, fold, participant = stray[0]
        what = "no prediction" if stray[0] in expected else "a prediction, but is not a test participant,"
        raise ConfigError(
            f"Model {model}: {participant} has {what} in repeat {repeat}, fold {fold} ({len(stray)} such cases): "
            "predictions.tsv and splits.tsv are of different trainings; run the training again"
        )
    unknown = sorted(set(predictions["group"]) ^ set(levels))
    if unknown:
        raise ConfigError(
            f"Model {model}: the predictions hold the groups {', '.join(sorted(set(predictions['group'])))}, expected "
            f"{' and '.join(levels)}; run the training again"
        )
