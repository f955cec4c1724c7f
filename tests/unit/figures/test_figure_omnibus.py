"""The figure of the main test: the numbers of the test itself, a panel a network."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gradspec.figures.omnibus import COLUMNS, plot_omnibus, summarise_statistics
from gradspec.stats.omnibus import test_omnibus


def make_tree(model, shift):
    """Forty-nine permutations of two layers, of which the labels as they are stand apart in the first."""
    values = np.random.default_rng(len(model)).normal(size=(2, 50, 2, 4))
    values[0, 0] += shift * np.linspace(-1, 1, 4)
    nodes = {"/": xr.Dataset(attrs={"model": model, "n_runs": 10})}
    nodes |= {
        name: xr.Dataset({"log_ratio": (("arrangement", "half", "index"), layer)})
        for name, layer in zip(("a.weight", "b.weight"), values, strict=True)
    }
    return xr.DataTree.from_dict(nodes)


@pytest.fixture
def trees():
    return {"mlp": make_tree("mlp", 4.0), "lstm2": make_tree("lstm2", 0.0)}


def test_it_shows_the_statistic_that_was_tested(trees):
    table = summarise_statistics(trees)
    assert list(table) == list(COLUMNS) and len(table) == 100
    tests = test_omnibus(list(trees.values())).set_index(["model", "level"])
    for model, rows in table.groupby("model"):
        permuted = rows["statistic"].to_numpy()[1:]
        z = (rows["statistic"].iloc[0] - permuted.mean()) / permuted.std(ddof=1)
        assert z == pytest.approx(tests.loc[(model, "network"), "z"])


def test_a_network_that_could_not_be_tested_has_no_panel(trees):
    nothing = xr.DataTree.from_dict({"/": xr.Dataset(attrs={"model": "gru", "n_runs": 10})})
    tests = test_omnibus([*trees.values(), nothing])
    figure = plot_omnibus(summarise_statistics(trees | {"gru": nothing}), tests)
    assert [ax.get_title("left").split(",")[0] for ax in figure.axes] == ["mlp", "lstm2"]
    empty = summarise_statistics({"gru": nothing})
    assert isinstance(empty, pd.DataFrame) and empty.empty
    assert "no network could be tested" in plot_omnibus(empty, tests).axes[0].texts[0].get_text()


def test_the_picture_is_the_one_that_was_approved(trees, same_picture):
    same_picture(plot_omnibus(summarise_statistics(trees), test_omnibus(list(trees.values()))), "omnibus")
