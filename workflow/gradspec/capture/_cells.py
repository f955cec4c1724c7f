r"""Recurrent cells: the two linear layers that a cell is made of, summed over all its calls.

A cell computes :math:`W_{ih} x_t + b_{ih}` and :math:`W_{hh} h_{t-1} + b_{hh}`, then its gates entry by entry. The
gates are written out here as PyTorch writes them, and the two products are captured as those of any linear layer: the
calls of a step add up, :math:`G_g = \sum_t \Delta_{t,g}^T H_{t,g}`, before the spectrum is taken.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gradspec.capture._layer import Layer
from gradspec.capture._linear import KINDS, captured_linear
from gradspec.capture._register import Register
from gradspec.capture._step import StepCapture

Hidden = Float[Tensor, "sample hidden"]


class CellLayer(Layer):
    """``nn.RNNCell``, ``nn.LSTMCell`` and ``nn.GRUCell``."""

    def __init__(self, name: str, module: nn.RNNCellBase, register: Register) -> None:
        super().__init__(name, module)
        self.module: nn.RNNCellBase = module
        self.agreement = "gates written out, within rounding"
        gates = module.weight_hh.shape[0]
        widths = {"ih": module.input_size, "hh": module.hidden_size}
        self._matrices = {
            side: register.matrices(self, f"weight_{side}", (gates, width), KINDS) for side, width in widths.items()
        }
        self._biases = {side: register.vectors(self, f"bias_{side}") for side in widths}
        self.weights = [
            weight for of_sides in (self._matrices, self._biases) for side in widths for weight in of_sides[side]
        ]

    def forward(self, step: StepCapture, input: Float[Tensor, "sample feature"], hx: Any = None) -> Any:
        module = self.module
        if not torch.is_grad_enabled():
            return type(module).forward(module, input, hx)
        if hx is None:
            zeros = input.new_zeros(*input.shape[:-1], module.hidden_size)
            hx = (zeros, zeros) if isinstance(module, nn.LSTMCell) else zeros
        hidden = hx[0] if isinstance(module, nn.LSTMCell) else hx
        for tensor in (input, *(hx if isinstance(hx, tuple) else [hx])):
            step.groups.check_batch(tensor.shape[:-1], 0, str(self))
        from_input = self._product(step, "ih", input)
        from_hidden = self._product(step, "hh", hidden)
        match module:
            case nn.LSTMCell():
                return _lstm(from_input + from_hidden, hx[1])
            case nn.GRUCell():
                return _gru(from_input, from_hidden, hidden)
        assert isinstance(module, nn.RNNCell)
        gate = from_input + from_hidden
        return gate.tanh() if module.nonlinearity == "tanh" else gate.relu()

    def _product(self, step: StepCapture, side: str, input: Tensor) -> Tensor:
        weight, bias = getattr(self.module, f"weight_{side}"), getattr(self.module, f"bias_{side}")
        return captured_linear(self, step, self._matrices[side], input, weight, bias, 0, self._biases[side])


def _lstm(gates: Float[Tensor, "sample gate"], cell: Hidden) -> tuple[Hidden, Hidden]:
    entry, forget, candidate, exit_ = gates.chunk(4, dim=1)
    cell = forget.sigmoid() * cell + entry.sigmoid() * candidate.tanh()
    return exit_.sigmoid() * cell.tanh(), cell


def _gru(from_input: Float[Tensor, "sample gate"], from_hidden: Float[Tensor, "sample gate"], hidden: Hidden) -> Hidden:
    reset_x, update_x, new_x = from_input.chunk(3, dim=1)
    reset_h, update_h, new_h = from_hidden.chunk(3, dim=1)
    new = (new_x + (reset_x + reset_h).sigmoid() * new_h).tanh()
    return (hidden - new) * (update_x + update_h).sigmoid() + new
