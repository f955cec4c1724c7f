"""Linear layers whose weight is (inputs, outputs), as those of GPT-2."""

import copy
import sys
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from capture_reference import assert_spectra_equal, naive_gradients
from torch import Tensor, nn

from gradspec.capture import SpectraRecorder

NAMES = ["control", "patient"]
GROUP = torch.tensor([0, 1, 1, 0, -1, 0])
Y = torch.tensor([0, 1, 2, 0, 1, 2])


class Conv1D(nn.Module):
    """As transformers writes it."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf = nf
        self.weight = nn.Parameter(torch.randn(nx, nf))
        self.bias = nn.Parameter(torch.zeros(nf))

    def forward(self, x: Tensor) -> Tensor:
        size_out = (*x.shape[:-1], self.nf)
        return torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight).view(size_out)


class Model(nn.Module):
    """One such layer, and a head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.head = Conv1D(width, width + 1), nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.first(x).tanh().mean(1))


@pytest.mark.parametrize(("width", "times"), [(5, 4), (40, 3)])
def test_transposed_weights_have_the_spectra_of_a_backward_pass_a_group(
    width: int, times: int, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    package = ModuleType("transformers.pytorch_utils")
    package.Conv1D = Conv1D
    monkeypatch.setitem(sys.modules, "transformers.pytorch_utils", package)
    torch.manual_seed(0)
    model = Model(width).double()
    x = torch.randn(6, times, width + 1, dtype=torch.float64)
    gradients = naive_gradients(copy.deepcopy(model), x, Y, GROUP, len(NAMES))
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(GROUP):
        F.cross_entropy(model(x), Y).backward()
    assert recorder.report().share == 1
    torch.testing.assert_close(model.first.weight.grad, gradients[-1]["first.weight"])
    for values, of_group in zip(recorder.spectra()["first.weight"]["gradient"].values[0], gradients, strict=True):
        assert_spectra_equal(values, torch.linalg.svdvals(of_group["first.weight"]).numpy(), 1e-7)
    assert not recwarn.list
