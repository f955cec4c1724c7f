"""The recorder as a training loop sees it: what it returns, reports, refuses, and leaves behind."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import xarray as xr
from capture_cases import CASES
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from gradspec.capture import (
    AttachedTwiceError,
    CaptureError,
    GroupError,
    NothingCapturedError,
    SpectraRecorder,
    UnsupportedError,
)

NAMES = ["control", "patient"]
GROUP = torch.tensor([0, 1, 1, 0, -1])
X = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([0, 1, 2, 0, 1])


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 7), nn.LayerNorm(7), nn.Linear(7, 3))


def backward(model: nn.Module) -> Tensor:
    loss = F.cross_entropy(model(X), Y)
    loss.backward()
    return loss


def test_spectra_are_a_tree_with_a_node_a_parameter() -> None:
    model = network()
    recorder = SpectraRecorder(model, NAMES)
    for epoch in (0, 0, 1):
        with recorder.step(GROUP, epoch=epoch) as step:
            loss = backward(model)
            step.record(loss=loss, group_loss=[0.5, 1.5])
    spectra = recorder.spectra()
    assert set(spectra.children) == {"0.weight", "2.weight"}
    gradient = spectra["0.weight"]["gradient"]
    assert gradient.dims == ("step", "group", "index")
    assert gradient.dtype == np.float64
    assert gradient.shape == (3, 3, 5)
    assert spectra["group"].values.tolist() == ["control", "patient", "pooled"]
    assert spectra["n"].values.tolist() == [[2, 2, 5]] * 3
    assert spectra["epoch"].values.tolist() == [0, 0, 1]
    assert spectra["step"].values.tolist() == [0, 1, 2]
    np.testing.assert_allclose(spectra["loss"].values, loss.item())
    np.testing.assert_allclose(spectra["group_loss"].values[0], [0.5, 1.5, loss.item()])
    assert spectra["0.weight"].attrs == {"layer": "Linear", "shape": [7, 8], "route": "sample side"}


def test_a_tree_survives_a_file(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "encoder")
    model, x, y = case.make()
    recorder = SpectraRecorder(model, NAMES, kinds=("gradient", "delta"))
    with recorder.step(torch.tensor([0, 1, 0, 1, 0, 1, 1])):
        F.cross_entropy(model(x), y).backward()
    recorder.spectra().to_netcdf(tmp_path / "spectra.nc", engine="h5netcdf")
    with xr.open_datatree(tmp_path / "spectra.nc", engine="h5netcdf") as stored:
        xr.testing.assert_equal(stored.load(), recorder.spectra())
        assert set(stored["encoder.layers.0.self_attn.in_proj_weight"].children) == {"q", "k", "v"}


def test_spectra_before_the_first_step_are_empty() -> None:
    spectra = SpectraRecorder(network(), NAMES).spectra()
    assert spectra.sizes["step"] == 0
    assert "0.weight" in spectra.children


def test_batches_may_differ_in_size() -> None:
    model = network()
    recorder = SpectraRecorder(model, NAMES)
    for size in (5, 2):
        with recorder.step(GROUP[:size]):
            F.cross_entropy(model(X[:size]), Y[:size]).backward()
    gradient = recorder.spectra()["0.weight"]["gradient"]
    assert gradient.sizes["index"] == 5
    assert np.isfinite(gradient.values[1, -1]).tolist() == [True, True, False, False, False]


def test_every_k_th_step_is_recorded_and_the_others_are_plain() -> None:
    model = network()
    recorder = SpectraRecorder(model, NAMES, every=3)
    recorded = []
    for _ in range(7):
        with recorder.step(GROUP) as step:
            assert (F.linear is not torch._C._nn.linear) == step.recorded
            backward(model)
        recorded.append(step.recorded)
    assert recorded == [True, False, False, True, False, False, True]
    assert recorder.spectra()["step"].values.tolist() == [0, 3, 6]


def test_named_layers_only() -> None:
    recorder = SpectraRecorder(network(), NAMES, layers=["2"])
    assert set(recorder.spectra().children) == {"2.weight"}
    assert "not among the chosen layers" in recorder.report()["0.weight"].note


def test_report_covers_every_parameter_with_a_reason() -> None:
    class Everything(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(4, 3)
            self.norm = nn.LayerNorm(3)
            self.frozen = nn.Linear(3, 3).requires_grad_(False)
            self.first = nn.Linear(3, 3)
            self.tied = nn.Linear(3, 3)
            self.tied.weight = self.first.weight
            self.lstm = nn.LSTM(3, 3)
            self.cell = nn.LSTMCell(3, 3)
            self.normed = weight_norm(nn.Conv1d(3, 3, 2))
            self.attention = nn.MultiheadAttention(4, 2, add_bias_kv=True)
            self.free = nn.Parameter(torch.zeros(2, 2))
            self.transposed = nn.ConvTranspose1d(3, 3, 2)
            self.bilinear = nn.Bilinear(3, 3, 2)
            self.bag = nn.EmbeddingBag(4, 3)
            self.normed_lstm = weight_norm(nn.LSTM(3, 3), "weight_ih_l0")
            self.head = nn.Linear(3, 3)

    model = Everything()
    report = SpectraRecorder(model, NAMES, kinds=("gradient", "activation")).report()
    rows = {row.parameter.partition("/")[0] for row in report}
    assert rows >= {name for name, _ in model.named_parameters()}
    captured = {row.parameter.partition("/")[0] for row in report if row.status == "captured"}
    attention = {"attention.in_proj_weight", "attention.out_proj.weight"}
    recurrent = {"lstm.weight_ih_l0", "lstm.weight_hh_l0", "cell.weight_ih", "cell.weight_hh"}
    assert captured == {
        "head.weight",
        "first.weight",
        "normed.weight",
        *attention,
        *recurrent,
        "transposed.weight",
        "bilinear.weight",
    }
    for parameter, reason in {
        "embedding.weight": "on request: extras=['embedding']",
        "norm.weight": "on request: extras=['vectors']",
        "head.bias": "on request: extras=['vectors']",
        "bag.weight": "EmbeddingBag are not recorded",
        "normed_lstm.parametrizations.weight_ih_l0.original1": "a parametrised LSTM is not recorded",
        "attention.bias_k": "vector",
        "frozen.weight": "frozen",
        "first.weight": "'first.weight' is summed with its use in 'tied'",
        "normed.parametrizations.weight.original1": "captured as 'normed.weight'",
        "free": "Everything are not recorded",
        "lstm.weight_ih_l0": "no activation",
    }.items():
        assert reason in report[parameter].note
    assert [report[name].dtype for name in ("head.weight", "free", "normed.weight")] == ["float32", "float32", ""]
    assert len(str(report).splitlines()) == len(report) + 2
    with pytest.raises(KeyError):
        report["nothing"]


def test_nothing_is_left_on_the_model() -> None:
    model = network()
    before = {name: set(vars(module)) for name, module in model.named_modules()}
    keys = list(model.state_dict())
    with SpectraRecorder(model, NAMES) as recorder:
        with recorder.step(GROUP):
            assert list(model.state_dict()) == keys
            assert [name for name, _ in model.named_parameters()] == keys
            backward(model)
        assert {name: set(vars(module)) for name, module in model.named_modules()} == before
        pickle.dumps(model)
        copy.deepcopy(model)
    with pytest.raises(CaptureError, match="detached"), recorder.step(GROUP):
        pass
    assert recorder.spectra()["n"].sizes["step"] == 1
    SpectraRecorder(model, NAMES)


def test_an_error_in_the_block_leaves_model_and_recorder_usable() -> None:
    model = network()
    recorder = SpectraRecorder(model, NAMES)
    with pytest.raises(ZeroDivisionError), recorder.step(GROUP):
        raise ZeroDivisionError
    assert "forward" not in vars(model[0])
    with recorder.step(GROUP):
        backward(model)
    assert recorder.spectra()["step"].values.tolist() == [1]


def test_a_model_outside_a_step_is_not_recorded() -> None:
    model = network()
    recorder = SpectraRecorder(model, NAMES)
    backward(model)
    assert recorder.spectra().sizes["step"] == 0


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ([0, 1, 1, 0, 1], "not list"),
        (GROUP.float(), "integers"),
        (GROUP > 0, "integers"),
        (GROUP[None], "one entry a sample"),
        (torch.tensor([], dtype=torch.int64), "one entry a sample"),
        (torch.tensor([0, 2]), r"-1 … 1"),
        (torch.tensor([0, -2]), r"-1 … 1"),
    ],
)
def test_wrong_labels_are_refused_before_the_block_runs(group: object, message: str) -> None:
    recorder = SpectraRecorder(network(), NAMES)
    with pytest.raises(GroupError, match=message), recorder.step(group):
        pytest.fail("the block must not run")


def test_labels_of_the_wrong_length_are_refused() -> None:
    model = network()
    recorder = SpectraRecorder(model, NAMES)
    with pytest.raises(ValueError, match="batch of 4 samples"), recorder.step(GROUP[:4]):
        backward(model)


def test_a_step_without_backward_is_an_error() -> None:
    model = network()
    recorder = SpectraRecorder(model, NAMES)
    with pytest.raises(NothingCapturedError, match=r"0\.weight, 2\.weight"), recorder.step(GROUP):
        model(X)


def test_forward_before_the_step_is_an_error() -> None:
    model = network()
    recorder = SpectraRecorder(model, NAMES)
    output = model(X)
    with pytest.raises(NothingCapturedError), recorder.step(GROUP):
        output.sum().backward()


def test_a_layer_that_a_step_leaves_out_is_nan_in_that_step() -> None:
    model = network()
    recorder = SpectraRecorder(model, NAMES)
    for run in (lambda: model[0](X).sum(), lambda: model(X).sum(), lambda: model[0](X).sum()):
        with recorder.step(GROUP):
            run().backward()
    first = recorder.spectra()["2.weight"]["gradient"].values[:, :, 0]
    assert np.isfinite(first).all(axis=1).tolist() == [False, True, False]
    assert np.isfinite(recorder.spectra()["0.weight"]["gradient"].values[:, :, 0]).all()
    assert recorder.spectra()["finite"].values.all()


def test_a_second_recorder_must_wait_for_detach() -> None:
    model = network()
    recorder = SpectraRecorder(model, NAMES)
    with pytest.raises(AttachedTwiceError):
        SpectraRecorder(model, NAMES)
    recorder.detach()
    recorder.detach()
    second = SpectraRecorder(model, NAMES)
    del second
    SpectraRecorder(model, NAMES)


@pytest.mark.parametrize(("losses", "pooled"), [([1.0, 2.0], 1.5), ([1.0, 2.0, 1.4], 1.4)])
def test_pooled_loss_is_that_of_the_batch_unless_given(losses: list[float], pooled: float) -> None:
    model = network()
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(GROUP) as step:
        backward(model)
        step.record(loss=1.5, group_loss=losses)
    assert recorder.spectra()["group_loss"].values.tolist() == [[1.0, 2.0, pooled]]


def test_losses_must_fit_the_groups() -> None:
    model = network()
    recorder = SpectraRecorder(model, NAMES)
    with pytest.raises(CaptureError, match="group_loss has 1 values"), recorder.step(GROUP) as step:
        backward(model)
        step.record(group_loss=[1.0])


def test_steps_do_not_nest() -> None:
    recorder = SpectraRecorder(network(), NAMES)
    with pytest.raises(CaptureError, match="open already"), recorder.step(GROUP), recorder.step(GROUP):
        pass


@pytest.mark.parametrize(
    "options",
    [
        {"groups": []},
        {"groups": "control"},
        {"groups": ["a", "a"]},
        {"groups": ["a", "pooled"]},
        {"kinds": ()},
        {"kinds": ("hessian",)},
        {"every": 0},
        {"layers": "all"},
        {"layers": ["9"]},
        {"layers": []},
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(CaptureError):
        SpectraRecorder(network(), **{"groups": NAMES, **options})


def test_a_layer_that_cannot_be_recorded_is_refused_by_name() -> None:
    model = nn.Sequential(nn.EmbeddingBag(8, 8), nn.Linear(8, 3))
    with pytest.raises(UnsupportedError, match="layers of kind EmbeddingBag"):
        SpectraRecorder(model, NAMES, layers=["0"])
    assert "kind EmbeddingBag" in SpectraRecorder(model, NAMES).report()["0.weight"].note


def test_a_model_that_is_not_initialised_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="not initialised"):
        SpectraRecorder(nn.LazyLinear(3), NAMES)


def test_a_model_with_nothing_to_record_is_refused() -> None:
    with pytest.raises(CaptureError, match="no layer to record"):
        SpectraRecorder(nn.LayerNorm(3), NAMES)


def test_the_share_that_is_recorded_is_told_and_a_small_one_warned_of() -> None:
    assert SpectraRecorder(nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3)), NAMES).report().share == 1
    model = nn.Sequential(nn.Embedding(20, 8), nn.Linear(8, 5))
    with pytest.warns(UserWarning, match=r"only 20\.0%.*0\.weight \(recorded on request"):
        recorder = SpectraRecorder(model, NAMES)
    assert str(recorder.report()).endswith("recorded: 20.0% of the entries of trained weights")
    recorder.detach()
    assert SpectraRecorder(model, NAMES, extras=["embedding"]).report().share == 1


def test_excluded_modules_are_left_out_with_all_within() -> None:
    model = nn.Sequential(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 7)), nn.Linear(7, 3))
    recorder = SpectraRecorder(model, NAMES, exclude=["0"])
    assert set(recorder.spectra().children) == {"1.weight"}
    assert recorder.report()["0.1.weight"].note == "excluded"
    with pytest.raises(CaptureError, match="exclude names '9'"):
        SpectraRecorder(network(), NAMES, exclude=["9"])


def test_messages_list_at_most_ten_names() -> None:
    model = nn.ModuleList(nn.Linear(3, 3) for _ in range(2000))
    recorder = SpectraRecorder(model, NAMES)
    with pytest.raises(NothingCapturedError, match="and 1990 more") as caught, recorder.step(GROUP):
        pass
    assert len(str(caught.value)) < 500
