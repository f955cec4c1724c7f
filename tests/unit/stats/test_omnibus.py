"""The omnibus test: its distance by the formula, its level, what it sees, and the tree of networks and layers."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gradspec.files import read_table, write_table
from gradspec.stats.omnibus import OMNIBUS_COLUMNS, squared_distance, test_omnibus
from gradspec.stats.summary import tell_omnibus

N = 49

NO_READINGS = pd.DataFrame(columns=["model", "p_corrected"])


def make_network(rng, shift=0.0, model="mlp", layers=("a.weight", "b.weight"), n=N):
    """Differences that share a direction; those of the labels as they are differ from it in the first layer."""
    nodes = {"/": xr.Dataset(attrs={"model": model, "n_runs": 10})}
    for position, layer in enumerate(layers):
        values = 3 * rng.normal(size=(n + 1, 1, 1)) + rng.normal(size=(n + 1, 2, 6))
        if position == 0:
            values[0] += shift * np.linspace(-1, 1, 6)
        nodes[layer] = xr.Dataset({"log_ratio": (("arrangement", "half", "index"), values)})
    return xr.DataTree.from_dict(nodes)


def test_the_distance_is_that_of_the_shrunk_correlation_matrix():
    values = np.random.default_rng(0).normal(size=(30, 5)) @ np.diag([1, 2, 3, 4, 5.0])
    x = (values - values.mean(axis=0)) / values.std(axis=0)
    correlation = x.T @ x / len(x)
    # Of full rank, so that the mean of the eigenvalues is one.
    expected = np.einsum("pi,ij,pj->p", x, np.linalg.inv(correlation + np.eye(5)), x)
    np.testing.assert_allclose(squared_distance(values), expected)
    np.testing.assert_allclose(squared_distance(np.column_stack([values, np.full(30, 7.0)])), expected)
    assert (squared_distance(np.ones((30, 2))) == 0).all()


def test_it_keeps_its_level_and_sees_a_difference_of_shape():
    rng = np.random.default_rng(1)
    null = [test_omnibus([make_network(rng)])["p_corrected"].iloc[0] for _ in range(200)]
    assert 0.01 <= np.mean(np.array(null) <= 0.05) <= 0.09
    table = test_omnibus([make_network(rng, shift=6.0)]).set_index("layer")
    assert table["p_corrected"].iloc[0] < 0.01 and table.loc["a.weight", "p_corrected"] < 0.01
    assert table.loc["b.weight", "p_corrected"] > 0.05 and table["z"].iloc[0] > 3


def test_one_layer_that_differs_is_not_lost_among_many_that_do_not():
    rng = np.random.default_rng(4)
    layers = [f"{number}.weight" for number in range(12)]
    p_values = [test_omnibus([make_network(rng, 6.0, layers=layers)])["p_value"].iloc[0] for _ in range(10)]
    assert np.mean(np.array(p_values) <= 0.05) >= 0.9


def test_networks_are_corrected_for_each_other_and_layers_pass_their_gate(tmp_path):
    rng = np.random.default_rng(2)
    networks = [make_network(rng, 6.0), make_network(rng, model="lstm"), make_network(rng, model="gru")]
    table = test_omnibus(networks)
    assert list(table.columns) == list(OMNIBUS_COLUMNS)
    whole = table[table["level"] == "network"]
    assert whole["p_corrected"].iloc[0] == pytest.approx(3 * whole["p_value"].min())
    for _, rows in table.groupby("model"):
        assert (rows["p_corrected"].iloc[1:] >= rows["p_corrected"].iloc[0]).all()
    write_table(table, tmp_path / "omnibus.tsv", OMNIBUS_COLUMNS)
    found, *others = tell_omnibus(read_table(tmp_path / "omnibus.tsv"), NO_READINGS, 0.05)
    assert found.startswith("mlp: the spectra of the groups differ") and "a.weight" in found and "b.weight" not in found
    assert all("were not found to differ" in sentence for sentence in others)


def test_a_network_without_values_is_not_tested():
    table = test_omnibus([xr.DataTree.from_dict({"/": xr.Dataset(attrs={"model": "mlp", "n_runs": 10})})])
    assert np.isnan(table["p_corrected"].iloc[0]) and table["test"].iloc[0].startswith("not tested")
    assert tell_omnibus(table, NO_READINGS, 0.05)[0].startswith("mlp: not tested")


def test_single_features_are_told_of_where_the_network_differs():
    row = {"model": "mlp", "effect_unit": "spreads", "layer": "a.weight", "kind": "gradient", "feature": "stable_rank"}
    features = pd.DataFrame(
        [row | {"effect_size": -3.3, "p_corrected": 0.01}, row | {"effect_size": 1.0, "p_corrected": 0.4}]
    )
    rng = np.random.default_rng(3)
    found, silent = (tell_omnibus(test_omnibus([make_network(rng, shift)]), features, 0.05)[0] for shift in (6.0, 0.0))
    assert "the stable rank of the gradient of a.weight (-3.3 spreads" in found and "stable rank" not in silent
