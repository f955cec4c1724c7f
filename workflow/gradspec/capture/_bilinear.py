r"""Bilinear layers, as linear layers of the products of their inputs.

:math:`y_k = a^T W_k b + c_k` is linear in the entries of :math:`a b^T`: the rows
:math:`h_i = \operatorname{vec}(a_i b_i^T)` give the gradient of the weight as a matrix, outputs ×
(first · second inputs), by :math:`G = \Delta^T H`. The layer's own function runs, and gives the optimiser its gradient.
"""

from collections.abc import Callable
from functools import partial

from jaxtyping import Float
from torch import Tensor, nn

from gradspec.capture._layer import Layer
from gradspec.capture._linear import KINDS, weight_gradient
from gradspec.capture._register import Register
from gradspec.capture._samples import SampleDim
from gradspec.capture._step import StepCapture
from gradspec.capture._vectors import watched, watched_bias

_SECOND = "second derivatives of a bilinear layer are not captured"


class BilinearLayer(Layer):
    """``nn.Bilinear``.

    Parameters
    ----------
    name : str
        Name of the module in the model.
    module : nn.Bilinear
        The module.
    register : Register
        The weights of the model.
    samples : SampleDim
        Where both inputs have their samples.
    """

    functions = ("bilinear",)

    def __init__(self, name: str, module: nn.Bilinear, register: Register, samples: SampleDim) -> None:
        super().__init__(name, module, register, samples)
        self.agreement = "bitwise equal"
        shape = (module.out_features, module.in1_features * module.in2_features)
        self._matrices = register.matrices(self, "weight", shape, KINDS)
        biases = register.vectors(self, "bias")
        self.biases = {id(module._parameters.get("bias")): biases}
        self.weights = [*self._matrices, *biases]

    def call(
        self,
        step: StepCapture,
        function: Callable[..., Tensor],
        input1: Float[Tensor, "*batch n1"],
        input2: Float[Tensor, "*batch n2"],
        weight: Float[Tensor, "m n1 n2"],
        bias: Tensor | None = None,
    ) -> Float[Tensor, "*batch m"]:
        output = function(input1, input2, weight, bias)
        rows = self.rows_in(step, output.shape[:-1], self.samples.dim)
        check = partial(self.samples.check, output.shape[:-1], rows, self)
        if self._matrices and weight.requires_grad:
            use = step.use(check, rows)

            def sink(delta: Tensor, received: list[bool], first: Tensor, second: Tensor) -> None:
                use.spend()
                products = first.to(delta.dtype).unsqueeze(-1) * second.to(delta.dtype).unsqueeze(-2)
                weight_gradient(step, self._matrices, products.flatten(-2), delta, self.samples.dim)

            def spoil() -> None:
                step.spoiled |= dict.fromkeys(self._matrices, _SECOND)

            output = watched(output, [weight], [input1, input2], sink, spoil)
        biases = self.biases.get(id(bias), ())
        return watched_bias(step, rows, biases, output, bias, self.samples.dim, bias_dim=-1, check=check)
