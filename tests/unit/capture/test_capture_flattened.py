"""Rows of a sample that were flattened into the batch, and models whose first dimension is not the batch."""

import copy

import pytest
import torch
import torch.nn.functional as F
from capture_reference import assert_spectra_equal, assert_step_equal, naive_spectra
from torch import Tensor, nn

from gradspec.capture import CaptureError, RowsError, SpectraRecorder

NAMES = ["control", "patient"]
GROUP = torch.tensor([0, 1, 1, 0, -1, 0])
Y = torch.tensor([0, 1, 2, 0, 1, 2])


class Windows(nn.Module):
    """Windows of a person one after another in the batch: a body for each, a head for their mean."""

    def __init__(self, body: nn.Module, head: int, order: str = "sample-major") -> None:
        super().__init__()
        self.body, self.order = body, order
        self.head = nn.Linear(head, 3)

    def forward(self, x: Tensor) -> Tensor:
        size = len(x)
        x = x if self.order == "sample-major" else x.transpose(0, 1)
        rows = self.body(x.flatten(0, 1))
        rows = rows[0] if isinstance(rows, tuple) else rows
        rows = rows.flatten(1)
        rows = (
            rows.view(size, -1, rows.shape[1]) if self.order == "sample-major" else rows.view(-1, size, rows.shape[1])
        )
        return self.head(rows.mean(1 if self.order == "sample-major" else 0))


class Last(nn.Module):
    """The output of a recurrent cell."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.cell(x, self.cell(x))


BODIES = {
    "linear": (lambda: nn.Linear(4, 5), (4,), 5),
    "few_rows": (lambda: nn.Linear(40, 30), (40,), 30),
    "inplace": (lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(inplace=True)), (4,), 5),
    "sequence": (lambda: nn.Linear(4, 5), (3, 4), 15),
    "conv": (lambda: nn.Conv1d(4, 5, 2), (4, 3), 10),
    "conv_groups": (lambda: nn.Conv2d(4, 6, 2, groups=2), (4, 2, 3), 12),
    "gru": (lambda: nn.GRU(4, 5, batch_first=True), (3, 4), 15),
    "cell": (Last, (4,), 5),
    "norm": (lambda: nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5)), (4,), 5),
}


def make(name: str, order: str = "sample-major") -> tuple[nn.Module, Tensor]:
    build, sample, head = BODIES[name]
    torch.manual_seed(0)
    model = Windows(build(), head, order).double()
    return model, torch.randn(len(GROUP), 3, *sample, dtype=torch.float64)


@pytest.mark.parametrize("keep_grams", [False, True])
@pytest.mark.parametrize("name", BODIES)
def test_rows_sample_by_sample_have_the_spectra_of_their_samples(name: str, keep_grams: bool) -> None:
    model, x = make(name)
    bare = copy.deepcopy(model)
    expected = naive_spectra(bare, x, Y, GROUP, len(NAMES), ("vectors",))
    recorder = SpectraRecorder(model, NAMES, rows="sample-major", extras=["vectors"], keep_grams=keep_grams)
    with recorder.step(GROUP):
        F.cross_entropy(model(x), Y).backward()
    assert_step_equal(recorder.spectra(), expected)
    if keep_grams:
        other = GROUP.flip(0)
        regrouped = recorder.regroup([other])
        assert_step_equal(regrouped, naive_spectra(bare, x, Y, other, len(NAMES), ("vectors",)))
    F.cross_entropy(bare(x), Y).backward()
    for mine, right in zip(model.parameters(), bare.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, right.grad if right.grad.abs().max() else mine.grad)


def test_rows_are_refused_where_nothing_is_said_and_for_a_layer_alone_where_it_is() -> None:
    model, x = make("linear")
    with pytest.raises(RowsError, match="rows='sample-major'"), SpectraRecorder(model, NAMES).step(GROUP):
        model(x).sum().backward()
    model, x = make("linear")
    recorder = SpectraRecorder(model, NAMES, rows={"body": "sample-major"})
    with recorder.step(GROUP):
        F.cross_entropy(model(x), Y).backward()
    assert_step_equal(recorder.spectra(), naive_spectra(copy.deepcopy(model), x, Y, GROUP, len(NAMES)))


@pytest.mark.parametrize("name", ["linear", "conv", "gru"])
def test_rows_in_another_order_than_said_are_found(name: str) -> None:
    model, x = make(name, "time-major")
    recorder = SpectraRecorder(model, NAMES, rows="sample-major")
    with pytest.raises(RowsError, match="order of the labels"), recorder.step(GROUP):
        F.cross_entropy(model(x), Y).backward()


def test_a_time_major_model_is_recorded_where_its_dimension_is_said() -> None:
    class TimeMajor(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(4, 5), nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.first(x.transpose(0, 1)).tanh().mean(0))

    torch.manual_seed(0)
    model, x = TimeMajor().double(), torch.randn(6, 6, 4, dtype=torch.float64)
    recorder = SpectraRecorder(model, NAMES, sample_dim={"first": 1})
    with recorder.step(GROUP):
        F.cross_entropy(model(x), Y).backward()
    expected = naive_spectra(copy.deepcopy(model), x, Y, GROUP, len(NAMES))
    for label in range(3):
        values = recorder.spectra()["first.weight"]["gradient"].values[0, label]
        assert_spectra_equal(values, expected["first.weight"][label], 1e-7)


@pytest.mark.parametrize(
    "options", [{"rows": "any"}, {"rows": {"body": "any"}}, {"rows": {"9": "samples"}}, {"sample_dim": {"9": 1}}]
)
def test_wrong_arguments_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(CaptureError):
        SpectraRecorder(make("linear")[0], NAMES, **options)
