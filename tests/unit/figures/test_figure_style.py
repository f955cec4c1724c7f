"""The look that figures share."""

import numpy as np
import pytest
from figure_inputs import LEVELS, feature_table

from gradspec.figures.kinds import plot_kinds, summarise_kinds
from gradspec.figures.style import (
    COMPARISON_COLOUR,
    DIVERGING,
    POOLED_COLOUR,
    REFERENCE_COLOUR,
    band,
    count_blocks,
    group_colours,
    layer_label,
    symmetric,
    unit_of,
)


def test_each_group_has_its_colour_whatever_its_name():
    assert group_colours(["B", "A"]) == {"B": REFERENCE_COLOUR, "A": COMPARISON_COLOUR, "pooled": POOLED_COLOUR}


def test_ends_of_the_diverging_map_lean_to_the_groups_colours():
    negative, zero, positive = DIVERGING([0.15, 0.5, 0.85])
    assert negative[2] > negative[0]
    assert positive[0] > positive[2]
    assert min(zero) > 0.98


@pytest.mark.parametrize(("values", "end"), [([-3, 1], 3), ([np.nan, 2], 2), ([np.nan], 1), ([], 1), ([0, 0], 1)])
def test_scale_is_symmetric_and_never_empty(values, end):
    scale = symmetric(values)
    assert (scale.vmin, scale.vmax) == (-end, end)


@pytest.mark.parametrize(("layers", "expected"), [(1, (1, 1)), (6, (1, 6)), (7, (2, 4)), (14, (2, 7)), (20, (2, 10))])
def test_long_figures_are_broken_into_blocks(layers, expected):
    assert count_blocks(layers) == expected


def test_layers_are_told_apart_by_their_labels():
    names = [
        "layers.0.weight",
        "lstm.weight_ih_l0",
        "lstm.weight_hh_l0",
        "attn.in_proj_weight/q",
        "attn.in_proj_weight/k",
    ]
    assert [layer_label(name) for name in names] == [
        "layers.0",
        "lstm.ih_l0",
        "lstm.hh_l0",
        "attn.in_proj/q",
        "attn.in_proj/k",
    ]


def test_a_picture_in_other_colours_is_not_taken_for_the_same(same_picture, monkeypatch):
    monkeypatch.delenv("NEW_PICTURES", raising=False)
    table = summarise_kinds(feature_table(("a.weight", "b.weight"), ("gradient", "activation", "delta")))
    swapped = plot_kinds(table, LEVELS[::-1], "mlp")
    with pytest.raises(AssertionError, match="Look at both"):
        same_picture(swapped, "kinds")


def test_a_band_of_a_quantity_that_has_no_sign_ends_at_zero():
    low, high = band(np.array([1.0, 0.5, 2.0]), np.array([0.5, 1.0, np.nan]))
    assert low.tolist() == [0.5, 0.0, 2.0]
    assert high.tolist() == [1.5, 1.5, 2.0]


def test_a_feature_has_one_unit_wherever_it_is_shown():
    assert unit_of("of the gradient", "delta") == "loss / activation"
    assert unit_of("of the gradient, over the loss", "gradient") == "loss / weight, over the loss"
    assert unit_of("1", "gradient") == "dimensionless"
