"""The slow and obvious way to per-group gradient spectra, which the recorder must agree with."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
import xarray as xr
from torch import Tensor, nn


def naive_gradients(
    model: nn.Module, x: Tensor, y: Tensor, group: Tensor, n_groups: int, *more: tuple[Tensor, Tensor, Tensor]
) -> list[dict[str, Tensor]]:
    """Gradients of each group's share of the mean loss, then of the whole, by a backward pass each.

    Of several batches, `more` than one, the mean losses are summed.
    """
    gradients = []
    for label in [*range(n_groups), None]:
        model.zero_grad()
        for inputs, classes, labels in ((x, y, group), *more):
            losses = F.cross_entropy(model(inputs), classes, reduction="none")
            member = torch.ones_like(labels) if label is None else labels == label
            (losses * member).sum().div(len(classes)).backward()
        gradients.append(
            {name: p.grad.to_dense().clone() for name, p in model.named_parameters() if p.grad is not None}
        )
    model.zero_grad()
    return gradients


NORMS = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)


def blocks(model: nn.Module, gradients: dict[str, Tensor], extras: Sequence[str] = ()) -> dict[str, Tensor]:
    """Matrices (m, n) that have a spectrum each, by the name of their node; a vector is a matrix of one column."""
    matrices = {}
    for name, gradient in gradients.items():
        owner = model.get_submodule(name.rpartition(".")[0])
        is_vector = gradient.ndim == 1 or isinstance(owner, NORMS)
        if (
            name.endswith(("bias_k", "bias_v"))
            or (is_vector and "vectors" not in extras)
            or (isinstance(owner, nn.Embedding) and "embedding" not in extras)
        ):
            continue
        gradient = gradient.reshape(-1, 1) if is_vector else gradient
        if name.endswith(("in_proj_weight", "in_proj_bias")):
            matrices |= {f"{name}/{block}": part for block, part in zip("qkv", gradient.chunk(3), strict=True)}
        elif getattr(owner, "groups", 1) > 1 and not is_vector:
            parts = gradient.flatten(1).chunk(owner.groups)
            matrices |= {f"{name}/block{block}": part for block, part in enumerate(parts)}
        else:
            matrices[name] = gradient.flatten(1)
    return matrices


def naive_spectra(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    group: Tensor,
    n_groups: int,
    extras: Sequence[str] = (),
    more: Sequence[tuple[Tensor, Tensor, Tensor]] = (),
) -> dict[str, list[np.ndarray]]:
    """Singular values of each node, of each group and pooled, by ``svdvals`` of whole gradients."""
    gradients = naive_gradients(model, x, y, group, n_groups, *more)
    return spectra_of([blocks(model, of_group, extras) for of_group in gradients])


def spectra_of(per_group: Sequence[dict[str, Tensor]]) -> dict[str, list[np.ndarray]]:
    """Singular values of each node, from the matrices of each group."""
    return {
        node: [torch.linalg.svdvals(matrices[node].double()).numpy() for matrices in per_group] for node in per_group[0]
    }


def rows_of(module: nn.Module, run: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    """Input and back-propagated gradient of a module whose output nobody changes in place, by hooks.

    `run` computes the loss.
    """
    seen = {}

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        output.retain_grad()
        seen["input"], seen["output"] = inputs[0].detach().clone(), output

    handle = module.register_forward_hook(hook)
    try:
        run().backward()
    finally:
        handle.remove()
    return seen["input"], seen["output"].grad


def conv_rows(conv: nn.Conv2d, x: Tensor, delta: Tensor) -> tuple[Tensor, Tensor]:
    """Rows H (sample × position, input × tap) and Δ (sample × position, output) of a zero-padded 2-D convolution."""
    patches = F.unfold(x, conv.kernel_size, conv.dilation, conv.padding, conv.stride)
    return patches.transpose(1, 2), delta.flatten(2).transpose(1, 2)


def assert_spectra_equal(actual: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Compare a recorded spectrum, NaN beyond its rank, with singular values; all errors are relative to the largest.

    What is expected beyond the recorded rank must be zero. A gradient below 1e-9 is rounding about zero, as that of the
    bias of keys, which softmax does not see.
    """
    known = actual[~np.isnan(actual)]
    assert np.isnan(actual[len(known) :]).all()
    assert (np.diff(known) <= 0).all()
    size = min(len(known), len(expected))
    scale = max(expected[0], 1e-9)
    assert np.abs(known[:size] - expected[:size]).max() <= tolerance * scale
    assert (np.abs(expected[size:]) <= 1e-12 * scale).all()
    assert (np.abs(known[size:]) <= tolerance * scale).all()


# How far spectra may be from those of a backward pass a group, by route.
TOLERANCE = {"sample side": 1e-12, "parameter side": 1e-7}


def assert_step_equal(
    spectra: xr.DataTree,
    expected: dict[str, list[np.ndarray]],
    step: int = 0,
    tolerance: dict[str, float] = TOLERANCE,
) -> None:
    """Compare all spectra of one step with those expected of each group, then pooled; NaN for one without samples."""
    counts = spectra["n"].values[step]
    assert {node.path.lstrip("/") for node in spectra.leaves} == set(expected)
    for node, per_group in expected.items():
        allowed = max(tolerance[route] for route in spectra[node].attrs["route"].split(", "))
        recorded = spectra[node]["gradient"].values[step]
        assert len(recorded) == len(per_group) == len(counts)
        for values, of_group, count in zip(recorded, per_group, counts, strict=True):
            if count == 0:
                assert np.isnan(values).all()
            else:
                assert_spectra_equal(values, of_group, allowed)


def assert_trees_close(actual: xr.DataTree, expected: xr.DataTree, tolerance: dict[str, float]) -> None:
    """Compare the gradients' spectra in two trees, relative to the largest of each group; zero beyond a rank is NaN."""
    xr.testing.assert_equal(actual["n"], expected["n"])
    xr.testing.assert_equal(actual["weight_sum"], expected["weight_sum"])
    assert {node.path for node in actual.leaves} == {node.path for node in expected.leaves}
    for node in expected.leaves:
        allowed = max(tolerance[route] for route in node.attrs["route"].split(", "))
        first, second = actual[node.path]["gradient"].values, node["gradient"].values
        assert (np.isnan(first[..., 0]) == np.isnan(second[..., 0])).all()
        width = max(first.shape[-1], second.shape[-1])
        first, second = (
            np.nan_to_num(np.pad(values, ((0, 0), (0, 0), (0, width - values.shape[-1])))) for values in (first, second)
        )
        scale = np.maximum(second[..., :1], 1e-9)
        assert (np.abs(first - second) <= allowed * scale).all(), node.path
