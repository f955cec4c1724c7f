"""Networks in a stack: the numbers that they have alone, or none at all where a stack would change them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from training_maker import ALL_MODELS, LEVELS, make_fold, make_samples

from gradspec.training.fold import train_fold
from gradspec.training.prepared import prepare
from gradspec.training.splits import get_fold, make_splits
from gradspec.training.stacked import singular_values, train_stacked, try_stack

STACKED = ["mlp", "cnn2d", "mean-mlp", "elman", "cnn1d", "cnn3d"]


class CoupledByBatchNorm(nn.Module):
    def __init__(self, data_shape, n_classes):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(*data_shape, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, n_classes))

    def forward(self, x):
        return self.layers(x)


class Own(nn.Module):
    """A residual connection, a gain without a layer, and dropout twice."""

    def __init__(self, data_shape, n_classes, width=8):
        super().__init__()
        self.first, self.second = nn.Linear(*data_shape, width), nn.Linear(width, width)
        self.gain = nn.Parameter(torch.ones(width))
        self.readout = nn.Linear(width, n_classes)

    def forward(self, x):
        hidden = nn.functional.dropout(torch.tanh(self.first(x)), 0.2, self.training)
        hidden = hidden + nn.functional.dropout(torch.relu(self.second(hidden)), 0.2, self.training) * self.gain
        return self.readout(hidden)


class Branching(Own):
    def forward(self, x):
        return super().forward(x if x.sum() > 0 else -x)


def make_trainings(model, n=3, **changes):
    """Trainings of a fold under permuted groups; and what `train_fold` takes for each."""
    fold = make_fold(model, epochs=3, record_every=2, **changes)
    samples, rng = make_samples(model, separation=1), np.random.default_rng(0)
    alone = []
    for number in range(n):
        groups = samples.groups if number == 0 else rng.permutation(samples.groups)
        table = pd.DataFrame({"participant_id": samples.participants, "group": np.array(LEVELS)[groups]})
        sides = get_fold(make_splits(table, 3, 1, seed=7), 0, 1)
        alone.append((replace(samples, groups=groups), sides, fold))
    return [prepare(*each) for each in alone], alone


def own(cls):
    return {"hyperparameters": {"class": f"{__name__}.{cls.__name__}", "args": {}}}


def assert_alike(stacked, alone):
    np.testing.assert_allclose(stacked["group_loss"].values, alone["group_loss"].values, rtol=1e-4)
    for path in (node.path for node in stacked.subtree if "gradient" in node.data_vars):
        found = stacked[path]["gradient"].values[:, :2]
        expected = alone[path]["gradient"].values[:, :2, : found.shape[-1]]
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.nanmax(expected), rtol=0)
        assert dict(stacked[path].attrs) == dict(alone[path].attrs)


@pytest.mark.parametrize("model", ALL_MODELS)
def test_each_network_has_the_spectra_that_it_has_alone_or_is_not_stacked(model):
    prepared, alone = make_trainings(model)
    layers = try_stack(prepared)
    assert (layers is not None) == (model in STACKED)
    if layers is not None:
        stacked = train_stacked(prepared, layers)
        for number, each in enumerate(alone):
            assert_alike(stacked.isel(run_index=number), train_fold(*each).spectra)


def test_a_network_of_ones_own_is_stacked_where_torch_can():
    prepared, alone = make_trainings("mlp", **own(Own))
    layers = try_stack(prepared)
    assert_alike(train_stacked(prepared, layers).isel(run_index=2), train_fold(*alone[2]).spectra)


@pytest.mark.parametrize(
    "changes",
    [own(CoupledByBatchNorm), own(Branching), {"amp": True}, {"kinds": ["gradient", "delta"]}, {"patience": 1}],
    ids=["samples that meet in a batch", "a branch", "amp", "other kinds", "patience"],
)
def test_what_a_stack_would_change_is_trained_one_after_the_other(changes):
    assert try_stack(make_trainings("mlp", 2, **changes)[0]) is None


def test_singular_values_are_those_of_each_matrix():
    gradients = torch.randn(3, 4, 2, 3, generator=torch.manual_seed(0))
    gradients[1, 0, 0, 0] = torch.nan
    found = singular_values(gradients, (4, 6))
    expected = torch.linalg.svdvals(gradients[[0, 2]].reshape(2, 4, 6).double())
    torch.testing.assert_close(found[[0, 2]], expected, atol=1e-7, rtol=0)
    assert found[1].isnan().all()
