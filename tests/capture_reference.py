"""The slow and obvious way to per-group gradient spectra, which the recorder must agree with."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def naive_gradients(model: nn.Module, x: Tensor, y: Tensor, group: Tensor, n_groups: int) -> list[dict[str, Tensor]]:
    """Gradients of each group's share of the mean loss, then of the whole, by a backward pass each."""
    members = [group == label for label in range(n_groups)] + [torch.ones_like(group, dtype=torch.bool)]
    gradients = []
    for member in members:
        model.zero_grad()
        losses = F.cross_entropy(model(x), y, reduction="none")
        (losses * member).sum().div(len(y)).backward()
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
    model: nn.Module, x: Tensor, y: Tensor, group: Tensor, n_groups: int, extras: Sequence[str] = ()
) -> dict[str, list[np.ndarray]]:
    """Singular values of each node, of each group and pooled, by ``svdvals`` of whole gradients."""
    per_group = [blocks(model, gradients, extras) for gradients in naive_gradients(model, x, y, group, n_groups)]
    return {node: [torch.linalg.svdvals(matrices[node]).numpy() for matrices in per_group] for node in per_group[0]}


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
