"""``definition="loss"``: the gradient of each group's own share of the loss, through whatever samples share."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from capture_cases import CASE, GROUPS, Convolutional
from capture_reference import assert_step_equal, assert_trees_close, naive_gradients, naive_spectra
from torch import Tensor, nn

from gradspec.capture import CaptureError, SpectraRecorder

NAMES = ["control", "patient"]
X = torch.randn(7, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
IMAGES = torch.randn(7, 2, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
Y = torch.tensor([0, 1, 2, 0, 1, 2, 1])

# Models in which samples meet, and what they see.
MEETING: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    "linear": (lambda: nn.Sequential(nn.Linear(8, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 3)), X),
    "few_rows": (lambda: nn.Sequential(nn.Linear(8, 40), nn.BatchNorm1d(40), nn.Linear(40, 40), nn.Linear(40, 3)), X),
    "conv": (lambda: Convolutional(nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)), 4), IMAGES),
}


def losses_of(model: nn.Module, x: Tensor) -> Tensor:
    return F.cross_entropy(model(x), Y, reduction="none")


def record(model: nn.Module, x: Tensor, group: Tensor, reduction: str = "mean", **options: object) -> SpectraRecorder:
    recorder = SpectraRecorder(model, NAMES, definition="loss", **options)
    with recorder.step(group) as step:
        step.backward(losses_of(model, x), reduction)
    return recorder


@pytest.mark.parametrize("pattern", GROUPS)
@pytest.mark.parametrize("name", MEETING)
def test_spectra_equal_those_of_a_backward_pass_a_group_through_the_pooled_statistics(name: str, pattern: str) -> None:
    build, x = MEETING[name]
    torch.manual_seed(0)
    model, group = build().double(), torch.tensor(GROUPS[pattern])
    expected = naive_spectra(model, x, Y, group, len(NAMES))
    spectra = record(model, x, group).spectra()
    assert spectra.attrs["group_definition"] == "loss"
    assert spectra.attrs["batch_norm_in_training"] == 1
    assert_step_equal(spectra, expected)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", MEETING)
def test_the_optimiser_gets_the_gradient_of_the_whole_loss(name: str, reduction: str) -> None:
    build, x = MEETING[name]
    torch.manual_seed(0)
    model = build().double()
    expected = naive_gradients(model, x, Y, torch.zeros(7), 0)[-1]
    record(model, x, torch.tensor(GROUPS["rest"]), reduction)
    for parameter, gradient in expected.items():
        gradient = gradient * (1 if reduction == "mean" else len(Y))
        torch.testing.assert_close(model.get_parameter(parameter).grad, gradient, rtol=1e-10, atol=1e-12)


def test_the_two_definitions_differ_where_samples_meet() -> None:
    build, x = MEETING["linear"]
    model, group = build().double(), torch.tensor(GROUPS["mixed"])
    by_loss = record(model, x, group)
    by_loss.detach()
    recorder = SpectraRecorder(model, NAMES)
    with pytest.warns(UserWarning, match="batch normalisation"), recorder.step(group) as step:
        step.backward(losses_of(model, x))
    first, second = (each.spectra()["0.weight"]["gradient"].values[0] for each in (by_loss, recorder))
    assert (np.abs(first[:2, 0] - second[:2, 0]) > 1e-2 * second[:2, 0]).all()
    np.testing.assert_allclose(first[2, :7], second[2, :7], rtol=0, atol=1e-7 * second[2, 0])


@pytest.mark.parametrize(
    "name", ["linear_wide", "linear_4d", "lstm_deep", "conv2d_groups", "encoder", "embedding", "gru_cell"]
)
def test_without_batch_normalisation_both_definitions_agree(name: str) -> None:
    model, x, y = CASE[name].make()
    group = torch.tensor(GROUPS["rest"])
    trees = []
    for definition in ("loss", "rows"):
        with SpectraRecorder(model, NAMES, definition=definition, extras=CASE[name].extras) as recorder:
            with recorder.step(group) as step:
                step.backward(F.cross_entropy(model(x), y, reduction="none"))
            trees.append(recorder.spectra())
    assert_trees_close(*trees, {"sample side": 5e-7, "parameter side": 5e-7})


def test_activations_and_deltas_of_a_group_are_those_of_its_own_pass() -> None:
    build, x = MEETING["linear"]
    model, group = build().double(), torch.tensor(GROUPS["mixed"])
    spectra = record(model, x, group, kinds=("activation", "delta")).spectra()
    # Every pass sees the inputs of all samples.
    expected = torch.linalg.svdvals(x).numpy()
    for label in (0, 1):
        recorded = spectra["0.weight"]["activation"].values[0, label]
        np.testing.assert_allclose(recorded[: len(expected)], expected, rtol=1e-6, atol=1e-7)


def test_accumulated_batches_add_up() -> None:
    build, x = MEETING["linear"]
    torch.manual_seed(0)
    model, group = build().double(), torch.tensor(GROUPS["rest"])
    batches = [(x, Y, group), (x.flip(0), Y, group.roll(1))]
    expected = naive_spectra(model, *batches[0], len(NAMES), (), batches[1:])
    recorder = SpectraRecorder(model, NAMES, definition="loss")
    with recorder.accumulate() as step:
        for inputs, _, labels in batches:
            with step.batch(labels):
                step.backward(losses_of(model, inputs))
    assert_step_equal(recorder.spectra(), expected)


@pytest.mark.parametrize("name", MEETING)
def test_a_plain_backward_is_an_error(name: str) -> None:
    build, x = MEETING[name]
    model = build().double()
    recorder = SpectraRecorder(model, NAMES, definition="loss")
    with pytest.raises(CaptureError, match=r"step\.backward\(losses\)"), recorder.step(torch.tensor(GROUPS["mixed"])):
        losses_of(model, x).mean().backward()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda losses: losses[:5], "5 losses, but the batch has 7 samples"),
        (lambda losses: losses.mean(), "loss of each sample"),
        (lambda losses: losses[:, None], "loss of each sample"),
    ],
)
def test_there_must_be_a_loss_a_sample(spoil: Callable[[Tensor], Tensor], message: str) -> None:
    build, x = MEETING["linear"]
    model = build().double()
    recorder = SpectraRecorder(model, NAMES, definition="loss")
    with pytest.raises(CaptureError, match=message), recorder.step(torch.tensor(GROUPS["mixed"])) as step:
        step.backward(spoil(losses_of(model, x)))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_backward_twice_is_an_error() -> None:
    build, x = MEETING["linear"]
    model = build().double()
    recorder = SpectraRecorder(model, NAMES, definition="loss")
    with pytest.raises(CaptureError), recorder.step(torch.tensor(GROUPS["mixed"])) as step:
        for _ in range(2):
            step.backward(losses_of(model, x))


def test_steps_that_are_not_recorded_and_the_other_definition_take_one_pass() -> None:
    build, x = MEETING["linear"]
    model, group = build().double().eval(), torch.tensor(GROUPS["mixed"])
    for options in ({"definition": "loss", "every": 2}, {"definition": "rows"}):
        with SpectraRecorder(model, NAMES, **options) as recorder:
            for _ in range(2):
                model.zero_grad()
                with recorder.step(group) as step:
                    step.backward(losses_of(model, x))
        expected = naive_gradients(model, x, Y, torch.zeros(7), 0)[-1]["0.weight"]
        losses_of(model, x).mean().backward()
        torch.testing.assert_close(model[0].weight.grad, expected)


def test_regrouping_needs_rows() -> None:
    with pytest.raises(CaptureError, match="own backward"):
        SpectraRecorder(nn.Linear(3, 2), NAMES, definition="loss", keep_grams=True)
