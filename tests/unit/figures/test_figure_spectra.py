"""Heat maps of singular values."""

import numpy as np
import pytest
from figure_inputs import LEVELS, texts
from figure_inputs import spectra_tree as make_tree

from gradspec.figures.spectra import plot_spectra, summarise_spectra

GROUPS = [*LEVELS, "pooled"]


def value(table, group, index, epoch=1):
    rows = table[(table["group"] == group) & (table["index"] == index) & (table["epoch"] == epoch)]
    return rows["singular_value"].item()


@pytest.mark.parametrize(
    ("reduction", "scale"),
    [
        ("mean", {"control": 12 / 4, "patient": 12 / 8, "pooled": 1}),
        ("sum", {"control": 1 / 4, "patient": 1 / 8, "pooled": 1 / 12}),
    ],
)
def test_values_are_means_over_steps_of_the_mean_gradient_of_the_group(reduction, scale):
    table = summarise_spectra(make_tree(["a.weight"], reduction=reduction))
    for group, top in zip(GROUPS, (2, 4, 6), strict=True):
        for index in (1, 2, 4):
            assert value(table, group, index) == pytest.approx(2 * top / index * scale[group])
    assert set(table["n_runs"]) == {2}


def test_layers_keep_the_order_of_the_network():
    names = ["embed.weight", "attn.in_proj_weight/q", "attn.in_proj_weight/k", "head.weight"]
    table = summarise_spectra(make_tree(names))
    assert list(dict.fromkeys(table["layer"])) == names


def test_undefined_values_are_left_out_and_rounding_counts_as_zero():
    tree = make_tree(["a.weight"])
    tree["a.weight/gradient"][:, :, 0, 2:] = np.nan
    tree["a.weight/gradient"][:, :, 1, 3] = 1e-9
    tree["a.weight/gradient"][0, 2:4, 2, :] = np.nan
    table = summarise_spectra(tree)
    assert table.loc[table["group"] == "control", "index"].max() == 2
    assert value(table, "patient", 4) == 0
    pooled = table[(table["group"] == "pooled") & (table["epoch"] == 1)]
    assert set(pooled["n_runs"]) == {1}


def test_heat_maps_show_the_table_relative_to_the_largest_and_the_ratio():
    table = summarise_spectra(make_tree(["a.weight", "b.weight"], n=(4, 4)))
    figure = plot_spectra(table, LEVELS, "mlp")
    reference, comparison, pooled, ratio = figure.axes[:4]
    top = table["singular_value"].max()
    drawn = np.asarray(reference.images[0].get_array())
    expected = table[(table["layer"] == "a.weight") & (table["group"] == "control")]
    np.testing.assert_allclose(drawn.T.ravel(), np.log10(expected["singular_value"] / top))
    np.testing.assert_allclose(ratio.images[0].get_array(), 1)
    assert reference.images[0].norm.vmin == comparison.images[0].norm.vmin == pooled.images[0].norm.vmin
    assert "Singular value relative to the layer's largest" in texts(figure)
    assert "Ratio patient / control (log2)" in texts(figure)
    assert figure.get_suptitle() == "mlp: singular values of each layer's gradient, mean of 2 training runs"


def test_what_is_not_defined_is_not_coloured():
    tree = make_tree(["a.weight"])
    tree["a.weight/gradient"][:, :, 0, 2:] = np.nan
    tree["a.weight/gradient"][:, :, 1, 1] = 0.0
    axes = plot_spectra(summarise_spectra(tree), LEVELS, "mlp").axes
    assert axes[0].images[0].get_array().mask.tolist() == [[False] * 3, [False] * 3, [True] * 3, [True] * 3]
    assert axes[3].images[0].get_array().mask.tolist() == [[False] * 3, [True] * 3, [True] * 3, [True] * 3]


@pytest.mark.parametrize("n_layers", [1, 6, 20])
def test_every_layer_has_its_four_panels(n_layers):
    table = summarise_spectra(make_tree([f"layers.{i}.weight" for i in range(n_layers)]))
    figure = plot_spectra(table, LEVELS, "transformer")
    assert sum(bool(ax.images) for ax in figure.axes) == 4 * n_layers


@pytest.mark.parametrize("kind", ["activation", "delta"])
def test_other_kinds_are_drawn_where_there_is_no_gradient(kind):
    table = summarise_spectra(make_tree(["a.weight"], kind=kind))
    assert set(table["kind"]) == {kind}


def test_the_picture_is_the_one_that_was_approved(same_picture):
    same_picture(
        plot_spectra(summarise_spectra(make_tree(["a.weight", "b.weight"], n=(4, 4))), LEVELS, "mlp"), "spectra"
    )
