r"""Multi-head attention: spectra of the projections of query, key and value, and of the output.

``nn.MultiheadAttention`` calls ``linear`` on its own weights: on the packed ``in_proj_weight`` whole (self-attention),
on its blocks (cross-attention), or on three separate weights; then on ``out_proj``. The module's own forward runs here
with every such call captured. All these rows are time-major, (time, sample, feature), even with ``batch_first``.
"""

from collections.abc import Callable, Sequence
from types import FunctionType, SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradspec.capture._layer import Layer, Weight, check_eager
from gradspec.capture._linear import AGREEMENT, KINDS, captured_linear
from gradspec.capture._register import Register
from gradspec.capture._step import StepCapture

TIME_MAJOR = 1  # the dimension of the samples
BLOCKS = ("/q", "/k", "/v")


class AttentionLayer(Layer):
    """``nn.MultiheadAttention``; packed weights and biases have the nodes ``q``, ``k`` and ``v``."""

    def __init__(self, name: str, module: nn.MultiheadAttention, register: Register) -> None:
        super().__init__(name, module)
        self.module: nn.MultiheadAttention = module
        self.agreement = AGREEMENT
        square = (module.embed_dim, module.embed_dim)
        self._packed = register.matrices(self, "in_proj_weight", square, KINDS, BLOCKS)
        self._packed_bias = register.vectors(self, "in_proj_bias", BLOCKS)
        self._whole: dict[str, list[Weight]] = {}
        for local in ("q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj.weight"):
            weight = self._lookup(local)
            if weight is not None:
                rows, columns = weight.shape
                self._whole[local] = register.matrices(self, local, (rows, columns), KINDS)
        self._whole["out_proj.bias"] = register.vectors(self, "out_proj.bias")
        self.weights = [
            *self._packed,
            *self._packed_bias,
            *(weight for whole in self._whole.values() for weight in whole),
        ]

    def _lookup(self, local: str) -> Tensor | None:
        _, is_output, of_output = local.rpartition("out_proj.")
        found: Tensor | None = getattr(self.module.out_proj, of_output) if is_output else getattr(self.module, local)
        return found

    def forward(self, step: StepCapture, query: Tensor, *args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return type(self.module).forward(self.module, query, *args, **kwargs)
        check_eager(self)
        batch_dim = 0 if self.module.batch_first else TIME_MAJOR
        step.groups.check_batch(query.shape if query.ndim == 3 else (), batch_dim, str(self))

        def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
            weights = self._weights_of(weight)
            biases = [] if bias is None else self._weights_of(bias)
            if input.ndim == 3:
                return captured_linear(self, step, weights, input, weight, bias, TIME_MAJOR, biases)
            time_by_sample = input.view(-1, step.groups.size, input.shape[-1])
            output = captured_linear(self, step, weights, time_by_sample, weight, bias, TIME_MAJOR, biases)
            return output.flatten(0, 1)

        return _forward_with(linear)(self.module, query, *args, **kwargs)

    def _weights_of(self, tensor: Tensor) -> Sequence[Weight]:
        """What is recorded of a weight or bias that `linear` is called with: a parameter, or blocks of one."""
        for local, whole in self._whole.items():
            if tensor is self._lookup(local):
                return whole
        for packed, blocks in (
            (self.module.in_proj_weight, self._packed),
            (self.module.in_proj_bias, self._packed_bias),
        ):
            if packed is not None and (tensor is packed or tensor._base is packed):
                first = tensor.storage_offset() - packed.storage_offset()
                start = first // (packed.stride(0) * self.module.embed_dim)
                return blocks[start : start + len(tensor) // self.module.embed_dim]
        return []


def _forward_with(linear: Callable[..., Tensor]) -> Callable[..., Any]:
    """``nn.MultiheadAttention.forward`` with every call of ``F.linear`` replaced.

    The functions of torch are run with globals of their own, so that nobody else sees the replacement.
    """
    functional: dict[str, Any] = {**vars(F), "linear": linear}
    for name in ("_in_projection_packed", "_in_projection", "multi_head_attention_forward"):
        functional[name] = _with_globals(functional[name], functional)
    forward = nn.MultiheadAttention.forward
    return _with_globals(forward, {**forward.__globals__, "F": SimpleNamespace(**functional)})


def _with_globals(function: Callable[..., Any], namespace: dict[str, Any]) -> Callable[..., Any]:
    copy = FunctionType(function.__code__, namespace, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy
