r"""Convolutions: the weight gradient by group of samples from ``convolution_backward``.

A convolution is a linear layer over rows of patches: with the patches :math:`H \in R^{NP \times nk}` of P output
positions, k kernel taps and n input channels, and :math:`\Delta \in R^{NP \times m}`, the gradient
:math:`\Delta^T H` is the kernel's, reshaped to :math:`m \times nk`. Patches are unfolded only where the spectra of H
are asked for. A grouped convolution is a block-diagonal matrix, with one spectrum a block.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gradspec.capture._graph import demand
from gradspec.capture._layer import Layer, Weight, autocast_inputs, is_low_precision, total
from gradspec.capture._register import WHOLE, Register
from gradspec.capture._samples import SampleDim
from gradspec.capture._step import StepCapture
from gradspec.capture._vectors import watched_bias
from gradspec.capture.errors import UnsupportedError

KINDS = ("gradient", "activation", "delta")

ConvModule = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d


@dataclass(frozen=True)
class Geometry:
    """Stride, zero padding and dilation per dimension, and the number of blocks of a grouped convolution.

    A transposed convolution has a padding of the output too.
    """

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    blocks: int
    output_padding: tuple[int, ...] | None = None

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return torch.convolution(x, weight, bias, *self._arguments)

    @property
    def _arguments(self) -> tuple[Any, ...]:
        output_padding = self.output_padding or (0,) * len(self.stride)
        is_transposed = self.output_padding is not None
        return self.stride, self.padding, self.dilation, is_transposed, output_padding, self.blocks

    def positions(self, x: Tensor, delta: Tensor) -> int:
        """Rows of a sample: positions of the output, of the input where the convolution is transposed."""
        return prod((delta if self.output_padding is None else x).shape[2:])

    def backward(self, delta: Tensor, x: Tensor, weight: Tensor, wanted: tuple[bool, bool, bool]) -> Sequence[Tensor]:
        """Gradients of input, weight and bias; the ones not wanted are None."""
        n_outputs = len(weight) if self.output_padding is None else weight.shape[1] * self.blocks
        gradients: Sequence[Tensor] = torch.ops.aten.convolution_backward(
            delta, x, weight, [n_outputs], *self._arguments, wanted
        )
        return gradients

    def patches(
        self, x: Float[Tensor, "sample channel *space"], kernel: Sequence[int]
    ) -> Float[Tensor, "row channel tap"]:
        """Rows of the linear layer that the convolution is: an output position of a sample each."""
        x = F.pad(x, [amount for padding in reversed(self.padding) for amount in (padding, padding)])
        for dim, (taps, stride, dilation) in enumerate(zip(kernel, self.stride, self.dilation, strict=True), start=2):
            x = x.unfold(dim, dilation * (taps - 1) + 1, stride)[..., ::dilation]
        n_space = len(kernel)
        to_rows = x.permute(0, *range(2, 2 + n_space), 1, *range(2 + n_space, 2 + 2 * n_space))
        return to_rows.reshape(-1, x.shape[1], prod(kernel))


# Gives the gradients of weight and bias from the layer's input, the gradient of its output, the kernel, and whether
# the bias is wanted; and keeps what the spectra need.
Sink = Callable[[Tensor, Tensor, Tensor, bool], tuple[Tensor, Tensor | None]]
# Makes one, for another use of the weight.
Sinks = Callable[[], Sink]


class ConvLayer(Layer):
    """``nn.Conv1d``, ``nn.Conv2d`` and ``nn.Conv3d``."""

    functions: ClassVar[tuple[str, ...]] = ("conv1d", "conv2d", "conv3d")
    is_parametrisable = True
    kinds: ClassVar[tuple[str, ...]] = KINDS

    def __init__(self, name: str, module: ConvModule, register: Register, samples: SampleDim) -> None:
        super().__init__(name, module, register, samples)
        self.module: ConvModule = module
        self.agreement = "summed over groups, within rounding"
        blocks = WHOLE if module.groups == 1 else [f"/block{block}" for block in range(module.groups)]
        self._matrices = register.matrices(self, "weight", self.shape(module), self.kinds, blocks)
        biases = register.vectors(self, "bias")
        self.biases = {id(module._parameters.get("bias")): biases}
        self.weights = [*self._matrices, *biases]

    @staticmethod
    def shape(module: ConvModule) -> tuple[int, int]:
        """Outputs and inputs of a block of the matrix that the kernel is."""
        return module.out_channels // module.groups, module.in_channels // module.groups * prod(module.kernel_size)

    def call(
        self,
        step: StepCapture,
        function: Callable[..., Tensor],
        input: Float[Tensor, "sample channel *space"],
        weight: Tensor,
        bias: Tensor | None = None,
        stride: int | tuple[int, ...] = 1,
        padding: int | str | tuple[int, ...] = 0,
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
    ) -> Tensor:
        if not self._records(weight, bias):
            return function(input, weight, bias, stride, padding, dilation, groups)
        if input.ndim < weight.ndim:  # a single sample
            call = partial(self.call, step, function)
            return call(input[None], weight, bias, stride, padding, dilation, groups).squeeze(0)
        n_space = weight.ndim - 2
        stride, dilation = _each(stride, n_space), _each(dilation, n_space)
        padded, padding = _pad(input, weight.shape[2:], padding, dilation)
        return self._captured(step, padded, weight, bias, Geometry(stride, padding, dilation, groups))

    def _records(self, weight: Tensor, bias: Tensor | None) -> bool:
        return (bool(self._matrices) and weight.requires_grad) or bool(self.biases.get(id(bias), ()))

    def _captured(
        self, step: StepCapture, padded: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry
    ) -> Tensor:
        """The convolution of an input that is padded already, whose backward adds to what a step has captured."""
        records_weight = bool(self._matrices) and weight.requires_grad
        biases = self.biases.get(id(bias), ())
        rows = self.rows_in(step, padded.shape, 0)
        check = partial(rows.check_batch, padded.shape, 0, self)
        padded, weight, bias = autocast_inputs(padded, weight, bias)

        def new_sink() -> Sink:
            use = step.use(check, rows)

            def sink(x: Tensor, delta: Tensor, kernel: Tensor, with_bias: bool) -> tuple[Tensor, Tensor | None]:
                use.spend()
                return _weight_gradient(step, self._matrices, geometry, x, delta, kernel, with_bias)

            return sink

        output: Tensor
        if records_weight:
            output = _Convolution.apply(padded, weight, bias, geometry, new_sink)  # type: ignore[no-untyped-call]
        else:
            output = geometry.convolve(padded, weight, bias)
        return watched_bias(step, rows, biases, output, bias, batch_dim=0, bias_dim=1, check=check)


class ConvTransposeLayer(ConvLayer):
    r"""``nn.ConvTranspose1d``, ``nn.ConvTranspose2d`` and ``nn.ConvTranspose3d``.

    The transpose of a convolution that leads from its outputs to its inputs: with the rows
    :math:`X \in R^{NP \times n}` of P input positions and the patches of :math:`\Delta` that each reaches, the gradient
    is :math:`X^T \Delta`, of as many rows as inputs, and columns as outputs · kernel.
    """

    functions: ClassVar[tuple[str, ...]] = ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
    kinds: ClassVar[tuple[str, ...]] = ("gradient",)

    @staticmethod
    def shape(module: ConvModule) -> tuple[int, int]:
        return module.in_channels // module.groups, module.out_channels // module.groups * prod(module.kernel_size)

    def call(  # type: ignore[override]
        self,
        step: StepCapture,
        function: Callable[..., Tensor],
        input: Float[Tensor, "sample channel *space"],
        weight: Tensor,
        bias: Tensor | None = None,
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] = 0,
        output_padding: int | tuple[int, ...] = 0,
        groups: int = 1,
        dilation: int | tuple[int, ...] = 1,
    ) -> Tensor:
        if not self._records(weight, bias):
            return function(input, weight, bias, stride, padding, output_padding, groups, dilation)
        if input.ndim < weight.ndim:  # a single sample
            call = partial(self.call, step, function)
            return call(input[None], weight, bias, stride, padding, output_padding, groups, dilation).squeeze(0)
        stride, padding, dilation, output_padding = (
            _each(each, weight.ndim - 2) for each in (stride, padding, dilation, output_padding)
        )
        return self._captured(step, input, weight, bias, Geometry(stride, padding, dilation, groups, output_padding))


def _each(value: int | tuple[int, ...], n_space: int) -> tuple[int, ...]:
    """A number a dimension of space."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * n_space if len(values) == 1 else values


