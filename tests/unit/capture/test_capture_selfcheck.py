"""A weight that is also used in another way than through its layer: the recorder says that its spectrum lacks that."""

import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from capture_cases import CASES, GROUPS, PARAMETRISED, Case
from low_precision import skip_without_low_precision_lstm
from torch import Tensor, nn

from gradspec.capture import SpectraRecorder

NAMES = ["control", "patient"]
GROUP = torch.tensor(GROUPS["rest"])

pytestmark = [
    pytest.mark.filterwarnings("ignore:Using padding"),
    pytest.mark.filterwarnings("ignore:LSTM with projections"),
]


def network() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(9, 8), nn.Tanh(), nn.Linear(8, 3)), torch.randn(len(GROUP), 9)


def run(recorder: SpectraRecorder, loss: Callable[[], Tensor]) -> None:
    with recorder.step(GROUP):
        loss().backward()


@pytest.mark.parametrize("case", [*CASES, PARAMETRISED], ids=lambda case: case.name)
@pytest.mark.parametrize("low", [False, True], ids=["float32", "bfloat16"])
def test_no_layer_is_accused_falsely(case: Case, low: bool) -> None:
    if low and case.name.startswith("lstm"):
        skip_without_low_precision_lstm()
    model, x, y = case.make(torch.float32)
    recorder = SpectraRecorder(model, NAMES, extras=case.extras)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="the gradient of")
        with recorder.step(GROUP):
            with torch.autocast("cpu", torch.bfloat16, enabled=low):
                output = model(x)
            F.cross_entropy(output.float(), y).backward()


@pytest.mark.parametrize(
    "other",
    [
        lambda model, x: 1e-2 * model[0].weight.square().sum(),
        lambda model, x: (x @ model[0].weight.T).square().mean(),
        lambda model, x: 0.1 * torch.linalg.matrix_norm(model[0].weight, 2),
    ],
    ids=["penalty", "functional", "spectral_penalty"],
)
def test_another_use_of_a_weight_is_told_once(other: Callable[[nn.Module, Tensor], Tensor]) -> None:
    model, x = network()
    recorder = SpectraRecorder(model, NAMES)
    with pytest.warns(UserWarning, match=r"the gradient of 0\.weight .* %.*also used in another way") as caught:
        run(recorder, lambda: model(x).square().mean() + other(model, x))
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(recorder, lambda: model(x).square().mean() + other(model, x))


def test_a_layer_of_which_only_a_penalty_is_left_is_told_so() -> None:
    model, x = network()
    with pytest.warns(UserWarning, match="1e"):
        run(SpectraRecorder(model, NAMES), lambda: 1e-9 * model(x).square().mean() + model[0].weight.square().sum())


def test_gradients_that_are_there_already_or_are_changed_before_the_step_ends_are_no_matter() -> None:
    model, x = network()
    model(x).sum().backward()
    recorder = SpectraRecorder(model, NAMES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with recorder.step(GROUP):
            model(x).square().mean().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1e-6)


def test_a_hook_that_changes_a_gradient_is_no_matter() -> None:
    model, x = network()
    model[0].weight.register_hook(lambda gradient: 2 * gradient)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(SpectraRecorder(model, NAMES), lambda: model(x).square().mean())


def test_accumulation_scaling_and_kept_samples_are_no_matter() -> None:
    model, x = network()
    scaler = torch.amp.GradScaler("cpu")
    recorder = SpectraRecorder(model, NAMES, scaler=scaler, keep_grams=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with recorder.accumulate() as step:
            for scale in (1, 10):
                with step.batch(GROUP):
                    scaler.scale(scale * model(x).square().mean()).backward()


def test_a_sparse_gradient_is_checked_too() -> None:
    model = nn.Sequential(nn.Embedding(50, 4, sparse=True), nn.Flatten(), nn.Linear(12, 3))
    ids = torch.arange(21).remainder(8).reshape(7, 3)
    recorder = SpectraRecorder(model, NAMES, extras=["embedding"])
    with pytest.warns(UserWarning, match=r"the gradient of 0\.weight"):
        run(recorder, lambda: model(ids).mean() + torch.embedding(model[0].weight, ids, sparse=True).square().sum())


def test_the_parameters_are_left_without_hooks() -> None:
    model, x = network()
    recorder = SpectraRecorder(model, NAMES)
    with pytest.raises(ZeroDivisionError), recorder.step(GROUP):
        raise ZeroDivisionError
    run(recorder, lambda: model(x).square().mean())
    assert not any(parameter._backward_hooks for parameter in model.parameters())
