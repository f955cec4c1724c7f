"""What is seen while training runs: scalars, spectra relative to group size, and changes of the model."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from capture_cases import CASE, GROUPS
from capture_reference import assert_spectra_equal, blocks
from torch import Tensor, nn

from gradspec.capture import CaptureError, SpectraRecorder
from gradspec.capture.normalization import per_group_mean

NAMES = ["control", "patient"]
GROUP = torch.tensor(GROUPS["rest"])


class Writer:
    """Stands in for a ``SummaryWriter``."""

    def __init__(self) -> None:
        self.scalars: dict[tuple[str, int | None], float] = {}

    def add_scalar(self, tag: str, scalar_value: float, global_step: int | None = None) -> None:
        assert (tag, global_step) not in self.scalars
        assert isinstance(scalar_value, float)
        self.scalars[tag, global_step] = scalar_value


@pytest.mark.parametrize("worker", [False, True])
@pytest.mark.parametrize("name", ["linear_wide", "attention", "conv2d_groups"])
def test_a_writer_gets_effective_rank_norm_and_contrast_of_every_recorded_step(name: str, worker: bool) -> None:
    writer = Writer()
    model, x, y = CASE[name].make()
    recorder = SpectraRecorder(model, NAMES, writer=writer, every=2, worker=worker)
    for step in range(5):
        with recorder.step(GROUP.roll(step)):
            F.cross_entropy(model(x), y).backward()
    recorder.detach()
    spectra = recorder.spectra()
    expected = {}
    for node in spectra.leaves:
        tag = node.path.lstrip("/").replace(".", "/")
        for position, step in enumerate(spectra["step"].values.tolist()):
            norms = []
            for index, group in enumerate([*NAMES, "pooled"]):
                values = node["gradient"].values[position, index]
                values = values[np.isfinite(values)]
                shares = values[values > 0] / values.sum()
                expected[f"effective_rank/{tag}/{group}", step] = np.exp(-(shares * np.log(shares)).sum())
                expected[f"spectral_norm/{tag}/{group}", step] = values.max()
                norms.append(np.linalg.norm(values) / spectra["n"].values[position, index])
            expected[f"group_contrast/{tag}/patient-control", step] = np.log2(norms[1] / norms[0])
    assert set(writer.scalars) == set(expected)
    for key, value in expected.items():
        assert writer.scalars[key] == pytest.approx(value, rel=1e-6, abs=1e-6)


def test_a_writer_gets_nothing_of_groups_without_numbers() -> None:
    writer = Writer()
    model = nn.Linear(9, 8)
    recorder = SpectraRecorder(model, [*NAMES, "nobody"], writer=writer)
    x = torch.ones(3, 9)
    x[2] = torch.nan
    with recorder.step(torch.tensor([0, 0, 1])):
        model(x).square().sum().backward()
    recorder.flush()
    assert set(writer.scalars) == {("effective_rank/weight/control", 0), ("spectral_norm/weight/control", 0)}


WEIGHTS = torch.tensor([0.5, 1.0, 2.0, 0.25, 1.5, 3.0, 0.75], dtype=torch.float64)


@pytest.mark.parametrize(("reduction", "weighted"), [("mean", False), ("sum", False), ("mean", True), ("sum", True)])
@pytest.mark.parametrize("name", ["linear_wide", "linear_4d", "conv2d", "lstm"])
def test_per_group_mean_is_the_spectrum_of_the_mean_gradient_of_the_group_alone(
    name: str, reduction: str, weighted: bool
) -> None:
    model, x, y = CASE[name].make()
    weight = WEIGHTS if weighted else torch.ones_like(WEIGHTS)

    def loss_of(members: Tensor, reduction: str) -> Tensor:
        losses = F.cross_entropy(model(x[members]), y[members], reduction="none") * weight[members]
        return losses.sum() / (weight[members].sum() if reduction == "mean" else 1)

    expected = []
    members = [torch.nonzero(label == GROUP).flatten() for label in (0, 1)] + [torch.arange(7)]
    for member in members:
        model.zero_grad()
        loss_of(member, "mean").backward()
        gradients = {key: p.grad.clone() for key, p in model.named_parameters() if p.grad is not None}
        expected.append(blocks(model, gradients))
    model.zero_grad()
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(GROUP, weight=weight if weighted else None):
        loss_of(torch.arange(7), reduction).backward()
    raw = recorder.spectra()
    scaled = per_group_mean(raw, reduction, weighted)
    assert reduction in scaled.attrs["normalization"]
    assert "normalization" not in raw.attrs
    for index, matrices in enumerate(expected):
        for node, matrix in matrices.items():
            values = torch.linalg.svdvals(matrix).numpy()
            assert_spectra_equal(scaled[node]["gradient"].values[0, index], values, 1e-7)


def test_per_group_mean_of_a_group_without_samples_is_nan() -> None:
    model, x, y = CASE["linear_wide"].make()
    recorder = SpectraRecorder(model, [*NAMES, "nobody"])
    with recorder.step(GROUP):
        F.cross_entropy(model(x), y).backward()
    assert np.isnan(per_group_mean(recorder.spectra())["0.weight"]["gradient"].sel(group="nobody").values).all()


def test_spectra_are_normalised_once_and_by_a_known_reduction() -> None:
    model = nn.Linear(3, 2)
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(torch.tensor([0, 1])):
        model(torch.ones(2, 3)).sum().backward()
    with pytest.raises(CaptureError, match="already"):
        per_group_mean(per_group_mean(recorder.spectra()))
    with pytest.raises(CaptureError, match="reduction"):
        per_group_mean(recorder.spectra(), "median")


@pytest.mark.parametrize(
    "weight", [torch.ones(6), -torch.ones(7), torch.full((7,), torch.nan)], ids=["short", "negative", "nan"]
)
def test_weights_must_be_one_a_sample_and_not_negative(weight: Tensor) -> None:
    model = CASE["linear_wide"].make()[0]
    with pytest.raises(CaptureError, match="weights"), SpectraRecorder(model, NAMES).step(GROUP, weight=weight):
        pytest.fail("the block must not run")


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(5, 4), nn.Sequential(nn.Tanh(), nn.Linear(4, 4)), nn.BatchNorm1d(4).eval(), nn.Linear(4, 3)
    )


def _set(path: str, value: object) -> Callable[[nn.Module], None]:
    def change(model: nn.Module) -> None:
        owner, _, name = path.rpartition(".")
        setattr(model.get_submodule(owner), name, value)

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("3", nn.Linear(4, 3)),
        _set("1.1", nn.Linear(4, 4)),
        _set("1.0", nn.ReLU()),
        lambda model: model.append(nn.Tanh()),
        lambda model: model[1].append(nn.Linear(4, 4)),
        lambda model: model.pop(3),
        _set("0.weight", nn.Parameter(torch.zeros(4, 5))),
        lambda model: model[0].register_parameter("bias", None),
        lambda model: model[0].register_parameter("more", nn.Parameter(torch.zeros(1))),
        lambda model: nn.utils.parametrizations.weight_norm(model[0]),
    ],
)
def test_a_model_that_was_changed_is_an_error_before_the_block_runs(change: Callable[[nn.Module], None]) -> None:
    model = network()
    recorder = SpectraRecorder(model, NAMES)
    change(model)
    with pytest.raises(CaptureError, match="was changed after"), recorder.step(torch.tensor([0, 1])):
        pytest.fail("the block must not run")
    recorder.detach()
    SpectraRecorder(model, NAMES)


def test_a_weight_that_was_frozen_when_the_recorder_came_is_told_to_be_left_out() -> None:
    model = network()
    model[0].requires_grad_(False)
    recorder = SpectraRecorder(model, NAMES)
    model[0].requires_grad_(True)
    with pytest.warns(UserWarning, match=r"0\.weight.*had been frozen"), recorder.step(torch.tensor([0, 1])):
        model(torch.randn(2, 5)).sum().backward()


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.double(),
        lambda model: model.load_state_dict(network().state_dict()),
        lambda model: torch.optim.Adam(model.parameters()).step(),
        lambda model: model[2].train(),
        lambda model: model.zero_grad(set_to_none=False),
        lambda model: model.register_buffer("count", torch.zeros(1)),
        lambda model: model[0].weight.data.zero_(),
        lambda model: model[0].register_forward_hook(lambda *_: None),
    ],
)
@pytest.mark.filterwarnings("ignore:batch normalisation")
def test_what_training_does_to_a_model_is_no_change(change: Callable[[nn.Module], None]) -> None:
    model = network()
    recorder = SpectraRecorder(model, NAMES)
    change(model)
    x = torch.randn(2, 5, dtype=model[0].weight.dtype)
    with recorder.step(torch.tensor([0, 1])):
        model(x).square().sum().backward()
    expected = torch.linalg.svdvals(model[0].weight.grad.double()).numpy()
    recorded = np.nan_to_num(recorder.spectra()["0.weight"]["gradient"].values[0, -1])
    np.testing.assert_allclose(recorded, expected[: len(recorded)], atol=1e-6 * max(expected[0], 1))
