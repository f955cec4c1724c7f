"""Recurrent cells: bare outputs, calls that add up, and a batch that must be the labels'."""

import numpy as np
import pytest
import torch
from capture_reference import assert_spectra_equal
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from gradspec.capture import RowsError, SpectraRecorder

NAMES = ["control", "patient"]
GROUP = torch.tensor([0, 1, 1, 0, -1, 1])
CELLS = [nn.RNNCell, nn.LSTMCell, nn.GRUCell]

every_cell = pytest.mark.parametrize("kind", CELLS)


def run(cell: nn.Module, x: Tensor, state: object = None) -> Tensor:
    """A loss over all times."""
    loss = x.new_zeros(())
    for time in range(x.shape[1]):
        state = cell(x[:, time], state)
        loss = loss + (state[0] if isinstance(state, tuple) else state).sin().sum()
    return loss


@every_cell
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("given", [True, False])
def test_outputs_and_gradients_are_those_of_the_bare_cell(kind: type, bias: bool, given: bool) -> None:
    torch.manual_seed(0)
    cell = kind(4, 5, bias)
    x = torch.randn(6, 3, 4, requires_grad=True)
    first = torch.randn(6, 5)
    state = ((first, first.cos()) if kind is nn.LSTMCell else first) if given else None
    expected = run(cell, x, state)
    gradients = torch.autograd.grad(expected, [x, *cell.parameters()])
    with SpectraRecorder(cell, NAMES).step(GROUP):
        actual = run(cell, x, state)
        actual.backward()
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-6)
    for tensor, gradient in zip([x, *cell.parameters()], gradients, strict=True):
        torch.testing.assert_close(tensor.grad, gradient, rtol=1e-5, atol=1e-6)


@every_cell
def test_rows_of_all_calls_are_those_of_one_matrix(kind: type) -> None:
    torch.manual_seed(0)
    cell = kind(4, 5).double()
    x = torch.randn(6, 3, 4, dtype=torch.float64)
    recorder = SpectraRecorder(cell, NAMES, kinds=("gradient", "activation", "delta"))
    with recorder.step(GROUP):
        run(cell, x).backward()
    node = recorder.spectra()["weight_ih"]
    for position, members in enumerate([GROUP == 0, GROUP == 1, GROUP >= -1]):
        expected = torch.linalg.svdvals(x[members].flatten(0, 1)).numpy()
        assert_spectra_equal(node["activation"].values[0, position], expected, 1e-7)
    pooled = torch.linalg.svdvals(cell.weight_ih.grad).numpy()
    assert_spectra_equal(node["gradient"].values[0, -1], pooled, 1e-7)
    assert np.isfinite(node["delta"].values[0, :, 0]).all()


def test_calls_without_grad_do_not_count() -> None:
    torch.manual_seed(0)
    cell = nn.GRUCell(4, 5).double()
    x = torch.randn(6, 3, 4, dtype=torch.float64)
    recorder = SpectraRecorder(cell, NAMES)
    with recorder.step(GROUP):
        with torch.no_grad():
            run(cell, x[:2])
        run(cell, x).backward()
    expected = torch.linalg.svdvals(cell.weight_hh.grad).numpy()
    assert_spectra_equal(recorder.spectra()["weight_hh"]["gradient"].values[0, -1], expected, 1e-7)


def test_a_frozen_weight_of_a_cell_is_left_out() -> None:
    cell = nn.LSTMCell(4, 5)
    cell.weight_ih.requires_grad_(False)
    recorder = SpectraRecorder(cell, NAMES)
    with recorder.step(GROUP):
        run(cell, torch.randn(6, 3, 4)).backward()
    assert cell.weight_ih.grad is None
    assert recorder.report()["weight_ih"].note == "frozen"
    assert set(recorder.spectra().children) == {"weight_hh"}


@every_cell
@pytest.mark.parametrize("shape", [(4,), (5, 4), (1, 4)])
def test_an_input_of_another_batch_is_refused(kind: type, shape: tuple[int, ...]) -> None:
    cell = kind(4, 5)
    with pytest.raises(RowsError), SpectraRecorder(cell, NAMES).step(GROUP):
        cell(torch.zeros(shape))


@every_cell
def test_a_state_of_another_batch_is_refused_rather_than_broadcast(kind: type) -> None:
    cell = kind(4, 5)
    state = torch.zeros(1, 5)
    with pytest.raises(RowsError), SpectraRecorder(cell, NAMES).step(GROUP):
        cell(torch.zeros(6, 4), (torch.zeros(6, 5), state) if kind is nn.LSTMCell else state)


@pytest.mark.parametrize("parametrise", [weight_norm, nn.utils.weight_norm, spectral_norm, nn.utils.spectral_norm])
def test_a_parametrised_weight_of_a_cell_is_the_one_that_it_uses(parametrise: object) -> None:
    torch.manual_seed(0)
    cell = parametrise(nn.GRUCell(4, 5).double(), "weight_hh").eval()
    x = torch.randn(6, 3, 4, dtype=torch.float64)
    run(cell, x)  # the older parametrisations make the weight in forward
    bare = nn.GRUCell(4, 5).double()
    with torch.no_grad():
        for name, parameter in bare.named_parameters():
            parameter.copy_(getattr(cell, name))
    recorder = SpectraRecorder(cell, NAMES)
    with recorder.step(GROUP):
        run(cell, x).backward()
    run(bare, x).backward()
    expected = torch.linalg.svdvals(bare.weight_hh.grad).numpy()
    assert_spectra_equal(recorder.spectra()["weight_hh"]["gradient"].values[0, -1], expected, 1e-7)
    sources = [row for row in recorder.report() if row.status == "skipped" and "weight_hh" in row.parameter]
    assert sources
    assert all("captured as 'weight_hh'" in row.note for row in sources)
