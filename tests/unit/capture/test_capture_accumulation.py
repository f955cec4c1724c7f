"""Several batches before the optimiser steps: the spectra of their summed gradients, or an error if ambiguous."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from capture_cases import BATCH, CASE, GROUPS
from capture_reference import assert_step_equal, naive_gradients, naive_spectra
from torch import Tensor, nn

from gradspec.capture import CaptureError, GroupError, SpectraRecorder

NAMES = ["control", "patient"]
MIXED = torch.tensor(GROUPS["mixed"])

Batches = list[tuple[Tensor, Tensor, Tensor]]

# Labels of each batch, whose number is its size.
PATTERNS = {
    "alike": [[0, 1, 0, 1, 1, 0, 1]] * 3,
    "sizes": [[0, 1, -1, 1, 1, 0, 1], [1, 0], [0, 0, 1, 1, 1]],
    "apart": [[0, 0, 0], [1, 1], [1], [-1, -1, -1, -1]],
    "growing": [[1], [1, 0, 0, -1, 1, 0, 1], [1, 0, 0, -1, 1, 0, 1]],
    "nobody": [[-1, -1], [1, 1, 1]],
}


def batches_of(case_name: str, pattern: str, dtype: torch.dtype = torch.float64) -> tuple[nn.Module, Batches]:
    model, x, y = CASE[case_name].make(dtype)
    batches = [
        (x.roll(shift, 0)[: len(labels)], y.roll(shift)[: len(labels)], torch.tensor(labels))
        for shift, labels in enumerate(PATTERNS[pattern])
    ]
    return model, batches


def accumulate(recorder: SpectraRecorder, model: nn.Module, batches: Batches) -> None:
    with recorder.accumulate() as step:
        for x, y, group in batches:
            with step.batch(group):
                F.cross_entropy(model(x), y).backward()


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(
    "name",
    [
        "linear_wide",  # stays on the sample side
        "linear",  # outgrows it on the way
        "linear_4d",
        "linear_3d_few_rows",
        "conv2d_groups",
        "lstm_deep",
        "gru_cell",
        "encoder",
        "attention_few_rows",
        "embedding_padded",
        "embedding_sparse",
        "tied_rows",
        "tied_embedding_vectors",
        "conv_vectors",
    ],
)
def test_spectra_equal_those_of_the_summed_gradients(name: str, pattern: str) -> None:
    model, batches = batches_of(name, pattern)
    extras = CASE[name].extras
    expected = naive_spectra(model, *batches[0], len(NAMES), extras, batches[1:])
    recorder = SpectraRecorder(model, NAMES, extras=extras)
    accumulate(recorder, model, batches)
    spectra = recorder.spectra()
    assert_step_equal(spectra, expected)
    labels = torch.cat([group for _, _, group in batches])
    assert spectra["n"].values.tolist() == [[*((labels == label).sum().item() for label in (0, 1)), len(labels)]]


@pytest.mark.parametrize("kind", ["activation", "delta"])
@pytest.mark.parametrize("pattern", ["alike", "sizes", "growing"])
@pytest.mark.parametrize("width", [2, 5, 9, 40])
def test_rows_of_all_batches_make_the_spectra_of_inputs_and_deltas(width: int, pattern: str, kind: str) -> None:
    torch.manual_seed(0)
    model = nn.Linear(width, 6).double()
    groups = [torch.tensor(labels) for labels in PATTERNS[pattern]]
    inputs = [torch.randn(len(group), 3, width, dtype=torch.float64) for group in groups]
    weights = [torch.randn(len(group), 3, 6, dtype=torch.float64) for group in groups]
    recorder = SpectraRecorder(model, NAMES, kinds=(kind,))
    with recorder.accumulate() as step:
        for x, weight, group in zip(inputs, weights, groups, strict=True):
            with step.batch(group):
                (model(x) * weight).sum().backward()
    rows, labels = torch.cat({"activation": inputs, "delta": weights}[kind]), torch.cat(groups)
    for position, member in enumerate([labels == 0, labels == 1, labels >= -1]):
        expected = torch.linalg.svdvals(rows[member].flatten(0, 1))
        recorded = torch.from_numpy(recorder.spectra()["weight"][kind].values[0, position])
        torch.testing.assert_close(recorded[: len(expected)], expected, rtol=0, atol=1e-6 * float(expected[0]))
        assert recorded[len(expected) :].isnan().all()


@pytest.mark.parametrize("name", ["linear_wide", "linear_4d", "conv2d", "lstm", "attention"])
def test_gradients_are_those_of_the_bare_model(name: str) -> None:
    model, batches = batches_of(name, "sizes")
    expected = naive_gradients(model, *batches[0], 0, *batches[1:])[-1]
    accumulate(SpectraRecorder(model, NAMES), model, batches)
    for parameter, gradient in expected.items():
        torch.testing.assert_close(model.get_parameter(parameter).grad, gradient, rtol=1e-12, atol=1e-14)


def test_a_step_of_one_batch_is_the_same_either_way() -> None:
    model, batches = batches_of("linear_4d", "alike")
    recorder = SpectraRecorder(model, NAMES)
    accumulate(recorder, model, batches[:1])
    x, y, group = batches[0]
    with recorder.step(group):
        F.cross_entropy(model(x), y).backward()
    for node in recorder.spectra().leaves:
        first, second = torch.from_numpy(node["gradient"].values)
        torch.testing.assert_close(first, second, rtol=0, atol=1e-7, equal_nan=True)


def test_batches_of_a_step_that_is_not_recorded_are_plain() -> None:
    model, batches = batches_of("linear", "sizes")
    recorder = SpectraRecorder(model, NAMES, every=2)
    for _ in range(3):
        accumulate(recorder, model, batches)
    assert recorder.spectra()["step"].values.tolist() == [0, 2]


def test_a_batch_belongs_into_accumulate() -> None:
    model, batches = batches_of("linear", "sizes")
    recorder = SpectraRecorder(model, NAMES)
    with pytest.raises(CaptureError, match="accumulate"), recorder.step(MIXED) as step, step.batch(MIXED):
        pytest.fail("the block must not run")
    with recorder.accumulate() as step, step.batch(MIXED):
        F.cross_entropy(model(batches[0][0]), batches[0][1]).backward()
    with pytest.raises(CaptureError, match="is over"), step.batch(MIXED):
        pytest.fail("the block must not run")


def test_labels_of_each_batch_are_checked() -> None:
    model, _ = batches_of("linear", "sizes")
    recorder = SpectraRecorder(model, NAMES)
    with pytest.raises(GroupError, match="-1 … 1"), recorder.accumulate() as step, step.batch(torch.tensor([2])):
        pytest.fail("the block must not run")


def test_batches_do_not_nest() -> None:
    recorder = SpectraRecorder(batches_of("linear", "sizes")[0], NAMES)
    with (
        pytest.raises(CaptureError, match="open already"),
        recorder.accumulate() as step,
        step.batch(MIXED),
        step.batch(MIXED),
    ):
        pytest.fail("the block must not run")


def twice_forward(recorder: SpectraRecorder, run: Callable[[], Tensor]) -> None:
    with recorder.step(MIXED):
        run().backward()
        run().backward()


def twice_backward(recorder: SpectraRecorder, run: Callable[[], Tensor]) -> None:
    with recorder.step(MIXED):
        loss = run()
        loss.backward(retain_graph=True)
        loss.backward()


def backward_after_the_step(recorder: SpectraRecorder, run: Callable[[], Tensor]) -> None:
    with recorder.step(MIXED):
        loss = run()
        loss.backward(retain_graph=True)
    loss.backward()


def backward_in_the_next_step(recorder: SpectraRecorder, run: Callable[[], Tensor]) -> None:
    with recorder.step(MIXED):
        loss = run()
        loss.backward(retain_graph=True)
    with recorder.step(MIXED):
        loss.backward()


def backward_in_another_batch(recorder: SpectraRecorder, run: Callable[[], Tensor]) -> None:
    with recorder.accumulate() as step:
        with step.batch(MIXED):
            loss = run()
        with step.batch(MIXED):
            loss.backward()


def backward_twice_in_two_batches(recorder: SpectraRecorder, run: Callable[[], Tensor]) -> None:
    with recorder.accumulate() as step:
        with step.batch(MIXED):
            loss = run()
            loss.backward(retain_graph=True)
        with step.batch(MIXED):
            run().backward()
            loss.backward()


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (twice_forward, "accumulate"),
        (twice_backward, "twice"),
        (backward_after_the_step, "closed"),
        (backward_in_the_next_step, "closed"),
        (backward_in_another_batch, "accumulate"),
        (backward_twice_in_two_batches, "accumulate"),
    ],
)
@pytest.mark.parametrize(
    "name", ["linear_wide", "linear_4d", "conv2d", "lstm", "lstm_cell", "attention", "embedding", "layer_norm"]
)
def test_what_would_be_counted_wrongly_is_an_error_and_training_goes_on(
    name: str, mistake: Callable[..., None], message: str
) -> None:
    model, x, y = CASE[name].make()
    model.register_buffer("count", torch.zeros(3))
    optimizer = torch.optim.Adam(model.parameters())
    F.cross_entropy(model(x), y).backward()
    optimizer.step()
    optimizer.zero_grad()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    moments = [value.clone() for of in optimizer.state.values() for value in of.values()]

    recorder = SpectraRecorder(model, NAMES, extras=CASE[name].extras)
    with pytest.raises(CaptureError, match=message):
        mistake(recorder, lambda: F.cross_entropy(model(x), y))
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key])
    for after, before in zip([value for of in optimizer.state.values() for value in of.values()], moments, strict=True):
        assert torch.equal(after, before)

    optimizer.zero_grad()
    expected = naive_spectra(model, x, y, MIXED, len(NAMES), CASE[name].extras)
    with recorder.step(MIXED):
        F.cross_entropy(model(x), y).backward()
    assert_step_equal(recorder.spectra(), expected, step=-1)


@pytest.mark.parametrize("name", ["linear_wide", "linear_4d", "conv2d", "lstm", "attention"])
def test_a_saliency_map_before_or_after_backward_is_no_second_backward(name: str) -> None:
    model, x, y = CASE[name].make()
    expected = naive_spectra(model, x, y, MIXED, len(NAMES))
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(MIXED):
        x.requires_grad_()
        loss = F.cross_entropy(model(x), y)
        torch.autograd.grad(loss, x, retain_graph=True)
        loss.backward(retain_graph=True)
        torch.autograd.grad(loss, x, retain_graph=True)
        torch.autograd.grad(model(x).sum(), x)
    assert_step_equal(recorder.spectra(), expected)


def test_four_groups_of_which_each_batch_has_some() -> None:
    model, x, y = CASE["linear_4d"].make()
    groups = [torch.tensor([0, 3, 3, 0, 0, 3, 3]), torch.tensor([1, 1, -1, 1, 3, 3, 1])]
    batches = [(x, y, group) for group in groups]
    names = ["a", "b", "c", "d"]
    expected = naive_spectra(model, *batches[0], len(names), (), batches[1:])
    recorder = SpectraRecorder(model, names)
    accumulate(recorder, model, batches)
    assert_step_equal(recorder.spectra(), expected)
    assert recorder.spectra()["n"].values.tolist() == [[3, 4, 0, 6, 2 * BATCH]]


def test_a_batch_that_overflows_leaves_the_groups_of_the_others_finite() -> None:
    model, batches = batches_of("linear_wide", "apart")
    batches[0][0][0, 0] = torch.inf
    recorder = SpectraRecorder(model, NAMES)
    accumulate(recorder, model, batches)
    gradient = recorder.spectra()["0.weight"]["gradient"].values[0]
    assert torch.from_numpy(gradient[[0, 2], 0]).isnan().all()
    assert torch.from_numpy(gradient[1, :3]).isfinite().all()
    assert recorder.spectra()["finite"].values.tolist() == [False]
