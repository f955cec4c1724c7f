r"""Linear layers: the weight gradient by group, inside backward.

For rows :math:`h_i` and back-propagated :math:`\delta_i` the gradient is
:math:`G = \Delta^T H = \sum_g \Delta_g^T H_g`. With few rows (sample side) it is computed whole, as PyTorch does,
and the rows are kept; with many it is computed group by group, and the sum goes to the optimiser, which costs no more
operations than the whole.

A function of its own computes the layer, since hooks on its output never fire once an in-place operation follows.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from gradspec.capture._graph import demand
from gradspec.capture._groups import Groups
from gradspec.capture._layer import Layer, Weight, autocast_inputs, is_low_precision, total
from gradspec.capture._register import Register
from gradspec.capture._samples import SampleDim
from gradspec.capture._step import StepCapture
from gradspec.capture._vectors import watched_bias
from gradspec.capture._weight_capture import FEW_ROWS
from gradspec.capture.errors import UnsupportedError

KINDS = ("gradient", "activation", "delta")
AGREEMENT = (
    f"bitwise equal on the sample side and for up to {FEW_ROWS} rows; "
    "summed over groups, within rounding, on the parameter side"
)

# Gives the weight gradient from the layer's input and the gradient of its output, and keeps what the spectra need; told
# the output where it is the logits of a softmax.
Sink = Callable[[Float[Tensor, "*batch n"], Float[Tensor, "*batch m"], Tensor | None], Float[Tensor, "m n"]]
# Makes one, for another use of the weight.
Sinks = Callable[[], Sink]


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

    functions = ("linear",)
    is_parametrisable = True

    def __init__(self, name: str, module: nn.Linear, register: Register, samples: SampleDim) -> None:
        super().__init__(name, module, register, samples)
        self.module: nn.Linear = module
        self.agreement = AGREEMENT
        weight = module._parameters.get("weight")  # reading a parametrised one would run a power iteration
        n_outputs, n_inputs = (module.out_features, module.in_features) if weight is None else weight.shape
        self._matrices = register.matrices(self, "weight", (n_outputs, n_inputs), KINDS)
        biases = register.vectors(self, "bias")
        self.biases = {id(module._parameters.get("bias")): biases}
        self.weights = [*self._matrices, *biases]

    def call(
        self,
        step: StepCapture,
        function: Callable[..., Tensor],
        input: Float[Tensor, "*batch n"],
        weight: Tensor,
        bias: Tensor | None = None,
    ) -> Float[Tensor, "*batch m"]:
        rows = self.rows_in(step, input.shape[:-1], self.samples.dim)
        check = partial(self.samples.check, input.shape[:-1], rows, self)
        biases = self.biases.get(id(bias), ())
        return captured_linear(step, rows, self._matrices, input, weight, bias, self.samples.dim, check, biases)


def captured_linear(
    step: StepCapture,
    rows: Groups,
    weights: Sequence[Weight],
    input: Float[Tensor, "*batch n"],
    weight: Float[Tensor, "m n"],
    bias: Float[Tensor, " m"] | None,
    batch_dim: int,
    check: Callable[[], None],
    biases: Sequence[Weight] = (),
) -> Float[Tensor, "*batch m"]:
    """``F.linear`` whose backward adds to what a step has captured.

    Parameters
    ----------
    step : StepCapture
        Where captured rows and gradients go.
    rows : Groups
        The division of the rows.
    weights : sequence of Weight
        The blocks of rows of `weight`, in order, each with a spectrum of its own; none where it is not recorded.
    input, weight, bias : Tensor
        As in ``F.linear``.
    batch_dim : int
        Dimension of `input` that runs over the samples.
    check : callable
        Raises `RowsError` where that dimension is not the batch.
    biases : sequence of Weight
        The equal blocks of `bias` that are recorded.
    """
    records_weight = bool(weights) and weight.requires_grad
    if not (records_weight or biases):
        return linear(input, weight, bias)
    input, weight, bias = autocast_inputs(input, weight, bias)

    def new_sink() -> Sink:
        use = step.use(check, rows)

        def sink(h: Tensor, delta: Tensor, logits: Tensor | None) -> Tensor:
            use.spend()
            for each in weights:
                step[each].logits.append(logits)
            return weight_gradient(step, weights, h, delta, batch_dim)

        return sink

    output: Tensor = (
        _Linear.apply(input, weight, bias, new_sink)  # type: ignore[no-untyped-call]
        if records_weight
        else linear(input, weight, bias)
    )
    return watched_bias(step, rows, biases, output, bias, batch_dim, bias_dim=-1, check=check)


class _Linear(torch.autograd.Function):
    """``F.linear`` with the weight gradient left to a sink."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None, new_sink: Sinks) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.new_sink, ctx.sink = new_sink, new_sink()
        ctx.logits = None
        if input.ndim <= 2:
            return linear(input, weight, bias)
        rows = linear(input.reshape(-1, input.shape[-1]), weight, bias)
        # Not a view for autograd, which would forbid changing it in place, as nn.ReLU(inplace=True) does.
        output: Tensor = torch.ops.aten._unsafe_view(rows, [*input.shape[:-1], len(weight)])
        return output

    @staticmethod
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _differentiable_backward(ctx, input, weight, delta)
        rows = delta.reshape(-1, delta.shape[-1])
        input_gradient = (rows @ weight).view(input.shape) if ctx.needs_input_grad[0] else None
        is_wanted, is_recorded = demand(ctx, 1)
        weight_gradient = None
        if is_recorded:
            weight_gradient = ctx.sink(input, delta, ctx.logits)
        elif is_wanted:
            weight_gradient = rows.mT @ input.reshape(-1, input.shape[-1])
        bias_gradient = rows.sum(0) if ctx.needs_input_grad[2] else None
        return input_gradient, weight_gradient, bias_gradient, None


