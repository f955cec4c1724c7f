"""Gradient, activation and delta beside each other."""

import numpy as np
import pytest
from figure_inputs import LEVELS, feature_table, texts

from gradspec.figures.kinds import plot_kinds, summarise_kinds

KINDS = ("gradient", "activation", "delta")


def test_ranks_are_averaged_over_runs_for_each_kind():
    features = feature_table(("a.weight",), KINDS)
    table = summarise_kinds(features)
    chosen = "kind == 'delta' and group == 'patient' and epoch == 3"
    row = table.query(chosen).iloc[0]
    runs = features.query(chosen)["effective_rank"]
    assert (row["mean"], row["sd"], row["n_runs"]) == pytest.approx((runs.mean(), runs.std(), 4))


def test_each_layer_is_a_row_and_each_kind_a_column():
    table = summarise_kinds(feature_table(("a.weight", "b.weight"), KINDS))
    figure = plot_kinds(table, LEVELS, "mlp")
    assert len(figure.axes) == 6
    (line,) = (line for line in figure.axes[5].lines if line.get_label() == "control")
    expected = table.query("layer == 'b.weight' and kind == 'delta' and group == 'control'")
    np.testing.assert_allclose(line.get_xydata(), expected[["epoch", "mean"]])
    words = texts(figure)
    assert all(kind in words for kind in KINDS)
    assert "mean ± sd of 4 training runs" in words


def test_a_kind_that_a_layer_lacks_is_said_to_be_missing():
    features = feature_table(("a.weight", "b.weight"), KINDS)
    features = features[(features["layer"] == "b.weight") | (features["kind"] == "gradient")]
    assert texts(plot_kinds(summarise_kinds(features), LEVELS, "mlp")).count("not recorded") == 2


def test_the_picture_is_the_one_that_was_approved(same_picture):
    table = summarise_kinds(feature_table(("a.weight", "b.weight"), KINDS))
    same_picture(plot_kinds(table, LEVELS, "mlp"), "kinds")
