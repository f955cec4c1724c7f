"""Known traps of capturing gradients: where others are silently wrong, the recorder is right or refuses."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from capture_cases import Recurrent
from capture_reference import assert_spectra_equal, naive_spectra, rows_of
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gradspec.capture import CaptureError, NothingCapturedError, RowsError, SpectraRecorder, UnsupportedError

NAMES = ["control", "patient"]
GROUP = torch.tensor([0, 1, 1, 0, 1, 0])
Y = torch.tensor([0, 1, 2, 0, 1, 2])


def data(*sample: int) -> Tensor:
    return torch.randn(len(GROUP), *sample, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def record(model: nn.Module, x: Tensor, **options: object) -> SpectraRecorder:
    recorder = SpectraRecorder(model, NAMES, **options)
    with recorder.step(GROUP):
        F.cross_entropy(model(x), Y).backward()
    return recorder


def assert_as_naive(recorder: SpectraRecorder, model: nn.Module, x: Tensor) -> None:
    expected = naive_spectra(model, x, Y, GROUP, len(NAMES))
    for node, per_group in expected.items():
        for position, values in enumerate(per_group):
            assert_spectra_equal(recorder.spectra()[node]["gradient"].values[0, position], values, 1e-7)


def test_batch_norm_in_training_records_rows_of_the_pooled_pass_and_says_so() -> None:
    model = nn.Sequential(nn.Linear(8, 7), nn.BatchNorm1d(7), nn.Linear(7, 3)).double()
    x = data(8)
    h, delta = rows_of(model[0], lambda: F.cross_entropy(model(x), Y))
    with pytest.warns(UserWarning, match="batch normalisation"):
        recorder = record(model, x)
    spectra = recorder.spectra()
    assert spectra.attrs["group_definition"] == "rows"
    assert spectra.attrs["batch_norm_in_training"] == 1
    for label in (0, 1):
        expected = torch.linalg.svdvals(delta[label == GROUP].mT @ h[label == GROUP]).numpy()
        assert_spectra_equal(spectra["0.weight"]["gradient"].values[0, label], expected, 1e-12)


def test_batch_norm_in_evaluation_mode_is_no_matter(recwarn: pytest.WarningsRecorder) -> None:
    model = nn.Sequential(nn.Linear(8, 7), nn.BatchNorm1d(7), nn.Linear(7, 3)).double().eval()
    assert record(model, data(8)).spectra().attrs["batch_norm_in_training"] == 0
    assert not recwarn.list


def test_dropout_draws_the_same_numbers_as_without_the_recorder() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(6, 2, 9, dropout=0.4, batch_first=True)
    model = nn.Sequential(layer, nn.Flatten(), nn.Linear(24, 3)).double()
    torch.manual_seed(1)
    expected = model(data(4, 6))
    torch.manual_seed(1)
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(GROUP):
        actual = model(data(4, 6))
        actual.sum().backward()
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_layers_count_once(reentrant: bool) -> None:
    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(4, 5)
            self.lstm = nn.LSTM(5, 5, batch_first=True)
            self.conv = nn.Conv1d(5, 5, 2)
            self.head = nn.Linear(5, 3)

        def body(self, x: Tensor) -> Tensor:
            return self.conv(self.lstm(x)[0].transpose(1, 2)).mean(2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(checkpoint(self.body, self.first(x), use_reentrant=reentrant))

    model = Checkpointed().double()
    x = data(4, 4)
    assert_as_naive(record(model, x), model, x)


@pytest.mark.parametrize("frozen", ["lstm.weight_ih_l0", "attention.in_proj_weight", "attention.out_proj.weight"])
def test_a_frozen_weight_stays_frozen_and_the_rest_is_recorded(frozen: str) -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(4, 6)
            self.attention = nn.MultiheadAttention(6, 2)
            self.head = nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            x, _ = self.lstm(x.transpose(0, 1))
            return self.head(self.attention(x, x, x)[0].mean(0))

    model = Both().double()
    model.get_parameter(frozen).requires_grad_(False)
    x = data(4, 4)
    recorder = record(model, x)
    assert model.get_parameter(frozen).grad is None
    assert recorder.report()[frozen].note == "frozen"
    assert_as_naive(recorder, model, x)


def test_several_batches_in_a_step_of_one_are_refused_rather_than_given_the_labels_of_the_first() -> None:
    model = nn.Sequential(nn.Linear(8, 7), nn.Tanh(), nn.Linear(7, 3)).double()
    recorder = SpectraRecorder(model, NAMES)
    with pytest.raises(CaptureError, match="accumulate"), recorder.step(GROUP):
        for x in (data(8), data(8).flip(0)):
            F.cross_entropy(model(x), Y).backward()


def test_a_gradient_of_the_input_alone_is_not_a_gradient_of_the_weight() -> None:
    model = nn.Sequential(nn.Linear(8, 7), nn.Tanh(), nn.Linear(7, 3)).double()
    x = data(8)
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(GROUP):
        saliency = x.clone().requires_grad_()
        torch.autograd.grad(model(saliency).sum(), saliency)
        F.cross_entropy(model(x), Y).backward()
    assert_as_naive(recorder, model, x)


def test_forward_without_grad_in_a_step_is_not_recorded() -> None:
    model = nn.Sequential(nn.Unflatten(1, (2, 4)), nn.LSTM(4, 5, batch_first=True)).double()
    model = nn.Sequential(model[0], _First(model[1]), nn.Flatten(), nn.Linear(10, 3)).double()
    x = data(8)
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(GROUP):
        with torch.no_grad():
            model(x[:2])
        F.cross_entropy(model(x), Y).backward()
    assert_as_naive(recorder, model, x)


class _First(nn.Module):
    """The outputs of a recurrent layer without its state."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0]


def test_buffers_reused_before_the_step_ends_do_no_harm() -> None:
    model = nn.Linear(8, 7).double()
    x = data(8)
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(GROUP):
        model(x).square().sum().backward()
        expected = torch.linalg.svdvals(model.weight.grad).numpy()
        x.zero_()
        model.weight.grad.zero_()
    assert_spectra_equal(recorder.spectra()["weight"]["gradient"].values[0, -1], expected, 1e-12)


@pytest.mark.parametrize("group", [GROUP, torch.zeros(6, dtype=torch.int64)], ids=["mixed", "single"])
@pytest.mark.parametrize("build", [lambda: nn.Linear(4, 3), lambda: nn.RNN(4, 3), lambda: nn.Conv1d(4, 3, 1)])
def test_gradients_changed_before_the_step_ends_do_no_harm(build: object, group: Tensor) -> None:
    layer = build().double()
    x = data(6, 4).transpose(1, 2) if isinstance(layer, nn.Conv1d) else data(6, 4)
    recorder = SpectraRecorder(layer, NAMES)
    with recorder.step(group):
        output = layer(x)
        (output[0] if isinstance(output, tuple) else output).square().sum().backward()
        weight = next(layer.parameters())
        expected = torch.linalg.svdvals(weight.grad.flatten(1)).numpy()
        nn.utils.clip_grad_norm_(layer.parameters(), 1e-6)
    node = next(name for name, _ in layer.named_parameters())
    assert_spectra_equal(recorder.spectra()[node]["gradient"].values[0, -1], expected, 1e-7)


@pytest.mark.parametrize("kinds", [("gradient",), ("gradient", "activation", "delta")], ids=["gradient", "all"])
@pytest.mark.parametrize("shape", [(8,), (5, 8), (20, 8)])
def test_numbers_that_are_not_finite_give_nan_and_a_flag(shape: tuple[int, ...], kinds: tuple[str, ...]) -> None:
    model = nn.Linear(8, 7).double()
    x = data(*shape)
    x[int(torch.nonzero(GROUP == 1)[0])] = torch.inf
    recorder = SpectraRecorder(model, NAMES, kinds=kinds)
    with recorder.step(GROUP):
        model(x).square().sum().backward()
    with recorder.step(GROUP):
        model(data(*shape)).square().sum().backward()
    spectra = recorder.spectra()
    assert spectra["finite"].values.tolist() == [False, True]
    assert np.isnan(spectra["weight"]["gradient"].sel(group=["patient", "pooled"]).values[0]).all()
    assert np.isfinite(spectra["weight"]["gradient"].sel(group="control").values[0, 0])
    assert np.isfinite(spectra["weight"]["gradient"].values[1, :, 0]).all()


