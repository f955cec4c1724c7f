"""What holds for every batch: the algebra of Σ_g G_g, of samples and of scale."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gradspec.capture import SpectraRecorder

NAMES = ["a", "b", "c"]

labels = st.lists(st.integers(-1, 2), min_size=1, max_size=9).map(lambda ids: torch.tensor(ids))
seeds = st.integers(0, 2**31)
layers = st.sampled_from(["wide", "narrow", "sequence", "conv"])
quick = settings(max_examples=25, deadline=None)


def make(kind: str, size: int, seed: int) -> tuple[nn.Module, torch.Tensor]:
    """A single float64 layer and its input."""
    generator = torch.Generator().manual_seed(seed)
    layer, shape = {
        "wide": (nn.Linear(14, 12), (14,)),
        "narrow": (nn.Linear(5, 3), (5,)),
        "sequence": (nn.Linear(5, 4), (3, 5)),
        "conv": (nn.Conv1d(2, 3, 2), (2, 5)),
    }[kind]
    return layer.double(), torch.randn(size, *shape, generator=generator, dtype=torch.float64)


def record(layer: nn.Module, x: torch.Tensor, group: torch.Tensor, scale: float = 1.0) -> np.ndarray:
    """Spectra (group, index) of one step with a loss that treats every sample alike."""
    layer.zero_grad()
    with SpectraRecorder(layer, NAMES) as recorder:
        with recorder.step(group):
            (scale * layer(x).sin()).sum().backward()
        return recorder.spectra()["weight"]["gradient"].values[0]


@quick
@given(layers, labels, seeds)
def test_order_of_samples_does_not_matter(kind: str, group: torch.Tensor, seed: int) -> None:
    layer, x = make(kind, len(group), seed)
    order = torch.randperm(len(group), generator=torch.Generator().manual_seed(seed))
    first, second = record(layer, x, group), record(layer, x[order], group[order])
    np.testing.assert_allclose(first, second, atol=1e-7 * np.nanmax(first))


@quick
@given(layers, labels, seeds)
def test_pooled_is_the_spectrum_of_the_weight_gradient(kind: str, group: torch.Tensor, seed: int) -> None:
    layer, x = make(kind, len(group), seed)
    pooled = record(layer, x, group)[-1]
    expected = torch.linalg.svdvals(layer.weight.grad.flatten(1)).numpy()
    np.testing.assert_allclose(pooled, expected[: len(pooled)], atol=1e-7 * expected[0])


@quick
@given(layers, labels, seeds, st.floats(1e-6, 1e6))
def test_singular_values_scale_with_the_loss(kind: str, group: torch.Tensor, seed: int, scale: float) -> None:
    layer, x = make(kind, len(group), seed)
    first, second = record(layer, x, group), record(layer, x, group, scale)
    np.testing.assert_allclose(second, scale * first, atol=1e-7 * scale * np.nanmax(first))


@quick
@given(seeds, st.integers(2, 9))
def test_one_sample_has_one_singular_value_the_product_of_its_norms(seed: int, size: int) -> None:
    layer, x = make("wide", size, seed)
    group = torch.tensor([0] + [1] * (size - 1))
    output = layer(x[:1])
    (delta,) = torch.autograd.grad(output.sin().sum(), output)
    values = record(layer, x, group)[0]
    assert np.isnan(values[1:]).all()
    np.testing.assert_allclose(values[0], delta.norm().item() * x[0].norm().item(), rtol=1e-12)


@quick
@given(layers, labels, seeds)
def test_norm_of_pooled_is_at_most_the_sum_of_the_parts(kind: str, group: torch.Tensor, seed: int) -> None:
    group = group.clamp(min=0)
    layer, x = make(kind, len(group), seed)
    norms = np.sqrt(np.nansum(record(layer, x, group) ** 2, axis=1))
    assert norms[-1] <= norms[:-1].sum() * (1 + 1e-9)