def _pad(
    x: Tensor, kernel: Sequence[int], padding: int | str | tuple[int, ...], dilation: Sequence[int]
) -> tuple[Tensor, tuple[int, ...]]:
    """Apply what is not symmetric of a padding with zeros; the rest is left to the convolution, as PyTorch does."""
    if padding == "valid":
        return x, (0,) * len(kernel)
    if padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        if any(amount % 2 for amount in totals):
            x = F.pad(x, [side for amount in reversed(totals) for side in (0, amount % 2)])
        return x, tuple(amount // 2 for amount in totals)
    assert not isinstance(padding, str)
    return x, _each(padding, len(kernel))


class _Convolution(torch.autograd.Function):
    """A convolution with the gradients of weight and bias left to a sink.

    Both come from one call a group: asked for the bias alone, the kernel computes the gradient of the weight all the
    same, and throws it away.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, new_sink: Sinks
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry, ctx.new_sink, ctx.sink = geometry, new_sink, new_sink()
        return geometry.convolve(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _differentiable_backward(ctx, x, weight, delta)
        with_input, with_bias = ctx.needs_input_grad[0], ctx.needs_input_grad[2]
        is_wanted, is_recorded = demand(ctx, 1)
        if not is_recorded:
            return *ctx.geometry.backward(delta, x, weight, (with_input, is_wanted, with_bias)), None, None
        input_gradient = ctx.geometry.backward(delta, x, weight, (True, False, False))[0] if with_input else None
        return input_gradient, *ctx.sink(x, delta, weight, with_bias), None, None


def _differentiable_backward(ctx: Any, x: Tensor, weight: Tensor, delta: Tensor) -> tuple[Tensor | None, ...]:
    """The same for ``create_graph=True``: gradients that can be differentiated, as penalties on gradients are."""
    with_input, with_bias = ctx.needs_input_grad[0], ctx.needs_input_grad[2]
    is_wanted, is_recorded = demand(ctx, 1)
    if is_recorded:
        with torch.no_grad():
            ctx.sink(x, delta, weight, False)
    input_gradient = _InputGradient.apply(delta, weight, x.detach(), ctx.geometry, ctx.new_sink) if with_input else None  # type: ignore[no-untyped-call]
    # The kernel's gradient does not depend on the kernel.
    others = ctx.geometry.backward(delta, x, weight.detach(), (False, is_wanted, with_bias))[1:]
    return input_gradient, *others, None, None


class _InputGradient(torch.autograd.Function):
    """The gradient of the input, whose own gradient u is an input of the convolution where that of the weight goes."""

    @staticmethod
    def forward(ctx: Any, delta: Tensor, weight: Tensor, x: Tensor, geometry: Geometry, new_sink: Sinks) -> Tensor:
        ctx.save_for_backward(delta, weight)
        ctx.geometry, ctx.sink = geometry, new_sink()
        return geometry.backward(delta, x, weight, (True, False, False))[0]

    @staticmethod
    def backward(ctx: Any, u: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise UnsupportedError("third derivatives of a convolution cannot be recorded; leave it out: exclude=[…]")
        delta, weight = ctx.saved_tensors
        is_wanted, is_recorded = demand(ctx, 1)
        weight_gradient = None
        if is_recorded:
            weight_gradient = ctx.sink(u, delta, weight, False)[0]
        elif is_wanted:
            weight_gradient = ctx.geometry.backward(delta, u, weight, (False, True, False))[1]
        delta_gradient = ctx.geometry.convolve(u, weight, None) if ctx.needs_input_grad[0] else None
        return delta_gradient, weight_gradient, None, None, None


def _weight_gradient(
    step: StepCapture,
    weights: list[Weight],
    geometry: Geometry,
    x: Float[Tensor, "sample n *space"],
    delta: Float[Tensor, "sample m *out"],
    kernel: Float[Tensor, "m n_block *taps"],
    with_bias: bool,
) -> tuple[Float[Tensor, "m n_block *taps"], Float[Tensor, " m"] | None]:
    groups = step.rows
    whole = None
    if is_low_precision(x):
        whole = geometry.backward(delta, x, kernel, (False, True, with_bias))[1:]
        x, delta, kernel = x.float(), delta.float(), kernel.float()
    x_parts = [groups.pick(x, part) for part in range(len(groups.parts))]
    delta_parts = [groups.pick(delta, part) for part in range(len(groups.parts))]
    of_parts = [
        geometry.backward(delta_parts[part], x_parts[part], kernel, (False, True, with_bias))[1:]
        for part in groups.filled
    ]
    gradients, bias_gradients = zip(*of_parts, strict=True)
    m, n = weights[0].shape
    for part, gradient in zip(groups.filled, gradients, strict=True):
        for weight, block in zip(weights, gradient.reshape(len(weights), m, n), strict=True):
            step[weight].add_gradient(part, block)
            step[weight].count_rows(part, positions=geometry.positions(x, delta))
    if "activation" in step[weights[0]].moments:
        # (row, channel, tap): the channels of a block and their taps are the inputs of that block
        patches = [geometry.patches(h, kernel.shape[2:]).reshape(-1, len(weights), n) for h in x_parts]
        for block, weight in enumerate(weights):
            step[weight].add_moments("activation", [patch[:, block] for patch in patches])
    if "delta" in step[weights[0]].moments:
        rows = [d.movedim(1, -1).reshape(-1, len(weights), m) for d in delta_parts]
        for block, weight in enumerate(weights):
            step[weight].add_moments("delta", [row[:, block] for row in rows])
    if whole is not None:
        return whole[0], whole[1]
    return total(gradients), total(bias_gradients) if with_bias else None
