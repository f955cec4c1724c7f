"""Packed sequences: the outputs are those of the bare module, and groups are those of the batch's own order."""

import pytest
import torch
from capture_reference import assert_spectra_equal
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gradspec.capture import RowsError, SpectraRecorder

LENGTHS = [2, 5, 1, 5, 4, 3]
GROUP = torch.tensor([0, 1, 1, 0, -1, 1])
NAMES = ["control", "patient"]


def sequences(is_sorted: bool) -> PackedSequence:
    x = torch.randn(6, 5, 4, generator=torch.Generator().manual_seed(0))
    lengths = sorted(LENGTHS, reverse=True) if is_sorted else LENGTHS
    return pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=is_sorted)


@pytest.mark.parametrize("is_sorted", [False, True])
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_outputs_and_states_are_those_of_the_bare_module(kind: type, given: bool, is_sorted: bool) -> None:
    torch.manual_seed(0)
    module = kind(4, 3, 2, bidirectional=True)
    state = torch.randn(4, 6, 3)
    hx = ((state, state.sin()) if kind is nn.LSTM else state) if given else None
    packed = sequences(is_sorted)
    expected, expected_state = module(packed, hx)
    with SpectraRecorder(module, NAMES).step(GROUP):
        output, last = module(packed, hx)
        pad_packed_sequence(output)[0].sum().backward()
    torch.testing.assert_close(output.data, expected.data, rtol=0, atol=1e-6)
    assert torch.equal(output.batch_sizes, expected.batch_sizes)
    for name in ("sorted_indices", "unsorted_indices"):
        indices = getattr(expected, name)
        assert getattr(output, name) is None if indices is None else torch.equal(getattr(output, name), indices)
    for actual, wanted in zip(_tensors(last), _tensors(expected_state), strict=True):
        torch.testing.assert_close(actual, wanted, rtol=0, atol=1e-6)


def _tensors(state: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


def test_groups_are_those_of_the_unsorted_batch() -> None:
    """A group's gradient is that of its own sequences, packed alone."""
    torch.manual_seed(0)
    module = nn.GRU(4, 3).double()
    x = torch.randn(6, 5, 4, dtype=torch.float64)
    recorder = SpectraRecorder(module, NAMES)
    with recorder.step(GROUP):
        packed = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
        module(packed)[0].data.square().sum().backward()
    for label, name in enumerate(NAMES):
        module.zero_grad()
        members = (label == GROUP).nonzero()[:, 0]
        lengths = [LENGTHS[index] for index in members]
        alone = pack_padded_sequence(x[members], lengths, batch_first=True, enforce_sorted=False)
        module(alone)[0].data.square().sum().backward()
        expected = torch.linalg.svdvals(module.weight_ih_l0.grad).numpy()
        recorded = recorder.spectra()["weight_ih_l0"]["gradient"].sel(group=name).values[0]
        assert_spectra_equal(recorded, expected, 1e-7)


def test_labels_that_do_not_fit_the_sequences_are_refused() -> None:
    recorder = SpectraRecorder(nn.GRU(4, 3), NAMES)
    with pytest.raises(RowsError), recorder.step(GROUP[:5]):
        recorder._layers[0].module(sequences(False))


@pytest.mark.parametrize("shape", [(1, 7, 3), (6, 3)])
def test_a_state_of_another_batch_is_refused(shape: tuple[int, ...]) -> None:
    module = nn.GRU(4, 3, batch_first=True)
    recorder = SpectraRecorder(module, NAMES)
    for x in (sequences(True), torch.zeros(6, 5, 4)):
        with pytest.raises(RuntimeError, match=r"hx|hidden"), recorder.step(GROUP):
            module(x, torch.zeros(shape))


def test_rows_of_a_packed_sequence_are_refused_by_a_linear_layer() -> None:
    """They are sorted by time, and which sample a row belongs to is not told."""
    model = nn.ModuleDict({"rnn": nn.GRU(4, 3), "head": nn.Linear(3, 2)})
    recorder = SpectraRecorder(model, NAMES)
    with pytest.raises(RowsError, match="Linear 'head'"), recorder.step(GROUP):
        model["head"](model["rnn"](sequences(False))[0].data)
