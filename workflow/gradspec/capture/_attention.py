r"""Multi-head attention: spectra of the projections of query, key and value, and of the output.

``F.multi_head_attention_forward`` calls ``linear`` on its own weights: on the packed ``in_proj_weight`` whole
(self-attention), on its blocks (cross-attention), or on three separate weights; then on ``out_proj``. All these rows
are time-major, (time, sample, feature), even with ``batch_first``.
"""

from collections.abc import Callable, Sequence
from functools import partial

from jaxtyping import Float
from torch import Tensor, nn

from gradspec.capture._layer import Layer, Weight
from gradspec.capture._linear import AGREEMENT, KINDS, captured_linear
from gradspec.capture._register import Register
from gradspec.capture._samples import SampleDim
from gradspec.capture._step import StepCapture

TIME_MAJOR = 1  # the dimension of the samples
BLOCKS = ("/q", "/k", "/v")


class AttentionLayer(Layer):
    """``nn.MultiheadAttention``; packed weights and biases have the nodes ``q``, ``k`` and ``v``."""

    functions = ("linear",)
    takes_views = True

    def __init__(self, name: str, module: nn.MultiheadAttention, register: Register, samples: SampleDim) -> None:
        super().__init__(name, module, register, samples)
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
        owner = self.module.out_proj if is_output else self.module
        return owner._parameters[of_output]

    def tensors(self) -> list[Tensor]:
        found = [*super().tensors(), self._lookup("out_proj.weight")]
        return [tensor for tensor in found if tensor is not None]

    def call(
        self,
        step: StepCapture,
        function: Callable[..., Tensor],
        input: Float[Tensor, "*batch n"],
        weight: Tensor,
        bias: Tensor | None = None,
    ) -> Float[Tensor, "*batch m"]:
        weights = self._weights_of(weight)
        biases = [] if bias is None else self._weights_of(bias)
        size = step.groups.size
        is_flat = input.ndim == 2 and len(input) % size == 0
        rows = input.view(-1, size, input.shape[-1]) if is_flat else input
        check = partial(step.groups.check_batch, rows.shape[:-1] if rows.ndim == 3 else (), TIME_MAJOR, self)
        output = captured_linear(step, step.groups, weights, rows, weight, bias, TIME_MAJOR, check, biases)
        return output.flatten(0, 1) if is_flat else output

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
