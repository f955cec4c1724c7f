"""Calibration curves count participants, not predictions, and their intervals are those of Wilson."""

import numpy as np
import pandas as pd
import pytest
from figure_inputs import LEVELS, texts
from statsmodels.stats.proportion import proportion_confint

from gradspec.figures.calibration import COLUMNS, plot_calibration, summarise_calibration


def make_predictions(models=("mlp", "logistic"), n=40, repeats=2):
    rng = np.random.default_rng(3)
    rows = []
    for model in models:
        for person in range(n):
            probability = (person + 0.5) / n
            group = LEVELS[int(rng.random() < probability)]
            for repeat in range(repeats):
                shift = 0.02 * (repeat - (repeats - 1) / 2)
                rows.append((model, f"sub-{person:02d}", group, probability + shift))
    return pd.DataFrame(rows, columns=["model", "participant_id", "group", "probability"])


def test_a_participant_counts_once_whatever_the_number_of_repeats():
    one, many = (summarise_calibration(make_predictions(repeats=repeats), LEVELS, 0.05) for repeats in (1, 4))
    pd.testing.assert_frame_equal(one, many)
    assert list(one) == list(COLUMNS)
    assert one.groupby("model")["n_participants"].sum().tolist() == [40, 40]


def test_shares_and_intervals_are_those_of_a_reference():
    predictions = make_predictions(("mlp",), repeats=1)
    table = summarise_calibration(predictions, LEVELS, 0.1)
    for number, row in table.iterrows():
        inside = predictions.iloc[8 * number : 8 * number + 8]
        k = (inside["group"] == "patient").sum()
        assert row["observed"] == k / 8
        assert row["predicted"] == pytest.approx(inside["probability"].mean())
        low, high = proportion_confint(k, 8, alpha=0.1, method="wilson")
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((low, high), abs=1e-12)


def test_a_model_that_predicts_nan_has_no_curve_and_few_participants_few_bins():
    predictions = make_predictions(("mlp", "lstm"), n=3)
    predictions.loc[predictions["model"] == "lstm", "probability"] = np.nan
    table = summarise_calibration(predictions, LEVELS, 0.05)
    assert set(table["model"]) == {"mlp"}
    assert len(table) == 3
    figure = plot_calibration(table, LEVELS, ["mlp", "lstm"], None, 0.05)
    assert "lstm (n = 0 participants)" in texts(figure)


def test_each_network_has_a_panel_with_the_baseline_beside_it():
    table = summarise_calibration(make_predictions(("mlp", "lstm", "logistic")), LEVELS, 0.05)
    figure = plot_calibration(table, LEVELS, ["mlp", "lstm"], "logistic", 0.05)
    assert [ax.get_title("left") for ax in figure.axes] == ["mlp (n = 40 participants)", "lstm (n = 40 participants)"]
    for ax in figure.axes:
        assert ax.get_legend_handles_labels()[1][-2] == "logistic"


def test_the_picture_is_the_one_that_was_approved(same_picture):
    table = summarise_calibration(make_predictions(("mlp", "lstm", "logistic")), LEVELS, 0.05)
    same_picture(plot_calibration(table, LEVELS, ["mlp", "lstm"], "logistic", 0.05), "calibration")
