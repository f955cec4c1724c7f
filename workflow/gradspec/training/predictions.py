"""The table of predictions, and what it says of a model: fold by fold, and over the folds of a repeat."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from gradspec.training.evaluation import probabilities
from gradspec.training.samples import Samples

if TYPE_CHECKING:
    import pandas as pd

PREDICTION_COLUMNS: dict[str, str | dict[str, Any]] = {
    "model": "Network or baseline",
    "repeat": "Repetition of the cross-validation, from 0",
    "fold": "Fold of that repetition, from 0",
    "participant_id": "Test participant",
    "run": "Run of the participant; n/a where there is only one",
    "group": "True group",
    "probability": "Probability of the comparison group, from the network that is kept (`kept_epoch` in training.json)",
    "predicted": "Group with the higher probability",
    "error": "Mean squared error of the reconstruction, of a network that reconstructs instead",
}

SCORE_COLUMNS: dict[str, str | dict[str, Any]] = {
    "model": "Network or baseline (dummy, logistic, svm)",
    "repeat": "Repetition of the cross-validation, from 0",
    "fold": "Fold of that repetition, from 0; n/a for its folds pooled, in which every participant is tested once",
    "n_samples": "Test samples",
    "error": (
        "Mean squared error of the reconstruction, where the mean of each time course has 1; n/a for networks that "
        "tell the groups apart, which have all that follows"
    ),
    "roc_auc": "Area under the receiver operating characteristic; chance is 0.5. n/a where a group is absent",
    "balanced_accuracy": "Mean of sensitivity and specificity; chance is 0.5. n/a where a group is absent",
    "brier": "Mean squared error of the probability; 0.25 for a probability of 0.5 for everybody",
    "calibration_bias": "Mean probability minus the share of the comparison group; 0 is best",
    "calibration_slope": (
        "Slope of the logistic regression of the group on the log-odds that were predicted (Cox 1958): 1 is best, and "
        "below it predictions are too sure. n/a for one fold, where all have the same probability, and where one "
        "threshold parts the groups"
    ),
    "true_reference": "Samples of the reference group that were told right",
    "false_comparison": "Samples of the reference group that were taken for the comparison group",
    "false_reference": "Samples of the comparison group that were taken for the reference group",
    "true_comparison": "Samples of the comparison group that were told right",
}


def tabulate_predictions(
    samples: Samples,
    index: Int[np.ndarray, "test"],
    outcome: Float[np.ndarray, "test ..."],
    run: tuple[str, int, int],
    levels: Sequence[str],
) -> "pd.DataFrame":
    """Write down what was predicted of the test samples of a fold.

    Parameters
    ----------
    samples : Samples
        The cohort.
    index : array of int
        Its test samples.
    outcome : array
        Logits of these, (sample, class), or their errors of reconstruction, (sample,).
    run : (str, int, int)
        Model, repeat and fold.
    levels : sequence of str
        Names of the two groups, the reference first.

    Returns
    -------
    DataFrame
        A row a test sample, with the columns of `PREDICTION_COLUMNS`; ``error`` only where it is known.
    """
    import pandas as pd

    model, repeat, fold = run
    reconstructed = outcome.ndim == 1
    table = pd.DataFrame(
        {
            "model": model,
            "repeat": repeat,
            "fold": fold,
            "participant_id": samples.participants[index],
            "run": [label or None for label in samples.runs[index]],
            "group": [levels[group] for group in samples.groups[index]],
            "probability": np.nan if reconstructed else probabilities(outcome),
            "predicted": None if reconstructed else [levels[group] for group in outcome.argmax(axis=1)],
        }
    )
    return table.assign(error=outcome) if reconstructed else table


def score_predictions(predictions: "pd.DataFrame", levels: Sequence[str]) -> "pd.DataFrame":
    """Score every fold, and the folds of every repeat together.

    Parameters
    ----------
    predictions : DataFrame
        Of any number of models, with the columns of `PREDICTION_COLUMNS`.
    levels : sequence of str
        Names of the two groups, the reference first; the other is the positive class.

    Returns
    -------
    DataFrame
        Columns as in `SCORE_COLUMNS`; for each model and repeat a row a fold, and one of all pooled.
    """
    import pandas as pd

    rows = []
    for (model, repeat), of_repeat in predictions.groupby(["model", "repeat"], sort=False):
        reconstructed = "error" in of_repeat and of_repeat["error"].notna().any()
        score = _score_reconstruction if reconstructed else _score
        for fold, of_fold in of_repeat.groupby("fold", sort=True):
            rows.append({"model": model, "repeat": repeat, "fold": fold, **score(of_fold, levels)})
        pooled = score(of_repeat, levels)
        if not reconstructed:
            pooled["calibration_slope"] = _calibration_slope(of_repeat, levels)
        rows.append({"model": model, "repeat": repeat, "fold": None, **pooled})
    table = pd.DataFrame(rows).reindex(columns=list(SCORE_COLUMNS))
    return table.astype({"fold": "Int64", **dict.fromkeys(list(SCORE_COLUMNS)[-4:], "Int64")})


def _score_reconstruction(predictions: "pd.DataFrame", levels: Sequence[str]) -> dict[str, Any]:
    return {"n_samples": len(predictions), "error": predictions["error"].mean()}


def _score(predictions: "pd.DataFrame", levels: Sequence[str]) -> dict[str, Any]:
    from sklearn.metrics import balanced_accuracy_score, brier_score_loss, confusion_matrix, roc_auc_score

    truth, predicted = predictions["group"], predictions["predicted"]
    positive, probability = truth == levels[1], predictions["probability"]
    both = truth.nunique() == 2
    confusion = confusion_matrix(truth, predicted, labels=list(levels)).ravel()
    return {
        "n_samples": len(predictions),
        "roc_auc": roc_auc_score(positive, probability) if both else np.nan,
        "balanced_accuracy": balanced_accuracy_score(truth, predicted) if both else np.nan,
        "brier": brier_score_loss(positive, probability),
        "calibration_bias": probability.mean() - positive.mean(),
        "calibration_slope": np.nan,
        **dict(zip(list(SCORE_COLUMNS)[-4:], confusion.tolist(), strict=True)),
    }


def _calibration_slope(predictions: "pd.DataFrame", levels: Sequence[str]) -> float:
    from scipy.special import logit
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    positive = (predictions["group"] == levels[1]).to_numpy()
    # Probabilities of exactly 0 or 1 are rounding of single precision.
    odds = logit(predictions["probability"].clip(1e-7, 1 - 1e-7).to_numpy())
    if positive.all() or not positive.any() or np.ptp(odds) == 0 or roc_auc_score(positive, odds) in (0.0, 1.0):
        return np.nan
    return float(LogisticRegression(C=np.inf, max_iter=1000).fit(odds[:, None], positive).coef_.item())
