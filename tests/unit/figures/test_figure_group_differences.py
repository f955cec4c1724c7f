"""Map and forest of group differences."""

import numpy as np
import pandas as pd
import pytest
from figure_inputs import LEVELS, texts
from matplotlib.colors import to_hex

from gradspec.figures.group_differences import plot_group_differences, summarise_differences
from gradspec.figures.style import COMPARISON_COLOUR, REFERENCE_COLOUR


def make_differences(models=("mlp",), layers=("a.weight", "b.weight"), kinds=("gradient",)):
    rows = [
        {
            "model": model,
            "layer": layer,
            "kind": kind,
            "feature": feature,
            "n_runs": 20,
            "mean_reference": 2.0,
            "mean_comparison": 2.0 + sign,
            "difference": sign,
            "ci_low": sign - 0.5,
            "ci_high": sign + 0.5,
            "effect_size": size,
            "effect_unit": "standard errors",
            "p_corrected": 0.01 if abs(size) > 1 else 0.4,
            "correction": "benjamini-hochberg",
            "test": "corrected resampled t-test",
        }
        for model in models
        for layer in layers
        for kind in kinds
        for feature, sign, size in (("spectral_norm", 1.0, 2.0), ("effective_rank", -1.0, -0.5))
    ]
    return pd.DataFrame(rows)


def test_differences_are_expressed_in_percent_of_the_mean_of_both():
    table = summarise_differences(make_differences(), 0.05)
    first = table.iloc[0]
    assert (first["percent"], first["percent_low"], first["percent_high"]) == pytest.approx((40, 20, 60))
    assert table["significant"].tolist() == [True, False, True, False]


def test_the_map_shows_effect_sizes_and_marks_what_is_significant():
    table = summarise_differences(make_differences(), 0.05)
    figure = plot_group_differences(table, LEVELS, 0.05)
    map_ax = figure.axes[0]
    np.testing.assert_allclose(map_ax.images[0].get_array(), [[2, -0.5], [2, -0.5]])
    assert map_ax.collections[0].get_offsets().tolist() == [[0, 0], [0, 1]]
    assert [label.get_text() for label in map_ax.get_yticklabels()] == ["a", "b"]
    assert map_ax.get_title("left") == "mlp: 2 of 4 tests with p < 0.05 (20 training runs)"
    assert "benjamini-hochberg" in figure.get_suptitle()


def test_the_forest_is_ordered_by_effect_and_coloured_by_direction():
    table = summarise_differences(make_differences(), 0.05)
    forest = plot_group_differences(table, LEVELS, 0.05).axes[1]
    assert [label.get_text() for label in forest.get_yticklabels()] == [
        "a: spectral norm",
        "b: spectral norm",
        "a: effective rank",
        "b: effective rank",
    ]
    dots = [line for line in forest.lines if line.get_marker() == "o"]
    assert [dot.get_color() for dot in dots] == [COMPARISON_COLOUR] * 2 + [REFERENCE_COLOUR] * 2
    assert [to_hex(dot.get_markerfacecolor()) == "#ffffff" for dot in dots] == [False, False, True, True]
    intervals = [line.get_xdata() for line in forest.lines if len(line.get_xdata()) == 2][1:]
    np.testing.assert_allclose(intervals[0], [20, 60])
    assert "% of the mean of both" in forest.get_xlabel()
    assert "corrected 95 % interval" in forest.get_xlabel()


def test_a_test_that_was_not_done_is_grey_and_not_marked():
    differences = make_differences()
    differences.loc[0, ["effect_size", "difference", "ci_low", "ci_high", "p_corrected"]] = np.nan
    figure = plot_group_differences(summarise_differences(differences, 0.05), LEVELS, 0.05)
    assert figure.axes[0].images[0].get_array().mask.tolist() == [[True, False], [False, False]]
    assert "1 of 3 tests" in figure.axes[0].get_title("left")
    assert figure.axes[1].get_title("left").startswith("Strongest 3 of 3")


def test_a_model_without_any_test_says_so():
    differences = make_differences()
    differences[["effect_size", "difference", "ci_low", "ci_high", "p_corrected"]] = np.nan
    figure = plot_group_differences(summarise_differences(differences, 0.05), LEVELS, 0.05)
    assert "no difference could be tested" in texts(figure)


def test_each_model_has_a_row_and_all_share_the_scale():
    table = summarise_differences(make_differences(("mlp", "lstm"), [f"layers.{i}.weight" for i in range(20)]), 0.05)
    figure = plot_group_differences(table, LEVELS, 0.05)
    maps = [ax.images[0] for ax in figure.axes if ax.images and ax.collections]
    assert [image.get_array().shape for image in maps[:2]] == [(20, 2), (20, 2)]
    assert maps[0].norm.vmax == maps[1].norm.vmax == 2


def test_kinds_of_a_layer_are_rows_of_their_own():
    table = summarise_differences(make_differences(kinds=("gradient", "delta"), layers=("a.weight",)), 0.05)
    labels = [label.get_text() for label in plot_group_differences(table, LEVELS, 0.05).axes[0].get_yticklabels()]
    assert labels == ["a · gradient", "a · delta"]


def test_the_picture_is_the_one_that_was_approved(same_picture):
    table = summarise_differences(make_differences(("mlp", "lstm")), 0.05)
    same_picture(plot_group_differences(table, LEVELS, 0.05), "group_differences")
