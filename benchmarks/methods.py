"""Ways to record the spectra of two groups and pooled in a training step, from the plain step to the recorder."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradspec.capture import SpectraRecorder

GROUPS = ("control", "patient")

# Runs forward and backward on a batch and its groups, and gives how many matrices it has decomposed.
Method = Callable[[Tensor, Tensor], int]


def plain(model: nn.Module) -> Method:
    """Forward and backward, nothing recorded."""

    def run(x: Tensor, group: Tensor) -> int:
        F.cross_entropy(model(x), group).backward()
        return 0

    return run


def naive(model: nn.Module) -> Method:
    """Another forward and backward pass for the samples of each group, and the SVD of every whole gradient."""
    weights = [parameter for parameter in model.parameters() if parameter.ndim > 1]

    def run(x: Tensor, group: Tensor) -> int:
        for label in range(len(GROUPS)):
            member = group == label
            loss = F.cross_entropy(model(x[member]), group[member])
            for gradient in torch.autograd.grad(loss, weights):
                torch.linalg.svdvals(gradient.flatten(1))
        F.cross_entropy(model(x), group).backward()
        for weight in weights:
            torch.linalg.svdvals(weight.grad.flatten(1))
        return len(weights)

    return run


def hooks(model: nn.Module) -> Method:
    """Hooks on the layers, which keep H and Δ, the product of every group, and its SVD.

    Hooks see linear layers and convolutions; what happens within recurrent layers and attention stays unseen.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv3d)]
    # its own hooks never fire: attention uses the weight of its output projection without calling it
    attentions = [module for module in model.modules() if isinstance(module, nn.MultiheadAttention)]
    layers = [layer for layer in layers if all(layer is not attention.out_proj for attention in attentions)]

    def run(x: Tensor, group: Tensor) -> int:
        with _rows_of(layers) as rows:
            F.cross_entropy(model(x), group).backward()
        for layer, (h, delta) in rows.items():
            gradients = [
                _weight_gradient(layer, h[group == label], delta[group == label]) for label in range(len(GROUPS))
            ]
            for gradient in (*gradients, layer.weight.grad.flatten(1)):
                torch.linalg.svdvals(gradient)
        return len(rows)

    return run


def recorder(groups: Sequence[str] = GROUPS, **options: Any) -> Callable[[nn.Module], Method]:
    """The recorder with some options."""

    def make(model: nn.Module) -> Method:
        recorder = SpectraRecorder(model, groups, **options)
        n_weights = sum(row.status == "captured" for row in recorder.report().rows)

        def run(x: Tensor, group: Tensor) -> int:
            with recorder.step(group) as step:
                F.cross_entropy(model(x), group).backward()
            return n_weights if step.recorded else 0

        return run

    return make


METHODS = {
    "naive": naive,
    "hooks": hooks,
    "sync": recorder(),
    "worker": recorder(worker=True),
    "budget": recorder(every="auto", budget=0.05),
}

# What an accelerator may do beside: solve where it has captured.
ON_DEVICE = {
    "device": recorder(solve_on="device"),
    "device+": recorder(solve_on="device", worker=True),
}


@contextmanager
def _rows_of(layers: list[nn.Module]) -> Iterator[dict[nn.Module, tuple[Tensor, Tensor]]]:
    rows: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def keep(layer: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        h = args[0].detach()
        output.register_hook(lambda delta: rows.update({layer: (h, delta)}))

    handles = [layer.register_forward_hook(keep) for layer in layers]
    try:
        yield rows
    finally:
        for handle in handles:
            handle.remove()


def _weight_gradient(layer: nn.Module, h: Tensor, delta: Tensor) -> Tensor:
    """Gradient (m, n) that some samples contribute."""
    if isinstance(layer, nn.Linear):
        return delta.flatten(0, -2).mT @ h.flatten(0, -2)
    gradient_of = torch.nn.grad.conv1d_weight if isinstance(layer, nn.Conv1d) else torch.nn.grad.conv3d_weight
    return gradient_of(h, layer.weight.shape, delta, padding=layer.padding).flatten(1)
