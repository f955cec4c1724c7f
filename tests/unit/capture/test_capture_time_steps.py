"""Recurrent layers as one node per layer and direction give what PyTorch gives, and each weight's rows in backward."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from gradspec.capture._time_steps import gradient_of, run

N, T, INPUTS, HIDDEN = 6, 9, 5, 7

MODULES: dict[str, Callable[[], nn.RNNBase]] = {
    "gru": lambda: nn.GRU(INPUTS, HIDDEN),
    "gru without biases": lambda: nn.GRU(INPUTS, HIDDEN, bias=False),
    "gru of two layers in both directions": lambda: nn.GRU(INPUTS, HIDDEN, 2, bidirectional=True),
    "gru with dropout": lambda: nn.GRU(INPUTS, HIDDEN, 3, dropout=0.4),
    "tanh": lambda: nn.RNN(INPUTS, HIDDEN),
    "relu in both directions": lambda: nn.RNN(INPUTS, HIDDEN, 2, nonlinearity="relu", bidirectional=True),
    "tanh without biases": lambda: nn.RNN(INPUTS, HIDDEN, bias=False),
}
LENGTHS = [9, 7, 7, 4, 2, 1]


class Sums:
    """Keeps how each gradient came about: the whole product, and those of the first two samples and of the others."""

    def __init__(self, sizes: list[int]) -> None:
        sample = torch.cat([torch.arange(size) for size in sizes])
        self.parts = [sample < 2, sample >= 2]
        self.of_parts: dict[int, list[Tensor]] = {}

    def __call__(self, parameter: int, delta: Tensor, input: Tensor | None) -> Tensor:
        self.of_parts[parameter] = [
            delta[rows].sum(0) if input is None else delta[rows].mT @ input[rows] for rows in self.parts
        ]
        return gradient_of(delta, input)


def case(name: str) -> tuple[nn.RNNBase, Tensor, Tensor]:
    """Return a module, an input (time, sample, feature) and first states, all in float64."""
    torch.manual_seed(0)
    module = MODULES[name]().double()
    n_passes = module.num_layers * (1 + module.bidirectional)
    input = torch.randn(T, N, INPUTS, dtype=torch.float64, requires_grad=True)
    return module, input, torch.randn(n_passes, N, HIDDEN, dtype=torch.float64, requires_grad=True)


def run_module(module: nn.RNNBase, data: Tensor, sizes: list[int], hx: Tensor, keep: Any) -> tuple[Tensor, Tensor]:
    cell = "gru" if isinstance(module, nn.GRU) else f"rnn_{module.nonlinearity}"
    return run(
        cell,
        data,
        sizes,
        hx,
        module._flat_weights,
        has_biases=module.bias,
        n_layers=module.num_layers,
        dropout=module.dropout if module.training else 0.0,
        bidirectional=module.bidirectional,
        keep=keep,
    )


def gradients(module: nn.RNNBase, output: Tensor, state: Tensor, *inputs: Tensor) -> list[Tensor]:
    """Return the gradients of a loss that every output has another weight in."""
    weight = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).reshape(output.shape)
    loss = (weight * output).sum() + state.sin().sum()
    return list(torch.autograd.grad(loss, [*module.parameters(), *inputs]))


@pytest.mark.parametrize("name", MODULES)
def test_outputs_states_and_gradients_are_those_of_the_module(name: str) -> None:
    module, input, hx = case(name)
    torch.manual_seed(1)
    expected = module(input, hx)
    torch.manual_seed(1)  # dropout between layers draws the same numbers
    output, state = run_module(module, input.flatten(0, 1), [N] * T, hx, Sums([N] * T))
    result = output.reshape(T, N, -1), state
    torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(
        gradients(module, *result, input, hx), gradients(module, *expected, input, hx), rtol=1e-10, atol=1e-11
    )


@pytest.mark.parametrize("name", MODULES)
def test_sequences_of_other_lengths_are_those_of_the_module_too(name: str) -> None:
    module, input, hx = case(name)
    packed = pack_padded_sequence(input, torch.tensor(LENGTHS))
    assert isinstance(packed, PackedSequence)
    sizes = packed.batch_sizes.tolist()
    data = packed.data.detach().requires_grad_()
    torch.manual_seed(1)
    expected, expected_state = module(PackedSequence(data, packed.batch_sizes), hx)
    torch.manual_seed(1)
    output, state = run_module(module, data, sizes, hx, Sums(sizes))
    torch.testing.assert_close((output, state), (expected.data, expected_state), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(
        gradients(module, output, state, data, hx),
        gradients(module, expected.data, expected_state, data, hx),
        rtol=1e-10,
        atol=1e-11,
    )


@pytest.mark.parametrize("lengths", [[T] * N, LENGTHS], ids=["padded", "packed"])
@pytest.mark.parametrize("name", [name for name in MODULES if "dropout" not in name])
def test_the_rows_of_some_samples_give_the_gradient_of_their_part_of_the_loss(name: str, lengths: list[int]) -> None:
    module, input, hx = case(name)
    packed = pack_padded_sequence(input, torch.tensor(lengths))
    sizes = packed.batch_sizes.tolist()
    sums = Sums(sizes)
    data = packed.data.detach()
    output, state = run_module(module, data, sizes, hx, sums)
    weight = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).reshape(output.shape)
    ((weight * output).sum() + state.sin().sum()).backward()
    for part, samples in enumerate((slice(0, 2), slice(2, None))):
        output, state = run_module(module, data, sizes, hx.detach(), Sums(sizes))
        loss = (weight * output)[sums.parts[part]].sum() + state[:, samples].sin().sum()
        for parameter, expected in zip(
            module.parameters(), torch.autograd.grad(loss, list(module.parameters())), strict=True
        ):
            torch.testing.assert_close(sums.of_parts[id(parameter)][part], expected, rtol=1e-10, atol=1e-11)


def test_what_needs_no_gradient_is_not_computed() -> None:
    module, input, hx = case("gru")
    module.weight_ih_l0.requires_grad_(False)
    sums = Sums([N] * T)
    output, _ = run_module(module, input.detach().flatten(0, 1), [N] * T, hx.detach(), sums)
    output.sum().backward()
    assert id(module.weight_ih_l0) not in sums.of_parts
    assert module.weight_ih_l0.grad is None
    assert module.weight_hh_l0.grad is not None
