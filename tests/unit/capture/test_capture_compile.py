"""Models compiled after the recorder came: right spectra in every recorded step, and no endless compiling."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from capture_cases import CASE, GROUPS
from capture_reference import assert_step_equal, naive_spectra
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend

from gradspec.capture import NothingCapturedError, SpectraRecorder, UnsupportedError

NAMES = ["control", "patient"]
LABELS = [torch.tensor(GROUPS[pattern]) for pattern in ("mixed", "rest", "sorted")]

MODELS = [
    "linear", "linear_wide", "linear_4d", "conv2d_groups", "lstm", "gru_cell", "encoder", "embedding", "linear_vectors",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def train(recorder: SpectraRecorder, model: nn.Module, run: nn.Module, x: Tensor, y: Tensor, steps: int) -> list[dict]:
    """Take steps with a copy `run` of the model; gives the spectra expected of those that are recorded."""
    nodes = {row.parameter for row in recorder.report() if row.status == "captured"}
    expected = []
    for index in range(steps):
        group = LABELS[index % len(LABELS)]
        naive = naive_spectra(model, x, y, group, len(NAMES), extras=("embedding", "vectors"))
        with recorder.step(group) as step:
            F.cross_entropy(run(x), y).backward()
        if step.recorded:
            expected.append({node: naive[node] for node in nodes})
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.1 * parameter.grad
                parameter.grad = None
    return expected


@pytest.mark.parametrize(("backend", "every"), [("eager", 2), ("aot_eager", 1)])
@pytest.mark.parametrize("name", MODELS)
def test_spectra_are_right_and_compilation_ends(name: str, backend: str, every: int) -> None:
    model, x, y = CASE[name].make()
    recorder = SpectraRecorder(model, NAMES, every=every, extras=CASE[name].extras)
    counter = CompileCounterWithBackend(backend)
    compiled = torch.compile(model, backend=counter)
    expected = train(recorder, model, compiled, x, y, 2 * every)
    compilations = counter.frame_count
    expected += train(recorder, model, compiled, x, y, 4)
    assert counter.frame_count == compilations
    spectra = recorder.spectra()
    assert spectra.sizes["step"] == len(expected)
    for step, of_step in enumerate(expected):
        assert_step_equal(spectra, of_step, step)


@pytest.mark.parametrize(
    ("name", "backend"), [("linear_4d", "aot_eager"), *((name, "eager") for name in ("linear", "lstm", "encoder"))]
)
def test_a_copy_that_was_compiled_and_used_before_gives_right_numbers_or_an_error(name: str, backend: str) -> None:
    model, x, y = CASE[name].make()
    compiled = torch.compile(model, backend=backend)
    F.cross_entropy(compiled(x), y).backward()
    model.zero_grad()
    recorder = SpectraRecorder(model, NAMES, extras=CASE[name].extras)
    try:
        expected = train(recorder, model, compiled, x, y, 3)
    except (NothingCapturedError, UnsupportedError):
        return
    for step, of_step in enumerate(expected):
        assert_step_equal(recorder.spectra(), of_step, step)


def test_a_copy_goes_on_after_detach() -> None:
    model, x, y = CASE["linear_4d"].make()
    recorder = SpectraRecorder(model, NAMES)
    compiled = torch.compile(model, backend="aot_eager")
    train(recorder, model, compiled, x, y, 2)
    recorder.detach()
    torch.testing.assert_close(compiled(x), model(x))
    F.cross_entropy(compiled(x), y).backward()
    assert recorder.spectra().sizes["step"] == 2


def test_batches_of_other_sizes_are_recorded_too() -> None:
    model, x, y = CASE["linear_4d"].make()
    recorder = SpectraRecorder(model, NAMES)
    compiled = torch.compile(model, backend="eager")
    group = LABELS[0]
    for step, size in enumerate((7, 3, 5, 7)):
        expected = naive_spectra(model, x[:size], y[:size], group[:size], len(NAMES))
        with recorder.step(group[:size]):
            F.cross_entropy(compiled(x[:size]), y[:size]).backward()
        assert_step_equal(recorder.spectra(), expected, step)


def test_a_compiled_part_of_the_model_is_refused_when_the_recorder_comes() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh())
    model[0].compile(backend="eager")
    with pytest.raises(UnsupportedError, match="module '0' is compiled"):
        SpectraRecorder(model, NAMES)


def test_compiling_the_loss_with_the_model_is_right() -> None:
    model, x, y = CASE["linear_wide"].make()
    recorder = SpectraRecorder(model, NAMES)

    @torch.compile(backend="aot_eager")
    def loss_of(inputs: Tensor, classes: Tensor) -> Tensor:
        return F.cross_entropy(model(inputs), classes)

    expected = naive_spectra(model, x, y, LABELS[0], len(NAMES))
    for _ in range(2):
        with recorder.step(LABELS[0]):
            loss_of(x, y).backward()
    assert_step_equal(recorder.spectra(), expected, 1)
