"""Baselines: fitted on the same folds, blind to the test set, and scored like the networks."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from training_maker import LEVELS, make_samples

from gradspec.training.baselines import fit_baselines
from gradspec.training.predictions import PREDICTION_COLUMNS, SCORE_COLUMNS, score_predictions
from gradspec.training.splits import make_splits

LINEAR = ["logistic", "svm"]


def fit(samples, names=("dummy", *LINEAR), **options):
    table = pd.DataFrame(
        {"participant_id": samples.participants, "group": np.array(LEVELS)[samples.groups]}
    ).drop_duplicates()
    splits = make_splits(table, 3, 2, seed=0, **options)
    return fit_baselines(samples, splits, names, LEVELS), splits


def test_everybody_is_predicted_once_a_repeat_by_each_baseline():
    samples = make_samples("mlp", separation=1)
    predictions, splits = fit(samples, validation=0.25)
    assert list(predictions) == list(PREDICTION_COLUMNS)[:-1]  # all but the error of a reconstruction
    key = ["repeat", "fold", "participant_id"]
    expected = splits.loc[splits["set"] == "test", key].sort_values(key)
    for _, of_model in predictions.groupby("model"):
        np.testing.assert_array_equal(of_model[key].sort_values(key), expected)


def test_the_linear_models_learn_and_the_dummy_is_at_chance():
    predictions, _ = fit(make_samples("mlp", separation=1.6, n=60))
    scores = score_predictions(predictions, LEVELS)
    by_model = scores[scores["fold"].isna()].groupby("model").mean(numeric_only=True)
    assert (by_model.loc[LINEAR, "roc_auc"] > 0.9).all()
    assert by_model.loc["dummy", ["roc_auc", "balanced_accuracy", "brier"]].tolist() == [0.5, 0.5, 0.25]


@pytest.mark.parametrize("name", LINEAR)
def test_a_linear_model_sees_nothing_of_the_test_participants(name):
    samples = make_samples("mlp", separation=1)
    first, splits = fit(samples, [name])
    here = (splits["repeat"] == 0) & (splits["fold"] == 0) & (splits["set"] == "test")
    victim = splits.loc[here, "participant_id"].iloc[0]
    changed = samples.values.copy()
    changed[samples.participants == victim] = 100
    second, _ = fit(replace(samples, values=changed), [name])
    others = (first["repeat"] == 0) & (first["fold"] == 0) & (first["participant_id"] != victim)
    np.testing.assert_array_equal(first["probability"][others], second["probability"][others])
    assert (first["probability"][~others] != second["probability"][~others]).any()


def test_a_fold_of_the_linear_model_is_the_formula():
    samples = make_samples("mlp", separation=0.5, n=30)
    predictions, splits = fit(samples, ["logistic"])
    fold = splits[(splits["repeat"] == 1) & (splits["fold"] == 2)].set_index("participant_id")["set"]
    test = fold.loc[samples.participants].to_numpy() == "test"
    values = samples.values.astype(float)
    z = (values - values[~test].mean(0)) / values[~test].std(0)
    model = LogisticRegression(C=1 / 15, class_weight="balanced", tol=1e-8).fit(z[~test], samples.groups[~test])
    found = predictions[(predictions["repeat"] == 1) & (predictions["fold"] == 2)]
    np.testing.assert_allclose(found["probability"], model.predict_proba(z[test])[:, 1], atol=1e-3)


@pytest.mark.parametrize("kind", ["fnc", "features"])
def test_the_support_vector_machine_is_that_of_its_dual_problem(kind):
    """Against the dual problem solved by a general optimiser; Fisher z as it is, other features z-scored."""
    samples = replace(make_samples("mlp", separation=0.7, n=24), kind=kind)
    predictions, splits = fit(samples, ["svm"])
    fold = splits[(splits["repeat"] == 0) & (splits["fold"] == 1)].set_index("participant_id")["set"]
    test = fold.loc[samples.participants].to_numpy() == "test"
    values = samples.values.astype(float)
    if kind == "features":
        values = (values - values[~test].mean(0)) / values[~test].std(0)
    x, y = values[~test], 2.0 * samples.groups[~test] - 1
    bound = len(y) / (2 * np.array([(y < 0).sum(), (y > 0).sum()]))[(y > 0).astype(int)]
    q = (y[:, None] * x) @ (y[:, None] * x).T
    solved = minimize(
        lambda a: a @ q @ a / 2 - a.sum(),
        bound / 2 * np.array([(y > 0).sum(), (y < 0).sum()])[(y > 0).astype(int)] / len(y),
        jac=lambda a: q @ a - 1,
        bounds=[(0, each) for each in bound],
        constraints={"type": "eq", "fun": lambda a: a @ y, "jac": lambda a: y},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    weights = (solved.x * y) @ x
    free = (solved.x > 1e-6) & (solved.x < bound - 1e-6)
    score = values[test] @ weights + (y[free] - x[free] @ weights).mean()
    found = predictions[(predictions["repeat"] == 0) & (predictions["fold"] == 1)]
    np.testing.assert_allclose(found["probability"], 1 / (1 + np.exp(-score)), atol=2e-3)


def make_predictions(n=400, sharpness=1.0, seed=0):
    """Predictions whose log-odds are `sharpness` times the true ones."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(0, 1.5, n)
    positive = rng.random(n) < 1 / (1 + np.exp(-odds))
    probability = 1 / (1 + np.exp(-sharpness * odds))
    return pd.DataFrame(
        {
            "model": "mlp",
            "repeat": 0,
            "fold": np.arange(n) % 4,
            "group": np.array(LEVELS)[positive.astype(int)],
            "probability": probability,
            "predicted": np.array(LEVELS)[(probability > 0.5).astype(int)],
        }
    )


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.0])
def test_calibration_finds_how_sure_predictions_may_be(sharpness):
    pooled = score_predictions(make_predictions(4000, sharpness), LEVELS).iloc[-1]
    assert pooled["calibration_slope"] == pytest.approx(1 / sharpness, rel=0.15)
    assert abs(pooled["calibration_bias"]) < 0.03


