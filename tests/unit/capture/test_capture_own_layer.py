"""Layers of other people, by the public registry."""

import pytest
import torch
import torch.nn.functional as F
from capture_reference import assert_spectra_equal
from torch import Tensor, nn

from gradspec.capture import CaptureError, Layer, SpectraRecorder, captured_linear, register_layer
from gradspec.capture._discovery import LAYERS

NAMES = ["control", "patient"]
GROUP = torch.tensor([0, 1, 1, 0])


class Plain(nn.Module):
    """A matrix of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(5, 4, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.matrix)


class Special(Plain):
    """A subclass."""


class PlainLayer(Layer):
    """What records it."""

    functions = ("linear",)
    agreement = "bitwise equal"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.weights = register_of(args).matrices(self, "matrix", (5, 4), ("gradient", "delta"))

    def call(self, step: object, function: object, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        rows = self.rows_in(step, input.shape[:-1], 0)
        check = lambda: rows.check_batch(input.shape[:-1], 0, str(self))  # noqa: E731
        return captured_linear(step, rows, self.weights, input, weight, bias, 0, check)


def register_of(args: tuple[object, ...]) -> object:
    return args[2]


@pytest.mark.parametrize("kind", [Plain, Special])
def test_a_registered_layer_is_recorded_and_so_are_subclasses(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(kind(), nn.Linear(5, 2).double())
    assert "are not recorded" in SpectraRecorder(model, NAMES, layers=["1"]).report()["0.matrix"].note
    monkeypatch.setitem(LAYERS, Plain, PlainLayer)
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(GROUP):
        model(torch.randn(4, 4, dtype=torch.float64)).square().sum().backward()
    recorded = recorder.spectra()["0.matrix"]["gradient"].sel(group="pooled").values[0]
    assert_spectra_equal(recorded, torch.linalg.svdvals(model[0].matrix.grad).numpy(), 1e-12)
    assert recorder.report()["0.matrix"].layer == kind.__name__


def test_what_is_no_layer_is_refused() -> None:
    class Odd(PlainLayer):
        functions = ("relu",)

    for kind, layer, message in (
        (object, PlainLayer, "a class of modules"),
        (Plain, nn.Linear, "subclass of gradspec"),
        (Plain, Odd, "relu; known are"),
    ):
        with pytest.raises(CaptureError, match=message):
            register_layer(kind, layer)
    register_layer(Plain, PlainLayer)
    assert LAYERS.pop(Plain) is PlainLayer
