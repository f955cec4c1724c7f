r"""Recurrent cells: the two linear layers that a cell is made of, summed over all its calls.

A cell computes :math:`W_{ih} x_t + b_{ih}` and :math:`W_{hh} h_{t-1} + b_{hh}`, then its gates entry by entry. The
gates are written out here as PyTorch writes them, and the two products are captured as those of any linear layer: the
calls of a step add up, :math:`G_g = \sum_t \Delta_{t,g}^T H_{t,g}`, before the spectrum is taken.
"""

from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from gradspec.capture._groups import Groups
from gradspec.capture._layer import Layer
from gradspec.capture._linear import KINDS, captured_linear
from gradspec.capture._register import Register
from gradspec.capture._samples import SampleDim
from gradspec.capture._step import StepCapture

Hidden = Float[Tensor, "sample hidden"]


class CellLayer(Layer):
    """``nn.RNNCell``, ``nn.LSTMCell`` and ``nn.GRUCell``."""

    functions = ("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
    is_parametrisable = True

    def __init__(self, name: str, module: nn.RNNCellBase, register: Register, samples: SampleDim) -> None:
        super().__init__(name, module, register, samples)
        self.module: nn.RNNCellBase = module
        self.agreement = "gates written out, within rounding"
        gates = module.hidden_size * (
            4 if isinstance(module, nn.LSTMCell) else 3 if isinstance(module, nn.GRUCell) else 1
        )
        widths = {"ih": module.input_size, "hh": module.hidden_size}
        self._matrices = {
            side: register.matrices(self, f"weight_{side}", (gates, width), KINDS) for side, width in widths.items()
        }
        self._biases = {side: register.vectors(self, f"bias_{side}") for side in widths}
        self.weights = [
            weight for of_sides in (self._matrices, self._biases) for side in widths for weight in of_sides[side]
        ]

    def call(
        self,
        step: StepCapture,
        function: Callable[..., Any],
        input: Float[Tensor, "sample feature"],
        hx: Any,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None = None,
        b_hh: Tensor | None = None,
    ) -> Any:
        states = hx if isinstance(hx, tuple | list) else (hx,)
        hidden = states[0]

        rows = self.rows_in(step, input.shape[:-1], 0)

        def check() -> None:
            for tensor in (input, *states):
                rows.check_batch(tensor.shape[:-1], 0, self)

        from_input = self._product(step, "ih", rows, input, w_ih, b_ih, check)
        from_hidden = self._product(step, "hh", rows, hidden, w_hh, b_hh, check)
        match self.module:
            case nn.LSTMCell():
                return _lstm(from_input + from_hidden, hx[1])
            case nn.GRUCell():
                return _gru(from_input, from_hidden, hidden)
        gate = from_input + from_hidden
        return gate.tanh() if function.__name__ == "rnn_tanh_cell" else gate.relu()

    def _product(
        self,
        step: StepCapture,
        side: str,
        rows: Groups,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        check: Callable[[], None],
    ) -> Tensor:
        return captured_linear(step, rows, self._matrices[side], input, weight, bias, 0, check, self._biases[side])


def _lstm(gates: Float[Tensor, "sample gate"], cell: Hidden) -> tuple[Hidden, Hidden]:
    entry, forget, candidate, exit_ = gates.chunk(4, dim=1)
    cell = forget.sigmoid() * cell + entry.sigmoid() * candidate.tanh()
    return exit_.sigmoid() * cell.tanh(), cell


def _gru(from_input: Float[Tensor, "sample gate"], from_hidden: Float[Tensor, "sample gate"], hidden: Hidden) -> Hidden:
    reset_x, update_x, new_x = from_input.chunk(3, dim=1)
    reset_h, update_h, new_h = from_hidden.chunk(3, dim=1)
    new = (new_x + (reset_x + reset_h).sigmoid() * new_h).tanh()
    return (hidden - new) * (update_x + update_h).sigmoid() + new
