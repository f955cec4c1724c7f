r"""Linear layers whose weight is stored as (inputs, outputs), as the ``Conv1D`` of GPT-2 in transformers.

They compute :math:`x W + b` by ``torch.addmm(b, rows, W)``, over rows that were flattened into the batch sample by
sample. Recorded is the gradient of :math:`W^T`, outputs × inputs as that of any linear layer.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from gradspec.capture._layer import Layer
from gradspec.capture._linear import AGREEMENT, KINDS, captured_linear
from gradspec.capture._register import Register
from gradspec.capture._samples import SampleDim
from gradspec.capture._step import StepCapture


class TransposedLinearLayer(Layer):
    """A module with ``weight`` (inputs, outputs) and ``bias`` that calls ``torch.addmm``."""

    functions = ("addmm",)

    def __init__(self, name: str, module: nn.Module, register: Register, samples: SampleDim) -> None:
        super().__init__(name, module, register, samples)
        self.agreement = AGREEMENT.replace("bitwise equal", "within rounding")
        n_inputs, n_outputs = module.get_parameter("weight").shape
        self._matrices = register.matrices(self, "weight", (n_outputs, n_inputs), KINDS, is_transposed=True)
        biases = register.vectors(self, "bias")
        self.biases = {id(module._parameters.get("bias")): biases}
        self.weights = [*self._matrices, *biases]

    def call(
        self,
        step: StepCapture,
        function: Callable[..., Tensor],
        bias: Tensor,
        input: Float[Tensor, "row n"],
        weight: Float[Tensor, "n m"],
        **options: Any,
    ) -> Float[Tensor, "row m"]:
        if options:  # factors of the product, which no linear layer has
            return function(bias, input, weight, **options)
        self.is_sample_major = True
        rows = self.rows_in(step, input.shape[:-1], 0)
        check = partial(rows.check_batch, input.shape[:-1], 0, self)
        biases = self.biases.get(id(bias), ())
        return captured_linear(step, rows, self._matrices, input, weight.mT, bias, 0, check, biases)


def transposed_classes() -> list[type[nn.Module]]:
    """Such classes of the packages that have been imported."""
    module = sys.modules.get("transformers.pytorch_utils")
    return [] if module is None else [module.Conv1D]