def _differentiable_backward(ctx: Any, input: Tensor, weight: Tensor, delta: Tensor) -> tuple[Tensor | None, ...]:
    """The same for ``create_graph=True``: gradients that can be differentiated, as penalties on gradients are."""
    rows = delta.reshape(-1, delta.shape[-1])
    is_wanted, is_recorded = demand(ctx, 1)
    if is_recorded:
        with torch.no_grad():
            ctx.sink(input, delta, ctx.logits)
    return (
        _InputGradient.apply(delta, weight, ctx.new_sink) if ctx.needs_input_grad[0] else None,  # type: ignore[no-untyped-call]
        rows.mT @ input.reshape(-1, input.shape[-1]) if is_wanted else None,
        rows.sum(0) if ctx.needs_input_grad[2] else None,
        None,
    )


class _InputGradient(torch.autograd.Function):
    r"""The gradient :math:`\Delta W` of the input, whose own gradient U adds :math:`\Delta^T U` to the weight's."""

    @staticmethod
    def forward(ctx: Any, delta: Tensor, weight: Tensor, new_sink: Sinks) -> Tensor:
        ctx.save_for_backward(delta, weight)
        ctx.sink = new_sink()
        return delta @ weight

    @staticmethod
    def backward(ctx: Any, u: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise UnsupportedError("third derivatives of a linear layer cannot be recorded; leave it out: exclude=[…]")
        delta, weight = ctx.saved_tensors
        is_wanted, is_recorded = demand(ctx, 1)
        weight_gradient = None
        if is_recorded:
            weight_gradient = ctx.sink(u, delta, None)
        elif is_wanted:
            weight_gradient = delta.reshape(-1, delta.shape[-1]).mT @ u.reshape(-1, u.shape[-1])
        return linear(u, weight) if ctx.needs_input_grad[0] else None, weight_gradient, None


def weight_gradient(
    step: StepCapture,
    weights: Sequence[Weight],
    h: Float[Tensor, "*batch n"],
    delta: Float[Tensor, "*batch m"],
    batch_dim: int,
) -> Float[Tensor, "m n"]:
    """The gradient of a weight, which is noted in the step by group, as `captured_linear` describes."""
    groups = step.rows
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
