"""Ranks against their bounds, over training and of all networks."""

import numpy as np
import pytest
from figure_inputs import texts
from spectra_maker import SHAPES, make_fold, write_folds

from gradspec.figures.rank_bounds import compare_ranks, plot_rank_bounds
from gradspec.figures.ranks import KINDS, plot_ranks, summarise_ranks
from gradspec.spectra.file import iterate_layers
from gradspec.spectra.merge import merge_folds

MLP = {"hidden": [12], "negative_slope": 0, "dropout": 0.1}


def make_tree(folder, **options):
    return merge_folds(
        write_folds(folder, *(make_fold(0, fold, **{"kinds": tuple(KINDS), **options}) for fold in (0, 1)))
    )


@pytest.fixture
def tree(tmp_path):
    return make_tree(tmp_path)


@pytest.fixture
def table(tree):
    return summarise_ranks(tree, MLP, 40)


def test_ranks_and_spectra_are_means_over_runs_and_steps_of_an_epoch(tree, table):
    for layer, node in iterate_layers(tree):
        for kind in KINDS:
            rows = table[(table["layer"] == layer) & (table["kind"] == kind) & (table["epoch"] == 1)]
            spectra = [node[kind].values[run, step, 2] for run in (0, 1) for step in (2, 3)]
            relative = np.mean([np.nan_to_num(spectrum) / np.nanmax(spectrum) for spectrum in spectra], axis=0)
            np.testing.assert_allclose(rows["singular_value"], relative)
            counts = [np.sum(spectrum > 1e-5 * np.nanmax(spectrum)) for spectrum in spectra]
            assert rows["numerical_rank"].unique() == [np.mean(counts)]
            assert rows["largest_rank"].unique() == [max(counts)]
            assert (rows["effective_rank"] <= rows["numerical_rank"]).all()
    assert set(table["n_runs"]) == {2}


def test_bounds_are_those_of_the_network_and_of_the_samples_of_a_step(table):
    found = table.drop_duplicates(["layer", "kind"]).set_index(["layer", "kind"])[["bound", "reason"]]
    assert found.loc[("hidden.weight", "gradient")].tolist() == [8, "samples"]
    assert found.loc[("output.weight", "delta")].tolist() == [1, "classes - 1"]
    assert found.loc[("attention.in_proj_weight/q", "activation")].tolist() == [6, "inputs of the layer"]


def test_a_network_under_another_name_has_the_bounds_of_its_class(tree):
    tree.attrs["model"] = "leaky"
    named = summarise_ranks(tree, {"class": "mlp", "args": MLP}, 40)
    tree.attrs["model"] = "mlp"
    assert named.equals(summarise_ranks(tree, MLP, 40))


def test_every_layer_and_kind_has_a_panel_with_its_bound(table):
    figure = plot_ranks(table, "mlp")
    panels = [ax for ax in figure.axes if ax.images]
    assert len(panels) == len(KINDS) * len(SHAPES)
    drawn = {line.get_ydata()[0] - 0.5 for line in panels[2].lines if line.get_linestyle() == "--"}
    assert drawn == {8}  # the gradient of the first layer
    assert "≤ 8: samples" in texts(figure)
    assert "mlp: singular values, rank and its bound over training, 2 training runs" in texts(figure)


def test_a_kind_that_was_not_recorded_is_named_so(tmp_path):
    table = summarise_ranks(make_tree(tmp_path, kinds=("gradient",), batches=(2,)), MLP, 40)
    assert texts(plot_ranks(table, "mlp")).count("not recorded") == 2 * len(SHAPES)


def test_all_networks_are_beside_each_other_with_bound_and_largest_rank(table):
    compared = compare_ranks({"first": table, "second": table})
    assert len(compared) == 2 * len(SHAPES) * len(KINDS)
    row = compared.set_index(["model", "layer", "kind"]).loc[("second", "hidden.weight", "gradient")]
    rows = table[(table["layer"] == "hidden.weight") & (table["kind"] == "gradient")]
    assert row["largest_rank"] == rows["largest_rank"].max()
    assert row["first_effective_rank"] == rows.loc[rows["epoch"] == 0, "effective_rank"].iloc[0]
    assert row["last_effective_rank"] == rows.loc[rows["epoch"] == 2, "effective_rank"].iloc[0]
    figure = plot_rank_bounds(compared)
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names == [
        name for model in ("first", "second") for name in (model, "hidden", "attention.in_proj/q", "output")
    ]
    gradients = compared[compared["kind"] == "gradient"]
    np.testing.assert_array_equal(figure.axes[2].lines[0].get_xdata(), gradients["bound"])
    np.testing.assert_array_equal(figure.axes[2].lines[1].get_xdata(), gradients["largest_rank"])