def test_a_gradient_of_zeros_has_a_spectrum_of_zeros() -> None:
    model = nn.Linear(8, 7).double()
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(GROUP):
        (model(torch.zeros(6, 8, dtype=torch.float64)) * 0).sum().backward()
    assert (np.nan_to_num(recorder.spectra()["weight"]["gradient"].values) == 0).all()
    assert bool(recorder.spectra()["finite"].all())


@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph")
def test_gradients_that_are_part_of_a_graph_are_recorded() -> None:
    model = Recurrent(nn.LSTM(3, 4, batch_first=True), 4).double()
    x = data(5, 3)
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(GROUP):
        F.cross_entropy(model(x), Y).backward(create_graph=True)
    assert_as_naive(recorder, model, x)


def test_compiled_models_are_refused() -> None:
    model = nn.Linear(8, 7)
    with pytest.raises(UnsupportedError, match="OptimizedModule"):
        SpectraRecorder(torch.compile(model, backend="eager"), NAMES)


def test_wrapped_models_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="DataParallel"):
        SpectraRecorder(nn.DataParallel(nn.Linear(8, 7)), NAMES)


def test_a_compiled_copy_gives_right_numbers_or_an_error() -> None:
    model = nn.Sequential(nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 3)).double()
    compiled = torch.compile(model, backend="eager")
    x = data(8)
    compiled(x)
    recorder = SpectraRecorder(model, NAMES)
    try:
        with recorder.step(GROUP):
            F.cross_entropy(compiled(x), Y).backward()
    except (NothingCapturedError, UnsupportedError):
        return
    assert_as_naive(recorder, model, x)


def test_flattened_rows_are_refused() -> None:
    model = nn.Linear(4, 3).double()
    recorder = SpectraRecorder(model, NAMES)
    with pytest.raises(RowsError, match=r"shape \(30\,?\).*6 samples"), recorder.step(GROUP):
        model(data(5, 4).flatten(0, 1))


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.Conv2d(6, 2, 2), (4, 4)),
        (nn.LSTM(4, 3), (4,)),
        (nn.LSTM(4, 3, batch_first=False), (5, 4)),
        (nn.MultiheadAttention(4, 2), (4,)),
        (nn.Linear(6, 3), ()),
    ],
    ids=["unbatched_conv", "unbatched_lstm", "batch_first_by_mistake", "unbatched_attention", "vector"],
)
def test_inputs_without_the_batch_in_its_place_are_refused(model: nn.Module, shape: tuple[int, ...]) -> None:
    recorder = SpectraRecorder(model.double(), NAMES)
    x = data(*shape)
    inputs = (x, x, x) if isinstance(model, nn.MultiheadAttention) else (x,)
    with pytest.raises(RowsError), recorder.step(GROUP):
        model(*inputs)


@pytest.mark.parametrize(("times", "batch_first"), [(5, True), (6, True), (6, False)])
def test_a_time_major_sequence_as_long_as_the_batch_is_refused(times: int, batch_first: bool) -> None:
    lstm = _First(nn.LSTM(4, 5, batch_first=batch_first))
    model = nn.Sequential(lstm, nn.Linear(5, 3)).double()
    x = data(times, 4) if batch_first else data(times, 4).transpose(0, 1)
    recorder = SpectraRecorder(model, NAMES)
    if batch_first:
        with recorder.step(GROUP):
            model(x).sum().backward()
    else:
        with pytest.raises(RowsError, match="cannot be told"), recorder.step(GROUP):
            model(x)
