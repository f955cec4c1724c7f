"""Biases and the weights of normalisations: norms of their gradients by group, on request."""

import pytest
import torch
from capture_reference import rows_of
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gradspec.capture import NothingCapturedError, RowsError, SpectraRecorder, UnsupportedError

NAMES = ["control", "patient"]
GROUP = torch.tensor([0, 1, 1, 0, -1, 1])
MEMBERS = [GROUP == 0, GROUP == 1, GROUP >= -1]


def data(*sample: int) -> Tensor:
    return torch.randn(len(GROUP), *sample, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def record(model: nn.Module, x: Tensor, **options: object) -> SpectraRecorder:
    recorder = SpectraRecorder(model, NAMES, **{"extras": ["vectors"], **options})
    with recorder.step(GROUP):
        model(x).sin().sum().backward()
    return recorder


def norms(recorder: SpectraRecorder, node: str) -> list[float]:
    values = recorder.spectra()[node]["gradient"].values[0]
    assert values.shape == (3, 1)
    return values[:, 0].tolist()


def test_a_named_normalisation_is_recorded_without_the_extra() -> None:
    model = nn.Sequential(nn.Linear(5, 4), nn.LayerNorm(4)).double()
    recorder = record(model, data(5), layers=["0", "1"], extras=())
    assert set(recorder.spectra().children) == {"0.weight", "1.weight", "1.bias"}
    assert recorder.report()["1.weight"].shape == "4×1"
    assert "extras=['vectors']" in recorder.report()["0.bias"].note


@pytest.mark.parametrize("shape", [(5,), (5, 3)])
@pytest.mark.filterwarnings("ignore:batch normalisation")
def test_batch_norm_in_training_gives_each_group_its_rows_share(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(5).double()
    nn.init.normal_(norm.weight)
    x = data(*shape)
    _, delta = rows_of(norm, lambda: norm(x).sin().sum())
    dims = [0, *range(2, x.ndim)]
    mean, variance = x.mean(dims, keepdim=True), x.var(dims, keepdim=True, unbiased=False)
    standardised = (x - mean) / (variance + norm.eps).sqrt()
    before = norm.num_batches_tracked.item()
    recorder = record(norm, x)
    assert norm.num_batches_tracked.item() == before + 1
    for local, rows in (("weight", delta * standardised), ("bias", delta)):
        expected = [rows[members].sum(dims).norm().item() for members in MEMBERS]
        assert norms(recorder, local) == pytest.approx(expected, rel=1e-9)


@pytest.mark.filterwarnings("ignore:batch normalisation")
def test_running_statistics_and_outputs_are_those_of_the_bare_module() -> None:
    bare, norm = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    x = data(3, 4, 4).float()
    expected = bare(x)
    expected.sin().sum().backward()
    record(norm, x)
    for name, value in bare.state_dict().items():
        assert torch.equal(norm.state_dict()[name], value)
    for ours, theirs in zip(norm.parameters(), bare.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)


def test_a_weight_of_zeros_has_its_gradient() -> None:
    """The standardised input is not the output divided by the weight."""
    norm = nn.LayerNorm(4).double()
    nn.init.zeros_(norm.weight)
    recorder = record(norm, data(4))
    assert norms(recorder, "weight")[-1] == pytest.approx(norm.weight.grad.norm().item(), rel=1e-9)


def test_statistics_that_change_after_forward_do_no_harm() -> None:
    norm = nn.InstanceNorm1d(4, affine=True, track_running_stats=True).double().eval()
    recorder = SpectraRecorder(norm, NAMES, extras=["vectors"])
    with recorder.step(GROUP):
        loss = norm(data(4, 3)).sin().sum()
        norm.running_mean += 3
        loss.backward()
    assert norms(recorder, "weight")[-1] == pytest.approx(norm.weight.grad.norm().item(), rel=1e-9)


@pytest.mark.parametrize("layer", ["weight", "bias"])
def test_one_frozen_vector_leaves_the_other(layer: str) -> None:
    norm = nn.GroupNorm(2, 4).double()
    norm.get_parameter(layer).requires_grad_(False)
    recorder = record(norm, data(4, 3))
    assert recorder.report()[layer].note == "frozen"
    other = {"weight": "bias", "bias": "weight"}[layer]
    assert norms(recorder, other)[-1] == pytest.approx(norm.get_parameter(other).grad.norm().item(), rel=1e-9)


@pytest.mark.parametrize("build", [lambda: nn.Linear(4, 3), lambda: nn.Conv1d(4, 3, 1), lambda: nn.LSTM(4, 3)])
def test_the_bias_of_a_frozen_weight_is_recorded(build: object) -> None:
    layer = build().double()
    for name, parameter in layer.named_parameters():
        parameter.requires_grad_("bias" in name)
    x = data(4, 5) if isinstance(layer, nn.Conv1d) else data(5, 4)
    if isinstance(layer, nn.LSTM):
        model = nn.Sequential(nn.Identity(), layer)
        recorder = SpectraRecorder(model, NAMES, extras=["vectors"])
        with recorder.step(GROUP):
            model(x.transpose(0, 1))[0].sin().sum().backward()
        prefix, layer = "1.", model[1]
    else:
        recorder, prefix = record(layer, x), ""
    for name, parameter in layer.named_parameters():
        if parameter.requires_grad:
            assert norms(recorder, prefix + name)[-1] == pytest.approx(parameter.grad.norm().item(), rel=1e-9)
        else:
            assert parameter.grad is None
    with pytest.raises(Exception, match="no layer"):
        SpectraRecorder(layer, NAMES)


def test_a_gradient_of_the_input_alone_does_not_count() -> None:
    model = nn.Sequential(nn.Linear(5, 4), nn.LayerNorm(4)).double()
    recorder = SpectraRecorder(model, NAMES, extras=["vectors"])
    with recorder.step(GROUP):
        saliency = data(5).requires_grad_()
        torch.autograd.grad(model(saliency).sum(), saliency)
        model(data(5)).sin().sum().backward()
    for name in ("0.bias", "1.weight", "1.bias"):
        assert norms(recorder, name)[-1] == pytest.approx(model.get_parameter(name).grad.norm().item(), rel=1e-9)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_vectors_count_once(reentrant: bool) -> None:
    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(5, 4)
            self.norm = nn.LayerNorm(4)

        def forward(self, x: Tensor) -> Tensor:
            return checkpoint(self.norm, self.first(x), use_reentrant=reentrant)

    model = Checkpointed().double()
    recorder = record(model, data(5))
    for name in ("first.bias", "norm.weight", "norm.bias"):
        assert norms(recorder, name)[-1] == pytest.approx(model.get_parameter(name).grad.norm().item(), rel=1e-9)


def test_forward_without_grad_is_not_recorded() -> None:
    norm = nn.LayerNorm(4).double()
    recorder = SpectraRecorder(norm, NAMES, extras=["vectors"])
    with pytest.raises(NothingCapturedError), recorder.step(GROUP), torch.no_grad():
        norm(data(4))


@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (nn.InstanceNorm1d(6, affine=True), (4,)),
        (nn.InstanceNorm2d(6, affine=True), (4, 3)),
        (nn.LayerNorm((6, 4)), (4,)),
        (nn.BatchNorm1d(4), (3, 4)),
    ],
    ids=["unbatched_1d", "unbatched_2d", "no_batch", "flattened"],
)
@pytest.mark.filterwarnings("ignore:batch normalisation")
def test_rows_without_the_batch_in_its_place_are_refused(norm: nn.Module, shape: tuple[int, ...]) -> None:
    x = data(*shape).float()
    x = x.flatten(0, 1) if isinstance(norm, nn.BatchNorm1d) else x
    with pytest.raises(RowsError):
        record(norm, x)


def test_an_unbatched_sequence_in_a_transformer_is_refused() -> None:
    """As long as the batch: its times would be taken for samples."""
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, dropout=0).double()
    for name in ("norm1", "linear1"):
        recorder = SpectraRecorder(layer, NAMES, layers=[name])
        with pytest.raises(RowsError, match="no batch of sequences"), recorder.step(GROUP):
            layer(data(4))
        recorder.detach()


def test_a_time_major_model_does_not_guess() -> None:
    model = nn.Sequential(nn.LayerNorm(4), nn.GRU(4, 4)).double()
    for times in (5, 6):
        recorder = SpectraRecorder(model, NAMES, layers=["0"])
        with pytest.raises(RowsError), recorder.step(GROUP):
            model(data(times, 4).transpose(0, 1))
        recorder.detach()


def test_vectors_without_affine_parameters_are_nothing_to_record() -> None:
    model = nn.Sequential(nn.Linear(5, 4, bias=False), nn.LayerNorm(4, elementwise_affine=False)).double()
    assert set(record(model, data(5)).spectra().children) == {"0.weight"}
    with pytest.raises(UnsupportedError, match="no parameters"):
        SpectraRecorder(nn.Sequential(model[1], nn.Linear(4, 2)), NAMES, layers=["0"])
