r"""Linear layers: the weight gradient by group, inside backward.

For rows :math:`h_i` and back-propagated :math:`\delta_i` the gradient is
:math:`G = \Delta^T H = \sum_g \Delta_g^T H_g`. With few rows (sample side) it is computed whole, as PyTorch does,
and the rows are kept; with many it is computed group by group, and the sum goes to the optimiser, which costs no more
operations than the whole.

A function of its own computes the layer, since hooks on its output never fire once an in-place operation follows.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gradspec.capture._layer import (
    Layer,
    Weight,
    autocast_inputs,
    check_eager,
    is_low_precision,
    receives_gradient,
    total,
)
from gradspec.capture._register import Register
from gradspec.capture._samples import SampleDim
from gradspec.capture._step import StepCapture
from gradspec.capture._vectors import watched_bias
from gradspec.capture._weight_capture import FEW_ROWS

KINDS = ("gradient", "activation", "delta")
AGREEMENT = (
    f"bitwise equal on the sample side and for up to {FEW_ROWS} rows; "
    "summed over groups, within rounding, on the parameter side"
)

# Gives the weight gradient from the layer's input and the gradient of its output, and keeps what the spectra need.
Sink = Callable[[Float[Tensor, "*batch n"], Float[Tensor, "*batch m"]], Float[Tensor, "m n"]]


class LinearLayer(Layer):
    """``nn.Linear``.

    Parameters
    ----------
    name : str
        Name of the module in the model.
    module : nn.Linear
        The module.
    register : Register
        The weights of the model.
    samples : SampleDim
        Where the input has its samples.
    """

    def __init__(self, name: str, module: nn.Linear, register: Register, samples: SampleDim) -> None:
        super().__init__(name, module)
        self.module: nn.Linear = module
        self.agreement = AGREEMENT
        self.samples = samples
        self._matrices = register.matrices(self, "weight", (module.out_features, module.in_features), KINDS)
        self._biases = register.vectors(self, "bias")
        self.weights = [*self._matrices, *self._biases]

    def forward(self, step: StepCapture, input: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch m"]:
        if torch.is_grad_enabled():
            self.samples.check(input.shape[:-1], step.groups, self)
        weight, bias = self.module.weight, self.module.bias
        return captured_linear(self, step, self._matrices, input, weight, bias, self.samples.dim, self._biases)


def captured_linear(
    layer: Layer,
    step: StepCapture,
    weights: Sequence[Weight],
    input: Float[Tensor, "*batch n"],
    weight: Float[Tensor, "m n"],
    bias: Float[Tensor, " m"] | None,
    batch_dim: int,
    biases: Sequence[Weight] = (),
) -> Float[Tensor, "*batch m"]:
    """``F.linear`` whose backward adds to what a step has captured.

    Parameters
    ----------
    layer : Layer
        Who asks, for messages.
    step : StepCapture
        Where captured rows and gradients go.
    weights : sequence of Weight
        The blocks of rows of `weight`, in order, each with a spectrum of its own; none where it is not recorded.
    input, weight, bias : Tensor
        As in ``F.linear``.
    batch_dim : int
        Dimension of `input` that runs over the samples.
    biases : sequence of Weight
        The equal blocks of `bias` that are recorded.
    """
    records_weight = bool(weights) and weight.requires_grad
    if not torch.is_grad_enabled() or not (records_weight or biases):
        return F.linear(input, weight, bias)
    check_eager(layer)
    step.groups.check_batch(input.shape[:-1], batch_dim, str(layer))

    input, weight, bias = autocast_inputs(input, weight, bias)
    use = step.use()

    def sink(h: Tensor, delta: Tensor) -> Tensor:
        use.spend()
        return _weight_gradient(step, weights, h, delta, batch_dim)

    output: Tensor = (
        _Linear.apply(input, weight, bias, sink)  # type: ignore[no-untyped-call]
        if records_weight
        else F.linear(input, weight, bias)
    )
    return watched_bias(step, biases, output, bias, batch_dim, bias_dim=-1)


class _Linear(torch.autograd.Function):
    """``F.linear`` with the weight gradient left to a sink."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None, sink: Sink) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.sink = sink
        if input.ndim <= 2:
            return F.linear(input, weight, bias)
        rows = F.linear(input.reshape(-1, input.shape[-1]), weight, bias)
        # Not a view for autograd, which would forbid changing it in place, as nn.ReLU(inplace=True) does.
        output: Tensor = torch.ops.aten._unsafe_view(rows, [*input.shape[:-1], len(weight)])
        return output

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        rows = delta.reshape(-1, delta.shape[-1])
        input_gradient = (rows @ weight).view(input.shape) if ctx.needs_input_grad[0] else None
        weight_gradient = ctx.sink(input, delta) if receives_gradient(ctx, 1) else None
        bias_gradient = rows.sum(0) if ctx.needs_input_grad[2] else None
        return input_gradient, weight_gradient, bias_gradient, None


def _weight_gradient(
    step: StepCapture,
    weights: Sequence[Weight],
    h: Float[Tensor, "*batch n"],
    delta: Float[Tensor, "*batch m"],
    batch_dim: int,
) -> Float[Tensor, "m n"]:
    groups = step.groups
    n, m = h.shape[-1], delta.shape[-1]
    heights = [weight.shape[0] for weight in weights]
    rows = h.numel() // n
    positions = rows // groups.size

    if rows <= max(min(*heights, n), FEW_ROWS):
        h_rows, delta_rows = _by_sample(h, batch_dim), _by_sample(delta, batch_dim)
        blocks = [delta_rows] if len(weights) == 1 else torch.split(delta_rows, heights, dim=1)
        for weight, block in zip(weights, blocks, strict=True):
            step[weight].add_rows(h_rows, block, positions)
        return delta.reshape(rows, m).mT @ h.reshape(rows, n)

    whole = None
    if is_low_precision(h):
        whole = delta.reshape(rows, m).mT @ h.reshape(rows, n)
        h, delta = h.float(), delta.float()
    h_parts = [groups.pick(h, part, batch_dim).reshape(-1, n) for part in range(len(groups.parts))]
    delta_parts = [groups.pick(delta, part, batch_dim).reshape(-1, m) for part in range(len(groups.parts))]
    gradients = {part: delta_parts[part].mT @ h_parts[part] for part in groups.filled}
    for position, weight in enumerate(weights):
        capture = step[weight]
        for part, gradient in gradients.items():
            capture.add_gradient(part, torch.split(gradient, heights)[position])
            capture.count_rows(part, positions)
        capture.add_moments("activation", h_parts)
        capture.add_moments("delta", [torch.split(d, heights, dim=1)[position] for d in delta_parts])
    return total(list(gradients.values())) if whole is None else whole


def _by_sample(tensor: Float[Tensor, "*batch feature"], batch_dim: int) -> Float[Tensor, "row feature"]:
    """Rows in the order of the samples."""
    return tensor if tensor.ndim == 2 else tensor.movedim(batch_dim, 0).reshape(-1, tensor.shape[-1])
