"""Alignment of the groups over training."""

import numpy as np
import pytest
from figure_inputs import LEVELS, feature_table, texts

from gradspec.errors import ConfigError
from gradspec.figures.alignment import COLUMNS, plot_alignment, summarise_alignment


def make_features():
    features = feature_table()
    known = (features["epoch"] % 2 == 0) & (features["group"] != "pooled")
    run = features["repeat"] * 2 + features["fold"]
    features["gradient_cosine"] = np.where(known, 0.5 - features["epoch"] / 5 + run / 100, np.nan)
    features["output_angle"] = np.where(known, 20.0 + 10 * features["epoch"], np.nan)
    features["input_angle"] = np.where(known, 80.0 - run, np.nan)
    return features


def test_alignment_is_averaged_over_runs_in_the_epochs_that_have_it():
    table = summarise_alignment(make_features(), LEVELS)
    assert list(table) == list(COLUMNS)
    assert sorted(table["epoch"].unique()) == [0, 2, 4]
    row = table.query("layer == 'b.weight' and measure == 'gradient_cosine' and epoch == 2").iloc[0]
    runs = 0.1 + np.arange(4) / 100
    assert (row["mean"], row["sd"], row["n_runs"]) == pytest.approx((runs.mean(), runs.std(ddof=1), 4))


def test_cosine_and_angles_are_the_table_a_row_a_layer():
    table = summarise_alignment(make_features(), LEVELS)
    figure = plot_alignment(table, LEVELS, "mlp")
    assert len(figure.axes) == 4
    (line,) = (line for line in figure.axes[3].lines if line.get_label() == "input side")
    expected = table.query("layer == 'b.weight' and measure == 'input_angle'")
    np.testing.assert_allclose(line.get_xydata(), expected[["epoch", "mean"]])
    assert "alignment of the gradients of control and patient, mean ± sd of 4 training runs" in texts(figure)


def test_without_alignment_it_says_how_to_record_it():
    with pytest.raises(ConfigError, match="hold no alignment of the groups"):
        summarise_alignment(feature_table(), LEVELS)


def test_the_picture_is_the_one_that_was_approved(same_picture):
    same_picture(plot_alignment(summarise_alignment(make_features(), LEVELS), LEVELS, "mlp"), "alignment")
