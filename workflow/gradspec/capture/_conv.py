r"""Convolutions: the weight gradient by group of samples from ``convolution_backward``.

A convolution is a linear layer over rows of patches: with the patches :math:`H \in R^{NP \times nk}` of P output
positions, k kernel taps and n input channels, and :math:`\Delta \in R^{NP \times m}`, the gradient
:math:`\Delta^T H` is the kernel's, reshaped to :math:`m \times nk`. Patches are unfolded only where the spectra of H
are asked for. A grouped convolution is a block-diagonal matrix, with one spectrum a block.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
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
from gradspec.capture._register import WHOLE, Register
from gradspec.capture._step import StepCapture
from gradspec.capture._vectors import watched_bias

KINDS = ("gradient", "activation", "delta")

ConvModule = nn.Conv1d | nn.Conv2d | nn.Conv3d


@dataclass(frozen=True)
class Geometry:
    """Stride, zero padding and dilation a dimension, and the number of blocks of a grouped convolution."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    blocks: int

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        no_output_padding = [0] * len(self.stride)
        return torch.convolution(
            x, weight, bias, self.stride, self.padding, self.dilation, False, no_output_padding, self.blocks
        )

    def backward(self, delta: Tensor, x: Tensor, weight: Tensor, wanted: tuple[bool, bool, bool]) -> Sequence[Tensor]:
        """Gradients of input, weight and bias; the ones not wanted are None."""
        no_output_padding = [0] * len(self.stride)
        gradients: Sequence[Tensor] = torch.ops.aten.convolution_backward(
            delta, x, weight, [len(weight)], self.stride, self.padding, self.dilation, False, no_output_padding,
            self.blocks, wanted,
        )  # fmt: skip
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


class ConvLayer(Layer):
    """``nn.Conv1d``, ``nn.Conv2d`` and ``nn.Conv3d``."""

    def __init__(self, name: str, module: ConvModule, register: Register) -> None:
        super().__init__(name, module)
        self.module: ConvModule = module
        self.agreement = "summed over groups, within rounding"
        shape = (module.out_channels // module.groups, module.in_channels // module.groups * prod(module.kernel_size))
        blocks = WHOLE if module.groups == 1 else [f"/block{block}" for block in range(module.groups)]
        self._matrices = register.matrices(self, "weight", shape, KINDS, blocks)
        self._biases = register.vectors(self, "bias")
        self.weights = [*self._matrices, *self._biases]

    def forward(self, step: StepCapture, input: Float[Tensor, "sample channel *space"]) -> Tensor:
        module = self.module
        # A parametrised weight is computed whenever it is asked for, which spectral_norm counts as a step of its own.
        weight, bias = module.weight, module.bias
        records_weight = bool(self._matrices) and weight.requires_grad
        if not torch.is_grad_enabled() or not (records_weight or self._biases):
            bare: Tensor = module._conv_forward(input, weight, bias)
            return bare
        check_eager(self)
        step.groups.check_batch(input.shape if input.ndim == weight.ndim else (), 0, str(self))
        padded, padding = _pad(module, input)
        # After padding, as in PyTorch: autocast pads by reflection in float32.
        padded, weight, bias = autocast_inputs(padded, weight, bias)
        geometry = Geometry(module.stride, padding, module.dilation, module.groups)

        use = step.use()

        def sink(x: Tensor, delta: Tensor, kernel: Tensor, with_bias: bool) -> tuple[Tensor, Tensor | None]:
            use.spend()
            return _weight_gradient(step, self._matrices, geometry, x, delta, kernel, with_bias)

        output: Tensor
        if records_weight:
            output = _Convolution.apply(padded, weight, bias, geometry, sink)  # type: ignore[no-untyped-call]
        else:
            output = geometry.convolve(padded, weight, bias)
        return watched_bias(step, self._biases, output, bias, batch_dim=0, bias_dim=1)


def _pad(module: ConvModule, x: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """Apply what is not a symmetric padding with zeros; the rest is left to the convolution, as PyTorch does."""
    if module.padding_mode != "zeros":
        padded = F.pad(x, module._reversed_padding_repeated_twice, mode=module.padding_mode)
        return padded, (0,) * len(module.stride)
    if module.padding == "valid":
        return x, (0,) * len(module.stride)
    if module.padding == "same":
        totals = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        if any(amount % 2 for amount in totals):
            x = F.pad(x, [side for amount in reversed(totals) for side in (0, amount % 2)])
        return x, tuple(amount // 2 for amount in totals)
    return x, module.padding  # type: ignore[return-value]


class _Convolution(torch.autograd.Function):
    """A convolution with the gradients of weight and bias left to a sink.

    Both come from one call a group: asked for the bias alone, the kernel computes the gradient of the weight all the
    same, and throws it away.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, sink: Sink) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry, ctx.sink = geometry, sink
        return geometry.convolve(x, weight, bias)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        with_input, with_bias = ctx.needs_input_grad[0], ctx.needs_input_grad[2]
        if not receives_gradient(ctx, 1):
            input_gradient, _, bias_gradient = ctx.geometry.backward(delta, x, weight, (with_input, False, with_bias))
            return input_gradient, None, bias_gradient, None, None
        input_gradient = ctx.geometry.backward(delta, x, weight, (True, False, False))[0] if with_input else None
        return input_gradient, *ctx.sink(x, delta, weight, with_bias), None, None


def _weight_gradient(
    step: StepCapture,
    weights: list[Weight],
    geometry: Geometry,
    x: Float[Tensor, "sample n *space"],
    delta: Float[Tensor, "sample m *out"],
    kernel: Float[Tensor, "m n_block *taps"],
    with_bias: bool,
) -> tuple[Float[Tensor, "m n_block *taps"], Float[Tensor, " m"] | None]:
    groups = step.groups
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
            step[weight].count_rows(part, positions=prod(delta.shape[2:]))
    if "activation" in step.kinds:
        # (row, channel, tap): the channels of a block and their taps are the inputs of that block
        patches = [geometry.patches(h, kernel.shape[2:]).reshape(-1, len(weights), n) for h in x_parts]
        for block, weight in enumerate(weights):
            step[weight].add_moments("activation", [patch[:, block] for patch in patches])
    if "delta" in step.kinds:
        rows = [d.movedim(1, -1).reshape(-1, len(weights), m) for d in delta_parts]
        for block, weight in enumerate(weights):
            step[weight].add_moments("delta", [row[:, block] for row in rows])
    if whole is not None:
        return whole[0], whole[1]
    return total(gradients), total(bias_gradients) if with_bias else None
