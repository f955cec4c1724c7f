"""The main figure shows the surest difference, and its table every number that is drawn."""

import numpy as np
import pytest
from figure_inputs import LEVELS, cluster_table, feature_table, group_tests, performance_table, spectra_tree, texts

from gradspec.figures.main_figure import COLUMNS, find_leading_model, plot_main, summarise_main

EFFECTS = {
    ("lstm", "c.weight", "entropy"): 0.5,
    ("mlp", "a.weight", "spectral_norm"): -0.2,
    ("mlp", "b.weight", "effective_rank"): 1.5,
}
AREAS = {"mlp": (0.8, 0.6, 0.9), "logistic": (0.7, 0.5, 0.85)}


def summarise(effects=EFFECTS, areas=AREAS):
    clusters = cluster_table("mlp", "b.weight", "effective_rank", 2, 3)
    spectra = spectra_tree(("a.weight", "b.weight"), n=(4, 4))
    return summarise_main(spectra, feature_table(), group_tests(effects), clusters, performance_table(areas), 0.05)


def test_the_network_with_the_surest_difference_leads():
    assert find_leading_model(group_tests(EFFECTS), 0.05) == "mlp"


def test_spectra_and_trajectory_are_those_of_the_leading_layer():
    table = summarise()
    assert set(table) == set(COLUMNS)
    shown = table[table["panel"].isin(["spectra", "trajectory"])]
    assert set(shown["layer"]) == {"b.weight"}
    trajectory = table[(table["panel"] == "trajectory") & (table["group"] == "patient")]
    runs = feature_table()
    runs = runs[(runs["layer"] == "b.weight") & (runs["group"] == "patient")].groupby("epoch")["effective_rank"]
    np.testing.assert_allclose(trajectory["value"].to_numpy(float), runs.mean())
    np.testing.assert_allclose((trajectory["high"] - trajectory["value"]).to_numpy(float), runs.std())
    assert trajectory.loc[trajectory["significant"].astype(bool), "epoch"].tolist() == [2, 3]


def test_differences_are_ordered_and_filled_where_significant():
    figure = plot_main(summarise(), LEVELS, ["mlp", "lstm"], 0.05)
    differences = next(ax for ax in figure.axes if ax.get_title("left") == "Surest differences of spectra")
    dots = [line for line in differences.lines if line.get_marker() == "o"]
    assert [float(dot.get_xdata()[0]) for dot in dots] == [1.5, 0.5, -0.2]
    assert [dot.get_markerfacecolor() == "white" for dot in dots] == [False, True, True]


def test_the_figure_says_how_many_took_part_and_marks_epochs():
    figure = plot_main(summarise(), LEVELS, ["mlp", "lstm"], 0.05)
    words = texts(figure)
    assert "n = 24 participants" in words
    assert "logistic\n(baseline)" in words
    assert "black bar: epochs that differ" in words
    assert "mean of 2 training runs" in words


def test_the_unit_is_that_of_the_kind_that_is_shown():
    table = summarise().replace({"kind": {"gradient": "delta"}, "feature": {"effective_rank": "spectral_norm"}})
    words = texts(plot_main(table, LEVELS, ["mlp", "lstm"], 0.05))
    assert "Spectral norm\n(loss / activation)" in words


def test_it_is_drawn_where_nothing_could_be_tested_or_scored():
    tests = group_tests(EFFECTS)
    tests[["effect_size", "p_value", "p_corrected"]] = np.nan
    clusters = cluster_table("mlp", "b.weight", "effective_rank", np.nan, np.nan)
    clusters["p_corrected"] = np.nan
    nothing = performance_table(AREAS)[:0]
    features = feature_table(("c.weight",)).rename(columns={"stable_rank": "entropy"})
    table = summarise_main(spectra_tree(("c.weight",)), features, tests, clusters, nothing, 0.05)
    words = texts(plot_main(table, LEVELS, ["mlp", "lstm"], 0.05))
    assert "no difference could be tested" in words
    assert "no network could be scored" in words


@pytest.mark.parametrize("levels", [["control", "patient"]])
def test_groups_have_their_colours(levels):
    figure = plot_main(summarise(), levels, ["mlp", "lstm"], 0.05)
    trajectory = next(ax for ax in figure.axes if ax.get_title("left").startswith("Effective rank"))
    colours = {line.get_label(): line.get_color() for line in trajectory.lines}
    assert (colours["control"], colours["patient"]) == ("#0072B2", "#D55E00")


def test_the_picture_is_the_one_that_was_approved(same_picture):
    same_picture(plot_main(summarise(), LEVELS, ["mlp", "lstm"], 0.05), "main")


def test_differences_of_one_network_alone_name_it_above():
    figure = plot_main(summarise({("mlp", "b.weight", "effective_rank"): 1.5}), LEVELS, ["mlp", "lstm"], 0.05)
    assert "Surest differences of spectra\nof mlp" in texts(figure)
