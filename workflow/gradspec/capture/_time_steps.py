r"""GRU and simple recurrent layers on the CPU: the whole batch step by step, and each weight's gradient as one product.

PyTorch runs these layers on the CPU as some ten small operations per time step, each with a node of its own in the
graph, so that a call costs much the same whether it has eight samples or sixteen. Here a layer in one direction is one
node. Forward keeps what the gates were, backward gives the deltas :math:`\Delta` of the gates at every time step, and
the gradient of a weight by the rows of group g is the product :math:`\Delta_g^\top H_g` over all time steps at once.

With :math:`x_t` and :math:`h_{t-1}` in, the reset and update gates r and z, and the candidate n of a GRU (as PyTorch
has it: the reset gate acts on the recurrent product, bias included; Cho et al. 2014 have it act on the state),

.. math:: n = \tanh(W_n x + b + r \odot (U_n h + c)), \qquad h' = n + z \odot (h - n),

so that the deltas of all gates are the gradient of :math:`h'` times factors known from forward:

.. math:: \partial n = (1 - z)(1 - n^2), \quad \partial z = (h - n) z (1 - z), \quad
          \partial r = \partial n \, (U_n h + c) \, r (1 - r), \quad \partial (U_n h + c) = \partial n \, r .

Rows are laid out as in a packed sequence: time by time, and at time t the first ``sizes[t]`` samples.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from gradspec.capture._graph import demand
from gradspec.capture.errors import UnsupportedError

Rows = Float[Tensor, "row width"]
State = Float[Tensor, "sample hidden"]

CELLS = ("gru", "rnn_tanh", "rnn_relu")


class Keep(Protocol):
    """What is to be done with the rows of a parameter that a running backward adds to."""

    def __call__(self, parameter: int, delta: Rows, input: Rows | None) -> Tensor:
        """Give the gradient of the parameter with an identity: `gradient_of` the rows, or the sum over their groups."""


def gradient_of(delta: Rows, input: Rows | None) -> Tensor:
    """Gradient of a weight, Δᵀ times the rows that went into the product, or of a bias, the sum of Δ."""
    return delta.sum(0) if input is None else delta.mT @ input


def run(
    cell: str,
    data: Rows,
    sizes: list[int],
    hx: Float[Tensor, "pass sample hidden"],
    weights: Sequence[Tensor],
    *,
    has_biases: bool,
    n_layers: int,
    dropout: float,
    bidirectional: bool,
    keep: Keep,
) -> tuple[Rows, Float[Tensor, "pass sample hidden"]]:
    """Run all layers of a recurrent module in both directions, as ``torch.gru`` and its like do.

    Parameters
    ----------
    cell : str
        One of `CELLS`.
    data : Tensor
        Rows of the input, time by time, longest sample first.
    sizes : list of int
        Samples at each time, never more than at the time before.
    hx : Tensor
        First state of each layer and direction.
    weights : sequence of Tensor
        As the module keeps them: for each layer and direction both matrices, then both biases if there are any.
    has_biases, n_layers, bidirectional
        As the module has them.
    dropout : float
        Share of a layer's outputs that the next does not see; 0 outside of training.
    keep : callable
        Gives the gradient of a parameter by its rows, in a backward that adds to it.

    Returns
    -------
    output : Tensor
        Rows of the last layer's states, both directions beside each other.
    hn : Tensor
        Last states, in the form of `hx`.
    """
    n_directions, per_pass = 1 + bidirectional, 4 if has_biases else 2
    states: list[State] = []
    start = 0
    for layer in range(n_layers):
        outputs = []
        for backwards in (False, True)[:n_directions]:
            w_ih, w_hh, *biases = weights[start : start + per_pass]
            b_ih, b_hh = biases or (None, None)
            output, state = _Pass.apply(  # type: ignore[no-untyped-call]
                data, hx[len(states)], w_ih, w_hh, b_ih, b_hh, cell, sizes, backwards, keep
            )
            outputs.append(output)
            states.append(state)
            start += per_pass
        data = torch.cat(outputs, 1) if bidirectional else outputs[0]
        if dropout and layer < n_layers - 1:
            data = functional.dropout(data, dropout)
    return data, torch.stack(states)


class _Pass(torch.autograd.Function):
    """One layer in one direction."""

    @staticmethod
    def forward(
        ctx: Any,
        data: Rows,
        first: State,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None,
        b_hh: Tensor | None,
        cell: str,
        sizes: list[int],
        backwards: bool,
        keep: Keep,
    ) -> tuple[Rows, State]:
        order = range(len(sizes))[::-1] if backwards else range(len(sizes))
        gates = functional.linear(data, w_ih, b_ih)
        output = data.new_empty(len(data), first.shape[1])
        before = torch.empty_like(output)
        state = first.clone()
        forward = _gru_forward if cell == "gru" else _rnn_forward
        kept = forward(gates, before, output, state, w_hh, b_hh, sizes, order, cell)
        ctx.save_for_backward(data, before, output, w_ih, w_hh, *kept)
        ctx.cell, ctx.sizes, ctx.order, ctx.keep = cell, sizes, order, keep
        ctx.parameters = [*map(id, (w_ih, w_hh, b_ih, b_hh))]
        return output, state

    @staticmethod
    def backward(ctx: Any, d_output: Rows, d_state: State) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise UnsupportedError(
                "second derivatives (create_graph=True) of GRU and RNN layers on the CPU cannot be recorded; leave the "
                "layer out: exclude=[…]"
            )
        data, before, output, w_ih, w_hh, *kept = ctx.saved_tensors
        walk = _gru_backward if ctx.cell == "gru" else _rnn_backward
        d_first = d_state.clone()
        of_input, of_state = walk(d_output, d_first, before, output, w_hh, kept, ctx.sizes, ctx.order, ctx.cell)
        needs = ctx.needs_input_grad
        rows = ((of_input, data), (of_state, before), (of_input, None), (of_state, None))
        gradients: list[Tensor | None] = []
        for place, (parameter, (delta, input)) in enumerate(zip(ctx.parameters, rows, strict=True), start=2):
            is_wanted, is_recorded = demand(ctx, place)
            if is_recorded:
                gradients.append(ctx.keep(parameter, delta, input))
            else:
                gradients.append(gradient_of(delta, input) if is_wanted else None)
        of_data = of_input @ w_ih if needs[0] else None
        return of_data, d_first if needs[1] else None, *gradients, *(None,) * 4


def _gru_forward(
    gates: Rows,
    before: Rows,
    output: Rows,
    state: State,
    w_hh: Tensor,
    b_hh: Tensor | None,
    sizes: list[int],
    order: Sequence[int],
    cell: str,
) -> tuple[Tensor, ...]:
    """Walk through time; `gates` become r, z and n, and the recurrent products of n come back beside."""
    width = state.shape[1]
    products = torch.empty_like(gates)
    bias = gates.new_zeros(3 * width) if b_hh is None else b_hh
    transposed = w_hh.t()
    r, rz, z, n = (gates[:, part].split_with_sizes(sizes) for part in _parts(width))
    own, own_rz, own_n = (
        products[:, part].split_with_sizes(sizes) for part in (slice(None), slice(0, 2 * width), slice(2 * width, None))
    )
    outputs, befores = output.split_with_sizes(sizes), before.split_with_sizes(sizes)
    for t in order:
        now = state[: sizes[t]]
        befores[t].copy_(now)
        torch.addmm(bias, now, transposed, out=own[t])
        rz[t].add_(own_rz[t]).sigmoid_()
        n[t].addcmul_(r[t], own_n[t]).tanh_()
        torch.lerp(n[t], now, z[t], out=outputs[t])
        now.copy_(outputs[t])
    return gates, products[:, 2 * width :]


def _gru_backward(
    d_output: Rows,
    d_state: State,
    before: Rows,
    output: Rows,
    w_hh: Tensor,
    kept: Sequence[Tensor],
    sizes: list[int],
    order: Sequence[int],
    cell: str,
) -> tuple[Rows, Rows]:
    """Walk back through time; `d_state` becomes the gradient of the first state."""
    gates, own_n = kept
    width = d_state.shape[1]
    r, _, z, n = (gates[:, part] for part in _parts(width))
    of_n = (1 - z) * (1 - n * n)
    factors = torch.stack([of_n * own_n * r * (1 - r), (before - n) * z * (1 - z), of_n * r], 1)
    arriving = torch.empty_like(before)
    deltas = torch.empty_like(gates)
    threefold = deltas.view(-1, 3, width).split_with_sizes(sizes)
    deltas_at, factors_at, z_at = (
        deltas.split_with_sizes(sizes),
        factors.split_with_sizes(sizes),
        z.split_with_sizes(sizes),
    )
    arriving_at, outputs_at = arriving.split_with_sizes(sizes), d_output.split_with_sizes(sizes)
    arriving_3 = arriving[:, None].split_with_sizes(sizes)
    for t in reversed(order):
        now = d_state[: sizes[t]]
        torch.add(now, outputs_at[t], out=arriving_at[t])
        torch.mul(arriving_3[t], factors_at[t], out=threefold[t])
        torch.mul(arriving_at[t], z_at[t], out=now)
        now.addmm_(deltas_at[t], w_hh)
    of_input = deltas.clone()
    torch.mul(arriving, of_n, out=of_input[:, 2 * width :])
    return of_input, deltas


def _parts(width: int) -> tuple[slice, slice, slice, slice]:
    """Columns of r, of r and z, of z, and of n."""
    return slice(0, width), slice(0, 2 * width), slice(width, 2 * width), slice(2 * width, None)


def _rnn_forward(
    gates: Rows,
    before: Rows,
    output: Rows,
    state: State,
    w_hh: Tensor,
    b_hh: Tensor | None,
    sizes: list[int],
    order: Sequence[int],
    cell: str,
) -> tuple[Tensor, ...]:
    if b_hh is not None:
        gates.add_(b_hh)
    activate: Callable[[Tensor], Tensor] = torch.tanh_ if cell == "rnn_tanh" else torch.relu_
    transposed = w_hh.t()
    gates_at, outputs, befores = (
        gates.split_with_sizes(sizes),
        output.split_with_sizes(sizes),
        before.split_with_sizes(sizes),
    )
    for t in order:
        now = state[: sizes[t]]
        befores[t].copy_(now)
        activate(torch.addmm(gates_at[t], now, transposed, out=outputs[t]))
        now.copy_(outputs[t])
    return ()


def _rnn_backward(
    d_output: Rows,
    d_state: State,
    before: Rows,
    output: Rows,
    w_hh: Tensor,
    kept: Sequence[Tensor],
    sizes: list[int],
    order: Sequence[int],
    cell: str,
) -> tuple[Rows, Rows]:
    slope = 1 - output * output if cell == "rnn_tanh" else (output > 0).to(output.dtype)
    deltas = torch.empty_like(output)
    deltas_at, slopes, outputs_at = (
        deltas.split_with_sizes(sizes),
        slope.split_with_sizes(sizes),
        d_output.split_with_sizes(sizes),
    )
    for t in reversed(order):
        now = d_state[: sizes[t]]
        torch.add(now, outputs_at[t], out=deltas_at[t]).mul_(slopes[t])
        torch.mm(deltas_at[t], w_hh, out=now)
    return deltas, deltas
