"""The figure of the permutation distributions shows every arrangement, and what could have been found."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from figure_inputs import LEVELS, group_tests, texts

from gradspec.figures.permutations import COLUMNS, plot_permutations, summarise_permutations
from gradspec.stats.omnibus import test_omnibus as omnibus_of

N = 29


def make_network(model, rng):
    values = rng.normal(size=(N + 1, 2, 4))
    layer = xr.Dataset({"log_ratio": (("arrangement", "half", "index"), values)})
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs={"model": model, "n_runs": 8}), "b.weight": layer})


def make_features(model, differences):
    rows = [
        {"model": model, "by": "retraining", "permutation": number, "layer": "b.weight", "kind": "gradient"}
        | {"group": group, "effective_rank": 3 + place * difference}
        for number, difference in enumerate(differences)
        for place, group in enumerate(LEVELS)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    networks = [make_network(model, rng) for model in ("mlp", "lstm")]
    features = [make_features(model, np.append(2.0, np.linspace(-1, 1, N))) for model in ("mlp", "lstm")]
    readings = group_tests({("mlp", "b.weight", "effective_rank"): 1.5})
    return summarise_permutations(networks, features, omnibus_of(networks), readings, LEVELS, 0.05)


def test_every_arrangement_is_there_less_the_mean_of_the_permutations(table):
    assert list(table) == list(COLUMNS)
    counts = table.groupby(["model", "panel"], sort=False).size()
    assert counts.to_dict() == {("mlp", "network"): 30, ("mlp", "feature"): 30, ("lstm", "network"): 30}
    feature = table[table["panel"] == "feature"]
    np.testing.assert_allclose(feature["value"], np.append(2.0, np.linspace(-1, 1, N)), atol=1e-12)
    whole = table[(table["panel"] == "network") & (table["permutation"] > 0)].groupby("model")["value"]
    np.testing.assert_allclose(whole.std(), 1)


def test_the_figure_says_what_could_have_been_found_in_units(table):
    figure = plot_permutations(table, LEVELS)
    text = texts(figure)
    assert "patient − control (dimensionless)" in text and "standard deviations of the permutations" in text
    assert "mlp, b, effective rank: corrected p = 0.01" in text and "lstm: not tested" in text
    ax = figure.axes[1]
    assert [line.get_xdata()[0] for line in ax.lines] == [2.0, -3.0, 3.0]


def test_without_a_test_the_figure_says_so():
    nothing = pd.DataFrame(columns=list(COLUMNS))
    assert "no network could be tested" in texts(plot_permutations(nothing, LEVELS))
