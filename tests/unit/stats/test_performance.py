"""Performance against scikit-learn, sample by sample weighted, and the bootstrap interval."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, recall_score, roc_auc_score

from gradspec.errors import ConfigError
from gradspec.files import write_table
from gradspec.stats.metrics import METRICS, calibration_slope
from gradspec.stats.performance import _interval, bootstrap_counts, describe_performance, score_model
from gradspec.stats.shared_networks import VARIANCE_FACTOR

LEVELS = ["control", "patient"]
LIBRARY = {
    "roc_auc": lambda y, p, d, w: roc_auc_score(y, p, sample_weight=w),
    "balanced_accuracy": lambda y, p, d, w: balanced_accuracy_score(y, d, sample_weight=w),
    "brier": lambda y, p, d, w: brier_score_loss(y, p, sample_weight=w),
}
LIBRARY |= {
    "calibration_bias": lambda y, p, d, w: np.average(p, weights=w) - np.average(y, weights=w),
    "calibration_slope": lambda y, p, d, w: logistic_slope(y, p, w),
    "sensitivity": lambda y, p, d, w: recall_score(y, d, sample_weight=w),
    "specificity": lambda y, p, d, w: recall_score(y, d, sample_weight=w, pos_label=0),
}
REFERENCES = {"roc_auc": 0.5, "balanced_accuracy": 0.5, "brier": 0.25}


def logistic_slope(positive, probability, weights):
    """By scikit-learn."""
    odds = logit(np.clip(np.asarray(probability), 1e-7, 1 - 1e-7))[:, None]
    model = LogisticRegression(C=np.inf, max_iter=10_000, tol=1e-10)
    return model.fit(odds, positive, sample_weight=weights).coef_.item()


def make_tables(n=40, separation=1.0, folds=4, repeats=2, runs=("n/a",), seed=0):
    """Predictions and splits of `n` participants, whose groups lie `separation` standard deviations apart."""
    rng = np.random.default_rng(seed)
    rows, splits = [], []
    for repeat in range(repeats):
        fold_of = rng.permutation(n) % folds
        for i in range(n):
            person = rng.normal()
            splits += [
                (repeat, fold, f"sub-{i:02}", LEVELS[i % 2], "test" if fold == fold_of[i] else "train")
                for fold in range(folds)
            ]
            for run in runs:
                logit = separation * (i % 2 - 0.5) + person + 0.1 * rng.normal()
                rows.append(("mlp", repeat, fold_of[i], f"sub-{i:02}", run, LEVELS[i % 2], 1 / (1 + np.exp(-logit))))
    columns = ["model", "repeat", "fold", "participant_id", "run", "group", "probability"]
    predictions = pd.DataFrame(rows, columns=columns)
    predictions["predicted"] = np.where(predictions["probability"] > 0.5, *LEVELS[::-1])
    return predictions, pd.DataFrame(splits, columns=["repeat", "fold", "participant_id", "group", "set"])


def score(predictions, splits, **options):
    table = score_model(predictions, splits, levels=LEVELS, **{"alpha": 0.05, "seed": 1, **options})
    return table.set_index("metric")


@pytest.mark.parametrize("name", [name for name in METRICS if name != "calibration_slope"])
@given(seed=st.integers(0, 10_000), ties=st.booleans())
def test_metrics_with_weights_are_those_of_scikit_learn(name, seed, ties):
    rng = np.random.default_rng(seed)
    positive = np.array([True, False, *(rng.random(10) < 0.4)])
    probability = rng.random(12).round(1 if ties else 9)
    predicted = probability > 0.5
    weights = np.concatenate([np.ones((1, 12)), rng.integers(0, 3, size=(3, 12))])
    weights[:, :2] += 1  # both classes have a weight
    found = METRICS[name](positive, probability, predicted, weights)
    expected = [LIBRARY[name](positive, probability, predicted, weight) for weight in weights]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def test_what_has_a_chance_level_is_held_against_it():
    weak, strong = (score(*make_tables(separation=size))["p_value"] for size in (0.0, 3.0))
    assert set(weak.dropna().index) == {"roc_auc", "balanced_accuracy"}
    assert (weak.dropna() > 0.05).all() and (strong.dropna() < 0.001).all()


def test_with_one_repeat_the_test_against_chance_is_the_rank_sum_test_with_twice_the_variance():
    predictions, splits = make_tables(repeats=1)
    probability = predictions.set_index("group")["probability"]
    twice = stats.mannwhitneyu(
        probability["patient"], probability["control"], use_continuity=False, method="asymptotic"
    )
    z = stats.norm.isf(twice.pvalue / 2) / np.sqrt(VARIANCE_FACTOR)
    assert score(predictions, splits).loc["roc_auc", "p_value"] == pytest.approx(2 * stats.norm.sf(z))


@pytest.mark.parametrize("name", METRICS)
def test_estimate_is_the_mean_over_repeats_of_pooled_predictions(name):
    predictions, splits = make_tables()
    expected = [
        LIBRARY[name](part["group"] == "patient", part["probability"], part["predicted"] == "patient", None)
        for _, part in predictions.groupby("repeat")
    ]
    row = score(predictions, splits).loc[name]
    assert row["estimate"] == pytest.approx(np.mean(expected))
    assert row["ci_low"] < row["estimate"] < row["ci_high"]
    assert (row["n_participants"], row["n_runs"]) == (40, 8)


def test_resamples_draw_within_each_group():
    group = np.array([True] * 7 + [False] * 5)
    counts = bootstrap_counts(group, 200, np.random.default_rng(0))
    assert (counts[:, group].sum(axis=1) == 7).all() and (counts[:, ~group].sum(axis=1) == 5).all()
    assert counts.mean() == pytest.approx(1) and counts.max() > 1


def test_the_seed_fixes_the_interval_and_the_order_of_rows_does_not_matter():
    predictions, splits = make_tables()
    shuffled = predictions.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(score(predictions, splits), score(shuffled, splits))
    assert not score(predictions, splits).equals(score(predictions, splits, seed=2))


def test_more_runs_of_the_same_people_do_not_narrow_the_interval():
    """Participants are drawn, not rows: four copies of every prediction leave the interval as it is."""
    predictions, splits = make_tables()
    copies = pd.concat([predictions] * 4)
    pd.testing.assert_frame_equal(score(predictions, splits), score(copies, splits))


def test_interval_covers_chance_in_about_the_promised_share_of_null_cohorts():
    n_cohorts = 150
    covered = dict.fromkeys(["roc_auc", "balanced_accuracy"], 0)
    for seed in range(n_cohorts):
        table = score(*make_tables(separation=0.0, repeats=1, seed=seed))
        for name in covered:
            covered[name] += table.loc[name, "ci_low"] <= REFERENCES[name] <= table.loc[name, "ci_high"]
    assert all(0.87 <= count / n_cohorts <= 0.995 for count in covered.values())


def test_a_network_that_predicts_nan_has_no_values():
    predictions, splits = make_tables()
    predictions.loc[3, "probability"] = np.nan
    table = score(predictions, splits)
    assert table.loc[["roc_auc", "brier"], ["estimate", "ci_low", "ci_high"]].isna().all(axis=None)


def test_missing_and_stray_predictions_are_named():
    predictions, splits = make_tables()
    with pytest.raises(ConfigError, match=r"sub-00 has no prediction in repeat 0, fold \d"):
        score(predictions.iloc[1:], splits)
    with pytest.raises(ConfigError, match="is not a test participant"):
        score(predictions.assign(repeat=predictions["repeat"] + 1), splits[splits["repeat"] == 1])


def test_unknown_groups_are_named():
    predictions, splits = make_tables()
    with pytest.raises(ConfigError, match="groups control, patient, expected control and case"):
        score_model(predictions, splits, levels=["control", "case"], alpha=0.05, seed=0)


def test_chance_stands_in_the_sidecar(tmp_path):
    predictions, splits = make_tables(runs=("1", "2"))
    table = score_model(predictions, splits, levels=LEVELS, alpha=0.1, seed=0)
    write_table(table, tmp_path / "performance.tsv", describe_performance(LEVELS, 0.1))
    text = (tmp_path / "performance.json").read_text(encoding="utf-8")
    assert "chance is 0.5" in text and "90 %" in text


@pytest.mark.parametrize("seed", range(3))
def test_the_slope_of_calibration_is_that_of_a_logistic_regression(seed):
    rng = np.random.default_rng(seed)
    positive = rng.random(60) < 0.4
    probability = expit(3 * rng.normal(size=60) + positive - 0.5)
    weights = np.concatenate([np.ones((1, 60)), rng.integers(0, 3, size=(4, 60))]).astype(float)
    expected = [logistic_slope(positive, probability, weight) for weight in weights]
    np.testing.assert_allclose(calibration_slope(positive, probability, weights), expected, rtol=1e-4)


def test_there_is_no_slope_where_a_threshold_parts_the_classes_or_all_are_alike():
    positive, weights = np.arange(8) > 3, np.ones((2, 8))
    weights[1, 4] = 0
    assert np.isnan(calibration_slope(positive, np.linspace(0.1, 0.9, 8), weights)).all()
    assert np.isnan(calibration_slope(positive, np.full(8, 0.3), weights)).all()
    nearly = np.full(8, 0.3) + 1e-8 * np.random.default_rng(0).normal(size=8)  # a dead network, in single precision
    assert np.isnan(calibration_slope(positive, nearly, weights)).all()


def test_a_metric_that_many_resamples_lack_has_no_interval():
    values = np.arange(100.0)
    assert _interval(values, 0.1) == pytest.approx((4.95, 94.05))
    values[:4] = np.nan
    assert np.isfinite(_interval(values, 0.1)).all()
    values[:6] = np.nan
    assert np.isnan(_interval(values, 0.1)).all()
