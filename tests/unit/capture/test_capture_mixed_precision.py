"""Mixed precision: training is that of the bare model, and spectra are those of the rows in low precision."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from capture_cases import CASE, CASES, GROUPS, Case
from capture_reference import (
    assert_spectra_equal,
    assert_step_equal,
    blocks,
    conv_rows,
    naive_spectra,
    rows_of,
    spectra_of,
)
from low_precision import skip_without_low_precision_lstm
from torch import Tensor, nn

from gradspec.capture import SpectraRecorder

NAMES = ["control", "patient"]
GROUP = torch.tensor(GROUPS["rest"])
KINDS = ("gradient", "activation", "delta")
LOW = [torch.bfloat16, torch.float16]

pytestmark = [
    pytest.mark.filterwarnings("ignore:Using padding"),
    pytest.mark.filterwarnings("ignore:LSTM with projections"),
]


def loss_of(model: nn.Module, x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
    with torch.autocast("cpu", dtype):
        output = model(x)
    return F.cross_entropy(output.float(), y)


def bare_gradients(model: nn.Module, x: Tensor, y: Tensor, dtype: torch.dtype) -> dict[str, Tensor]:
    loss_of(model, x, y, dtype).backward()
    gradients = {
        name: parameter.grad.to_dense() for name, parameter in model.named_parameters() if parameter.grad is not None
    }
    model.zero_grad()
    return gradients


# Models in which a weight is used several times: its gradients are summed in float32 with the recorder, where autocast,
# which casts a weight once, sums them in low precision.
SUMMED = ("lstm", "gru", "rnn", "cell", "linear_shared", "tied")


@pytest.mark.parametrize(
    ("case", "dtype"),
    [
        pytest.param(case, dtype, id=f"{case.name}-{dtype}")
        for case in CASES
        for dtype in LOW
        if not (case.name.startswith("lstm") and dtype == torch.float16)  # which PyTorch lacks on the CPU
    ],
)
def test_the_optimiser_gets_the_gradients_of_the_bare_model(case: Case, dtype: torch.dtype) -> None:
    """Bitwise, but where several uses of a weight are summed."""
    if case.name.startswith("lstm"):
        skip_without_low_precision_lstm()
    model, x, y = case.make(torch.float32)
    expected = bare_gradients(model, x, y, dtype)
    recorder = SpectraRecorder(model, NAMES, extras=case.extras)
    with recorder.step(GROUP):
        loss_of(model, x, y, dtype).backward()
    for name, gradient in expected.items():
        actual = model.get_parameter(name).grad.to_dense()
        if case.name.startswith(SUMMED):
            assert (actual - gradient).norm() <= 5e-2 * gradient.norm() + 1e-6, name
        else:
            assert torch.equal(actual, gradient), name


@pytest.mark.parametrize("dtype", LOW, ids=str)
@pytest.mark.parametrize(
    ("name", "layer", "tolerance"),
    [
        ("linear_wide", "0", 1e-12),
        ("linear_3d_few_rows", "body", 1e-12),
        ("linear_4d", "body", 1e-6),
        ("conv2d", "body", 1e-6),
    ],
)
def test_spectra_are_those_of_the_rows_in_low_precision(
    name: str, layer: str, tolerance: float, dtype: torch.dtype
) -> None:
    model, x, y = CASE[name].make(torch.float32)
    module = model.get_submodule(layer)
    h, delta = rows_of(module, lambda: loss_of(model, x, y, dtype))
    h = h.to(dtype).double()
    assert delta.dtype == dtype
    h, delta = conv_rows(module, h, delta.double()) if isinstance(module, nn.Conv2d) else (h, delta.double())
    recorder = SpectraRecorder(model, NAMES, kinds=KINDS)
    with recorder.step(GROUP):
        loss_of(model, x, y, dtype).backward()
    node = recorder.spectra()[f"{layer}.weight"]
    for position, member in enumerate([GROUP == 0, GROUP == 1, GROUP >= -1]):
        h_g, delta_g = h[member].flatten(0, -2), delta[member].flatten(0, -2)
        expected = {"gradient": delta_g.mT @ h_g, "activation": h_g, "delta": delta_g}
        for kind in KINDS:
            assert_spectra_equal(
                node[kind].values[0, position], torch.linalg.svdvals(expected[kind]).numpy(), tolerance
            )


@pytest.mark.parametrize(
    "name", ["conv1d", "conv2d_groups", "lstm", "gru", "lstm_cell", "attention", "attention_dims", "encoder"]
)
def test_pooled_is_the_gradient_that_training_sees_within_low_precision(name: str) -> None:
    model, x, y = CASE[name].make(torch.float32)
    expected = spectra_of([blocks(model, bare_gradients(model, x, y, torch.bfloat16))])
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(GROUP):
        loss_of(model, x, y, torch.bfloat16).backward()
    spectra = recorder.spectra()
    for node, (values,) in expected.items():
        recorded = np.nan_to_num(spectra[node]["gradient"].values[0, -1])
        size = min(len(recorded), len(values))
        assert np.abs(recorded[:size] - values[:size]).max() <= 2e-2 * values[0]


def test_layers_outside_autocast_keep_their_precision() -> None:
    model, x, y = CASE["linear_wide"].make(torch.float32)
    double = model[:2].double()
    expected = naive_spectra(nn.Sequential(*double, *model[2:].double()), x.double(), y, GROUP, 2)
    model = nn.Sequential(*double, *model[2:])
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(GROUP):
        with torch.autocast("cpu", torch.bfloat16):
            output = model(x.double())  # which autocast leaves alone
        F.cross_entropy(output, y).backward()
    assert_step_equal(recorder.spectra(), expected)


def scaled_step(
    recorder: SpectraRecorder,
    scaler: torch.amp.GradScaler,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[], Tensor],
) -> None:
    with recorder.step(GROUP):
        scaler.scale(loss()).backward()
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()


@pytest.mark.parametrize("name", ["linear_wide", "linear_4d", "conv2d", "lstm", "embedding", "layer_norm"])
def test_the_scale_of_the_loss_is_taken_out(name: str) -> None:
    model, x, y = CASE[name].make(torch.float64)
    expected = naive_spectra(model, x, y, GROUP, len(NAMES), CASE[name].extras)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12, growth_interval=1)
    recorder = SpectraRecorder(model, NAMES, extras=CASE[name].extras, scaler=scaler)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    for _ in range(3):  # at growing scales
        scaled_step(recorder, scaler, optimizer, lambda: F.cross_entropy(model(x), y))
    assert scaler.get_scale() == 2.0**15
    for step in range(3):
        assert_step_equal(recorder.spectra(), expected, step)


def test_the_scale_of_the_loss_leaves_inputs_alone() -> None:
    model, x, y = CASE["linear_wide"].make()
    spectra = []
    for scale in (1.0, 2.0**16):
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        optimizer = torch.optim.SGD(model.parameters(), 0.0)
        with SpectraRecorder(model, NAMES, kinds=KINDS, scaler=scaler) as recorder:
            scaled_step(recorder, scaler, optimizer, lambda: F.cross_entropy(model(x), y))
        spectra.append(recorder.spectra())
    for kind in KINDS:
        first, second = (tree["0.weight"][kind].values for tree in spectra)
        np.testing.assert_allclose(first, second, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("name", ["linear_wide", "linear_4d", "conv2d"])
def test_a_step_that_overflows_is_nan_and_training_goes_on(name: str, keep: bool) -> None:
    model, x, y = CASE[name].make(torch.float32)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40, backoff_factor=2.0**-30)
    recorder = SpectraRecorder(model, NAMES, scaler=scaler, keep_grams=keep)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    for _ in range(2):
        scaled_step(recorder, scaler, optimizer, lambda: loss_of(model, x, y, torch.float16))
        if scaler.get_scale() == 2.0**10 and recorder.spectra().sizes["step"] == 1:
            for parameter, value in zip(model.parameters(), before, strict=True):
                assert torch.equal(parameter, value)
    spectra = recorder.spectra()
    assert spectra["finite"].values.tolist() == [False, True]
    for node in spectra.leaves:
        assert np.isnan(node["gradient"].values[0]).all()
        assert np.isfinite(node["gradient"].values[1, :, 0]).all()
    if keep:
        assert recorder.regroup([GROUP.flip(0)] * 2)["finite"].values.tolist() == [False, True]


def test_a_model_in_low_precision_throughout_is_recorded_from_its_rows() -> None:
    model, x, y = CASE["linear_4d"].make(torch.bfloat16)
    h, delta = rows_of(model.body, lambda: F.cross_entropy(model(x), y))
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(GROUP):
        F.cross_entropy(model(x), y).backward()
    for position, member in enumerate([GROUP == 0, GROUP == 1, GROUP >= -1]):
        gradient = delta[member].flatten(0, -2).double().mT @ h[member].flatten(0, -2).double()
        recorded = recorder.spectra()["body.weight"]["gradient"].values[0, position]
        assert_spectra_equal(recorded, torch.linalg.svdvals(gradient).numpy(), 1e-6)
