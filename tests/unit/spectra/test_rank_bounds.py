"""Real networks: what is measured is never above the bounds, and reaches those that can be reached."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from gradspec.capture import SpectraRecorder
from gradspec.config import resolve
from gradspec.models.registry import build_model
from gradspec.spectra.features import drop_rounding, numerical_rank, rounding_tolerance
from gradspec.spectra.file import KINDS, iterate_layers
from gradspec.spectra.rank_bounds import Batch, bound_ranks, leaky_tail, linear_chain

N, T, FEATURES = 8, 12, 10
WIDE = {"hidden": [12, 12, 12], "dropout": 0.0}
NARROW = {"hidden": [12, 3, 12], "dropout": 0.0}
CASES = {
    "mlp": [
        WIDE,
        {**WIDE, "negative_slope": 1},
        {**NARROW, "negative_slope": 1},
        {**NARROW, "negative_slope": 0.3},
        {**NARROW, "negative_slope": 1, "dropout": 0.5},
    ],
    "elman": [
        {"hidden": 9, "activation": activation, "readout": readout, "truncate": truncate, "dropout": 0.0}
        for activation in ("linear", "tanh")
        for readout in ("mean", "last")
        for truncate in (None, 1, 3, 5)
    ],
    "lstm": [
        {"hidden": 30, "layers": 2, "readout": readout, "truncate": truncate}
        for readout in ("mean", "last")
        for truncate in (None, 1, 3)
    ],
    "transformer": [
        {"width": 40, "heads": 2, "layers": layers, "n_volumes": n_volumes, "dropout": dropout}
        for layers in (1, 2)
        for dropout in (0.0, 0.3)
        for n_volumes in (1, 3, None)
    ],
    "cnn1d": [{"channels": [6, 7]}],
}


def measure(network, changes, n_classes=2, groups=("a", "b"), steps=2):
    """Train for a few steps; give the hyper-parameters, and the largest rank of each layer, kind and group."""
    config = {"cohort": {"source": "simulated"}, "training": {"models": {network: changes}}}
    hyperparameters = resolve(config)["training"]["models"][network]
    torch.manual_seed(1)
    shape = (FEATURES,) if network == "mlp" else (T, FEATURES)
    model = build_model(network, shape, hyperparameters, n_classes)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder = SpectraRecorder(model, groups=groups, kinds=KINDS)
    group = torch.arange(N) % len(groups)
    for _ in range(steps):
        optimizer.zero_grad()
        with recorder.step(group, epoch=0):
            cross_entropy(model(torch.randn(N, *shape)), torch.arange(N) % n_classes).backward()
        optimizer.step()
    spectra = recorder.spectra()
    layers = dict(iterate_layers(spectra))
    shapes = {name: tuple(map(int, node.attrs["shape"])) for name, node in layers.items()}
    ranks = {}
    for name, node in layers.items():
        for kind in (kind for kind in KINDS if kind in node):
            values = drop_rounding(node[kind].values, rounding_tolerance(shapes[name]))
            for place, label in enumerate(spectra["group"].values):
                ranks[name, kind, str(label)] = int(numerical_rank(values[:, place]).max())
    return hyperparameters, shapes, ranks


@pytest.mark.parametrize(
    ("network", "changes"),
    [pytest.param(name, case, id=f"{name}-{i}") for name, cases in CASES.items() for i, case in enumerate(cases)],
)
def test_no_measured_rank_exceeds_its_bound(network, changes):
    hyperparameters, shapes, ranks = measure(network, changes)
    for group, n in (("a", N // 2), ("pooled", N)):
        bounds = bound_ranks(network, hyperparameters, shapes, Batch(n, T))
        assert list(bounds) == list(shapes)
        for (layer, kind, label), rank in ranks.items():
            if label == group:
                bound = getattr(bounds[layer], kind)
                assert rank <= bound.rank, (layer, kind, label, rank, bound)
                assert bound.reason


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_a_linear_network_reaches_its_bounds(n_classes):
    changes = {**NARROW, "negative_slope": 1}
    hyperparameters, shapes, ranks = measure("mlp", changes, n_classes)
    bounds = bound_ranks("mlp", hyperparameters, shapes, Batch(N, T, n_classes))
    measured = {layer: tuple(ranks[layer, kind, "pooled"] for kind in KINDS) for layer in shapes}
    assert measured == {
        layer: (bound.gradient.rank, bound.activation.rank, bound.delta.rank) for layer, bound in bounds.items()
    }
    narrow = min(3, n_classes - 1)
    assert [bound.delta.rank for bound in bounds.values()] == [narrow, narrow, n_classes - 1, n_classes - 1]


@pytest.mark.parametrize("back", [1, 3, 5])
def test_a_linear_recurrent_network_learns_along_one_direction_a_volume_that_gradients_go_back(back):
    changes = {"hidden": 9, "activation": "linear", "readout": "mean", "truncate": back, "dropout": 0.0}
    hyperparameters, shapes, ranks = measure("elman", changes)
    assert ranks["recurrent.weight", "gradient", "pooled"] == back
    bounds = bound_ranks("elman", hyperparameters, shapes, Batch(N, T))
    assert bounds["recurrent.weight"].gradient == (back, "volumes back in time")
    *_, ranks = measure("elman", {**changes, "activation": "tanh"})
    assert ranks["recurrent.weight", "gradient", "pooled"] == 9


def test_a_transformer_learns_along_more_directions_from_longer_sequences_but_not_in_its_last_layer():
    found = {}
    for n_volumes in (1, 3):
        changes = {"width": 64, "heads": 2, "layers": 2, "n_volumes": n_volumes}
        hyperparameters, shapes, ranks = measure("transformer", changes)
        bounds = bound_ranks("transformer", hyperparameters, shapes, Batch(N, T))
        for layer in (0, 1):
            name = f"encoder.layers.{layer}.linear1.weight"
            found[n_volumes, layer] = ranks[name, "gradient", "pooled"], bounds[name].gradient.rank
    assert found == {(1, 0): (16, 16), (3, 0): (32, 32), (1, 1): (8, 8), (3, 1): (8, 8)}


def test_keys_lose_a_direction_a_sample_and_the_class_token_is_one_row_for_all():
    changes = {"width": 64, "heads": 4, "layers": 2, "n_volumes": 2, "dropout": 0.0}
    hyperparameters, shapes, ranks = measure("transformer", changes)
    bounds = bound_ranks("transformer", hyperparameters, shapes, Batch(N, T))
    for part, expected in {"q": (2 * N + 1, 3 * N), "k": (2 * N + 1, 2 * N), "v": (2 * N + 1, 3 * N)}.items():
        layer = f"encoder.layers.0.self_attn.in_proj_weight/{part}"
        assert ranks[layer, "activation", "pooled"] <= bounds[layer].activation.rank == expected[0]
        assert ranks[layer, "delta", "pooled"] == bounds[layer].delta.rank == expected[1]


def test_the_rank_of_the_layers_own_weight_is_no_bound():
    inputs, weight = torch.randn(6, 4), torch.zeros(3, 4, requires_grad=True)
    (inputs @ weight.T - torch.randn(6, 3)).square().sum().backward()
    assert torch.linalg.matrix_rank(weight) == 0
    assert torch.linalg.matrix_rank(weight.grad) == 3


@pytest.mark.parametrize("n_rows", [4, 30])
def test_the_chain_of_a_linear_network_is_that_of_random_affine_maps(n_rows):
    rng = np.random.default_rng(3)
    widths = [6, 2, 9, 3, 7]
    rows, ranks = rng.standard_normal((n_rows, widths[0])), []
    for n_in, n_out in zip(widths, [*widths[1:], 1], strict=True):
        ranks.append(np.linalg.matrix_rank(rows))
        rows = rows @ rng.standard_normal((n_in, n_out)) + rng.standard_normal(n_out)
    assert linear_chain(widths, n_rows) == ranks


@pytest.mark.parametrize("slope", [0.0, 0.3, 0.9, 1.0])
def test_a_leaky_relu_leaves_no_more_outside_the_linear_directions_than_its_bound(slope):
    rng = np.random.default_rng(5)
    low_rank = rng.standard_normal((20, 2)) @ rng.standard_normal((2, 15))
    delta = low_rank * np.where(rng.standard_normal((20, 15)) > 0, 1.0, slope)
    singular_values = np.linalg.svd(delta, compute_uv=False)
    bound = leaky_tail(singular_values, 2, slope)
    assert np.isinf(bound[:2]).all()
    assert (singular_values[2:] <= bound[2:] + 1e-12).all()
    assert (singular_values[2] > 1e-6) == (slope < 1)
