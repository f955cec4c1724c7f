r"""Multi-head attention: spectra of the projections of query, key and value, and of the output.

``nn.MultiheadAttention`` calls ``linear`` on its own weights: on the packed ``in_proj_weight`` whole (self-attention),
on its blocks (cross-attention), or on three separate weights; then on ``out_proj``. The module's own forward runs here
with every such call captured. All these rows are time-major, (time, sample, feature), even with ``batch_first``.
"""

from collections.abc import Callable
from types import FunctionType, SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradspec.capture._layer import Layer, Weight, check_eager
from gradspec.capture._linear import AGREEMENT, KINDS, captured_linear
from gradspec.capture._step import StepCapture

TIME_MAJOR = 1  # the dimension of the samples


class AttentionLayer(Layer):
    """``nn.MultiheadAttention``; the packed weight has the nodes ``q``, ``k`` and ``v``."""

    agreement = AGREEMENT

    def __init__(self, name: str, module: nn.MultiheadAttention) -> None:
        super().__init__(name, module)
        self.module: nn.MultiheadAttention = module
        self._packed: list[Weight] = []
        if module.in_proj_weight is not None:
            parameter = self.parameter("in_proj_weight")
            shape = (module.embed_dim, module.embed_dim)
            if module.in_proj_weight.requires_grad:
                self._packed = [Weight(f"{parameter}/{block}", parameter, self.kind, shape, KINDS) for block in "qkv"]
        self._whole: dict[str, Weight] = {}
        for local in ("q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj.weight"):
            weight = self._lookup(local)
            if weight is not None and weight.requires_grad:
                parameter = self.parameter(local)
                rows, columns = weight.shape
                self._whole[local] = Weight(parameter, parameter, self.kind, (rows, columns), KINDS)
        self.weights = [*self._packed, *self._whole.values()]

    def _lookup(self, local: str) -> Tensor | None:
        return self.module.out_proj.weight if local == "out_proj.weight" else getattr(self.module, local)

    def forward(self, step: StepCapture, query: Tensor, *args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return type(self.module).forward(self.module, query, *args, **kwargs)
        check_eager(self, query)
        batch_dim = 0 if self.module.batch_first else TIME_MAJOR
        step.groups.check_batch(query.shape if query.ndim == 3 else (), batch_dim, str(self))

        def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
            weights = self._weights_of(weight)
            if not weights:
                return F.linear(input, weight, bias)
            if input.ndim == 3:
                return captured_linear(self, step, weights, input, weight, bias, TIME_MAJOR)
            time_by_sample = input.view(-1, step.groups.size, input.shape[-1])
            return captured_linear(self, step, weights, time_by_sample, weight, bias, TIME_MAJOR).flatten(0, 1)

        return _forward_with(linear)(self.module, query, *args, **kwargs)

    def _weights_of(self, weight: Tensor) -> list[Weight]:
        """What is recorded of a weight that `linear` is called with: a parameter, or a block of rows of one."""
        for local, whole in self._whole.items():
            if weight is self._lookup(local):
                return [whole]
        packed = self.module.in_proj_weight
        if packed is None or (weight is not packed and weight._base is not packed):
            return []
        first = weight.storage_offset() - packed.storage_offset()
        start = first // (packed.stride(0) * self.module.embed_dim)
        return self._packed[start : start + len(weight) // self.module.embed_dim]


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
