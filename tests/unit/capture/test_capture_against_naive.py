"""Every kind of layer and pattern of groups: the recorder agrees with a backward pass a group, and training goes on."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from capture_cases import BATCH, CASES, GROUPS, PARAMETRISED, Case
from capture_reference import assert_spectra_equal, naive_gradients, naive_spectra

from gradspec.capture import SpectraRecorder

NAMES = ["control", "patient"]
TOLERANCE = {"sample side": 1e-12, "parameter side": 1e-7}

pytestmark = [
    pytest.mark.filterwarnings("ignore:Using padding"),
    pytest.mark.filterwarnings("ignore:LSTM with projections"),
]

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


# Every kind of layer with two patterns, and every pattern with a layer of each route.
COMBINATIONS = [
    (case, pattern)
    for case in CASES
    for pattern in GROUPS
    if pattern in ("mixed", "rest")
    or case.name
    in (
        "linear_wide",
        "linear_shared_mixed",
        "conv2d_groups",
        "gru",
        "encoder",
        "lstm_packed_deep",
        "lstm_cell",
        "embedding_padded",
        "embedding_single",
        "encoder_vectors",
        "tied_embedding",
    )
]


@pytest.mark.parametrize(("case", "pattern"), COMBINATIONS, ids=lambda value: getattr(value, "name", value))
def test_spectra_equal_those_of_a_backward_pass_a_group(case: Case, pattern: str) -> None:
    model, x, y = case.make()
    group = torch.tensor(GROUPS[pattern])
    expected = naive_spectra(model, x, y, group, len(NAMES), case.extras)
    recorder = SpectraRecorder(model, NAMES, extras=case.extras)
    with recorder.step(group):
        F.cross_entropy(model(x), y).backward()
    spectra = recorder.spectra()

    counts = [int((group == label).sum()) for label in range(len(NAMES))] + [BATCH]
    assert spectra["n"].values.tolist() == [counts]
    assert bool(spectra["finite"].all())
    assert {node.path.lstrip("/") for node in spectra.leaves} == set(expected)
    for node, per_group in expected.items():
        recorded = spectra[node]
        for position, count in enumerate(counts):
            values = recorded["gradient"].values[0, position]
            if count == 0:
                assert np.isnan(values).all()
            else:
                assert_spectra_equal(values, per_group[position], TOLERANCE[recorded.attrs["route"]])


@pytest.mark.parametrize("pattern", ["single_class", "rest"])
@every_case
def test_gradients_equal_those_of_the_bare_model(case: Case, pattern: str) -> None:
    model, x, y = case.make(torch.float32)
    expected = naive_gradients(model, x, y, torch.zeros(BATCH), 0)[-1]
    recorder = SpectraRecorder(model, NAMES, extras=case.extras)
    with recorder.step(torch.tensor(GROUPS[pattern])):
        F.cross_entropy(model(x), y).backward()
    for name, parameter in model.named_parameters():
        if name in expected:
            scale = expected[name].abs().max()
            assert (parameter.grad.to_dense() - expected[name]).abs().max() <= 1e-5 * scale + 1e-9, name


def test_gradients_are_bitwise_equal_on_the_sample_side() -> None:
    case = next(case for case in CASES if case.name == "linear_wide")
    model, x, y = case.make(torch.float32)
    F.cross_entropy(model(x), y).backward()
    expected = model[0].weight.grad.clone()
    model.zero_grad()
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(torch.tensor(GROUPS["mixed"])):
        F.cross_entropy(model(x), y).backward()
    assert recorder.report()["0.weight"].route == "sample side"
    assert torch.equal(model[0].weight.grad, expected)


@every_case
def test_training_is_the_same_with_and_without_the_recorder(case: Case) -> None:
    losses = []
    for recorded in (False, True):
        model, x, y = case.make()
        recorder = SpectraRecorder(model, NAMES, extras=case.extras)
        for _ in range(4):
            if recorded:
                with recorder.step(torch.tensor(GROUPS["rest"])):
                    loss = F.cross_entropy(model(x), y)
                    loss.backward()
            else:
                loss = F.cross_entropy(model(x), y)
                loss.backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= 0.1 * parameter.grad
                    parameter.grad = None
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)


def test_a_parametrised_weight_is_the_one_that_the_layer_uses() -> None:
    model, x, y = PARAMETRISED.make()
    group = torch.tensor(GROUPS["mixed"])
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(group):
        F.cross_entropy(model(x), y).backward()

    h, bare = x, torch.nn.Sequential(torch.nn.Linear(12, 10), torch.nn.Linear(10, 3)).double()
    bare[0].weight.data.copy_(model[0].weight)
    bare[0].bias.data.copy_(model[0].bias)
    bare[1].load_state_dict(model[1].state_dict())
    expected = naive_spectra(bare, h, y, group, 2)["0.weight"]
    for position in range(3):
        assert_spectra_equal(recorder.spectra()["0.weight"]["gradient"].values[0, position], expected[position], 1e-12)
    assert "0.weight" in recorder.report()["0.parametrizations.weight.original1"].note
