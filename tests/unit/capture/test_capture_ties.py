"""Weights that several modules share: one spectrum of their summed gradient, or a reason why not."""

from contextlib import nullcontext

import pytest
import torch
from capture_reference import assert_spectra_equal
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from gradspec.capture import SpectraRecorder, UnsupportedError

NAMES = ["control", "patient"]
GROUP = torch.tensor([0, 1, 1, 0, -1, 1])
X = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def tied() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 5))
    model[2].weight = model[0].weight
    return model.double()


def test_a_tied_weight_has_one_node_and_both_uses() -> None:
    model = tied()
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(GROUP):
        model(X).square().sum().backward()
    assert set(recorder.spectra().children) == {"0.weight"}
    expected = torch.linalg.svdvals(model[0].weight.grad).numpy()
    assert_spectra_equal(recorder.spectra()["0.weight"]["gradient"].values[0, -1], expected, 1e-7)
    captured = [row for row in recorder.report() if row.status == "captured"]
    assert [row.parameter for row in captured] == ["0.weight"]
    assert "use in '2'" in captured[0].note


def test_rows_of_layers_of_one_kind_are_stacked() -> None:
    model = tied()
    recorder = SpectraRecorder(model, NAMES, kinds=("activation",))
    with recorder.step(GROUP):
        model(X).square().sum().backward()
    rows = torch.cat([X, model[1](model[0](X)).detach()])
    expected = torch.linalg.svdvals(rows).numpy()
    assert_spectra_equal(recorder.spectra()["0.weight"]["activation"].values[0, -1], expected, 1e-7)


def test_one_name_of_a_tie_is_refused() -> None:
    model = nn.Sequential(*tied(), nn.Linear(5, 2))
    for layers in (["0"], ["2"]):
        with pytest.raises(UnsupportedError, match="tied"):
            SpectraRecorder(model, NAMES, layers=layers)
    SpectraRecorder(model, NAMES, layers=["2", "0"]).detach()


def test_a_tie_with_something_that_is_not_recorded_is_skipped() -> None:
    class Head(nn.Module):
        def __init__(self, weight: nn.Parameter) -> None:
            super().__init__()
            self.weight = weight

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.weight

    first = nn.Linear(5, 4)
    model = nn.Sequential(first, nn.Tanh(), Head(first.weight), nn.Linear(5, 3))
    report = SpectraRecorder(model, NAMES).report()
    assert "shared with '2.weight', which is not recorded" in report["0.weight"].note
    assert report["3.weight"].status == "captured"


def test_a_table_tied_to_a_head_needs_the_embedding_to_be_recorded() -> None:
    model = nn.ModuleDict({"table": nn.Embedding(9, 4), "between": nn.Linear(4, 4), "head": nn.Linear(4, 9)})
    model["head"].weight = model["table"].weight
    with SpectraRecorder(model, NAMES) as recorder:
        assert set(recorder.spectra().children) == {"between.weight"}
        assert "extras=['embedding']" in recorder.report()["table.weight"].note
    with SpectraRecorder(model, NAMES, extras=["embedding"]) as recorder:
        assert set(recorder.spectra().children) == {"between.weight", "table.weight"}


def test_a_table_tied_to_a_class_like_a_linear_layer_has_only_its_gradient() -> None:
    """Rows of a table and of a head are not of one matrix, whoever wrote the head."""

    class Head(nn.Module):
        def __init__(self, weight: nn.Parameter) -> None:
            super().__init__()
            self.out_features, self.in_features = weight.shape
            self.weight = weight

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.linear(x, self.weight)

    table = nn.Embedding(9, 4).double()
    model = nn.Sequential(table, nn.Flatten(), nn.Linear(12, 4).double(), nn.Tanh(), Head(table.weight))
    recorder = SpectraRecorder(model, NAMES, kinds=("gradient", "activation", "delta"), extras=["embedding"])
    ids = torch.randint(0, 9, (6, 3), generator=torch.Generator().manual_seed(0))
    with recorder.step(GROUP):
        model(ids).sin().sum().backward()
    node = recorder.spectra()["0.weight"]
    assert set(node.data_vars) == {"gradient"}
    assert_spectra_equal(node["gradient"].values[0, -1], torch.linalg.svdvals(table.weight.grad).numpy(), 1e-9)


def test_blocks_that_differ_cannot_be_summed() -> None:
    first, last = nn.Conv1d(2, 4, 3, groups=2), nn.Conv1d(1, 4, 3)
    last.weight = first.weight
    model = nn.Sequential(first, last, nn.Conv1d(4, 2, 1))
    report = SpectraRecorder(model, NAMES).report()
    assert "different blocks" in report["0.weight"].note
    assert report["2.weight"].status == "captured"


def test_a_tie_through_a_parametrisation_is_no_tie_of_the_weights_in_use() -> None:
    model = nn.Sequential(nn.Linear(5, 5), parametrizations.orthogonal(nn.Linear(5, 5)), nn.Linear(5, 5)).double()
    model[2].weight = model[1].parametrizations.weight.original
    recorder = SpectraRecorder(model, NAMES)
    assert set(recorder.spectra().children) == {"0.weight", "1.weight"}
    assert any("tied" in row.note for row in recorder.report())


def test_a_shared_bias_matters_only_where_vectors_are_recorded() -> None:
    model = nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 5), nn.LayerNorm(5)).double()
    model[1].bias = model[0].bias
    model[2].bias = model[0].bias
    with SpectraRecorder(model, NAMES) as recorder:
        assert set(recorder.spectra().children) == {"0.weight", "1.weight"}
    recorder = SpectraRecorder(model, NAMES, extras=["vectors"])
    with recorder.step(GROUP):
        model(X).sin().sum().backward()
    recorded = recorder.spectra()["0.bias"]["gradient"].values[0, -1]
    assert recorded == pytest.approx(model[0].bias.grad.norm().item(), rel=1e-9)


@pytest.mark.parametrize("parametrise", [nn.utils.weight_norm, nn.utils.spectral_norm, parametrizations.spectral_norm])
@pytest.mark.parametrize("build", [lambda: nn.Linear(5, 4), lambda: nn.Conv1d(5, 4, 2)])
def test_a_parametrisation_takes_as_many_steps_as_without_the_recorder(build: object, parametrise: object) -> None:
    """Power iteration goes on at every look at the weight, also in a forward without grad."""
    x = X if isinstance(build(), nn.Linear) else X[:, :, None].expand(6, 5, 3).contiguous()
    states = []
    for recorded in (False, True):
        torch.manual_seed(0)
        layer = parametrise(build().double())
        with SpectraRecorder(layer, NAMES).step(GROUP) if recorded else nullcontext():
            layer(x).sum().backward()
            with torch.no_grad():
                layer(x)
        states.append(layer.state_dict())
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=0, atol=1e-12)