def test_scores_agree_with_their_definitions():
    predictions = make_predictions()
    scores = score_predictions(predictions, LEVELS)
    assert list(scores) == list(SCORE_COLUMNS)
    assert scores["fold"].isna().tolist() == [False] * 4 + [True]
    for (_, row), part in zip(
        scores.iterrows(), [*(of for _, of in predictions.groupby("fold")), predictions], strict=True
    ):
        positive, probability = part["group"] == "patient", part["probability"]
        right = part["group"] == part["predicted"]
        pairs = probability[positive].to_numpy()[:, None] - probability[~positive].to_numpy()
        assert row["n_samples"] == len(part)
        assert row["roc_auc"] == pytest.approx((pairs > 0).mean())
        assert row["brier"] == pytest.approx(np.mean((probability - positive) ** 2))
        assert row["balanced_accuracy"] == pytest.approx((right[positive].mean() + right[~positive].mean()) / 2)
        assert row["true_comparison"] == (right & positive).sum()
        assert row["false_comparison"] == (~right & ~positive).sum()
        assert row["true_reference"] == (right & ~positive).sum()
        assert row["false_reference"] == (~right & positive).sum()


def test_what_cannot_be_scored_is_missing():
    predictions = make_predictions(40)
    one_group = predictions[predictions["group"] == "control"]
    assert score_predictions(one_group, LEVELS)[["roc_auc", "balanced_accuracy", "calibration_slope"]].isna().all(None)
    parted = predictions.assign(probability=np.where(predictions["group"] == "patient", 0.6, 0.4))
    same = predictions.assign(probability=0.5)
    for each in (parted, same):
        assert np.isnan(score_predictions(each, LEVELS)["calibration_slope"].iloc[-1])
