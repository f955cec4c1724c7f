"""Embeddings: recorded on request, by the ids that occur, with the optimiser's gradient untouched."""

import numpy as np
import pytest
import torch
from capture_reference import assert_spectra_equal
from torch import Tensor, nn

from gradspec.capture import CaptureError, RowsError, SpectraRecorder, UnsupportedError

NAMES = ["control", "patient"]
GROUP = torch.tensor([0, 1, 1, 0, -1, 1])
IDS = torch.tensor([[1, 2, 0], [2, 2, 3], [4, 0, 0], [1, 5, 0], [3, 3, 3], [1, 2, 3]])


class Model(nn.Module):
    """An embedding and a head."""

    def __init__(self, **options: object) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(options.pop("length", 7), 4, **options)
        self.head = nn.Linear(4, 2)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.embedding(ids).tanh())


def record(model: nn.Module, ids: Tensor = IDS, group: Tensor = GROUP, **options: object) -> SpectraRecorder:
    recorder = SpectraRecorder(model, NAMES, **{"extras": ["embedding"], **options})
    with recorder.step(group):
        model(ids).square().sum().backward()
    return recorder


def test_embeddings_are_recorded_by_name_or_by_extra_only() -> None:
    model = Model()
    with SpectraRecorder(model, NAMES) as recorder:
        assert "embedding.weight" not in recorder.spectra().children
        assert "extras=['embedding']" in recorder.report()["embedding.weight"].note
    with record(model, layers=["embedding"], extras=()) as recorder:
        assert set(recorder.spectra().children) == {"embedding.weight"}
    with pytest.raises(CaptureError, match="extras"):
        SpectraRecorder(model, NAMES, extras=["embeddings"])


@pytest.mark.parametrize(
    "options",
    [{}, {"padding_idx": 0}, {"max_norm": 0.5}, {"scale_grad_by_freq": True}, {"sparse": True}],
    ids=lambda options: next(iter(options), "plain"),
)
def test_the_gradient_and_the_table_stay_bitwise_those_of_the_bare_module(options: dict[str, object]) -> None:
    bare, model = Model(**options), Model(**options)
    bare(IDS).square().sum().backward()
    record(model, layers=["embedding"])
    assert torch.equal(model.embedding.weight, bare.embedding.weight)
    assert model.embedding.weight.grad.is_sparse == bool(options.get("sparse"))
    assert torch.equal(model.embedding.weight.grad.to_dense(), bare.embedding.weight.grad.to_dense())


def test_a_long_table_is_never_expanded() -> None:
    """A dense gradient in float64 of ten million rows would take 320 MB a group."""
    model = Model(length=10_000_000, sparse=True)
    recorder = SpectraRecorder(model, NAMES, extras=["embedding"])
    with recorder.step(GROUP):
        model(IDS * 1_000_000).square().sum().backward()
    expected = torch.linalg.svdvals(model.embedding.weight.grad.coalesce().values()).numpy()
    recorded = recorder.spectra()["embedding.weight"]["gradient"].values[0, -1]
    assert_spectra_equal(recorded, expected, 1e-6)


def test_a_group_of_padding_has_a_spectrum_of_zeros() -> None:
    ids = IDS.clone()
    ids[GROUP == 0] = 0
    recorder = record(Model(padding_idx=0), ids, kinds=("gradient", "delta"))
    control = recorder.spectra()["embedding.weight"]["gradient"].sel(group="control").values[0]
    assert control[0] == 0
    assert bool(recorder.spectra()["finite"].all())


def test_delta_rows_are_those_of_the_output() -> None:
    model = Model().double()
    output = model.embedding(IDS).detach().requires_grad_()
    model.head(output.tanh()).square().sum().backward()
    recorder = record(model, kinds=("gradient", "delta", "activation"))
    node = recorder.spectra()["embedding.weight"]
    expected = torch.linalg.svdvals(output.grad[GROUP == 1].flatten(0, 1)).numpy()
    assert_spectra_equal(node["delta"].sel(group="patient").values[0], expected, 1e-7)
    assert "activation" not in node
    assert "no activation" in recorder.report()["embedding.weight"].note


def test_positions_shared_by_all_samples_are_refused() -> None:
    """As many positions as samples: the rows look like those of the samples, but are not."""
    named = {"layers": ["embedding"], "extras": ()}
    with pytest.raises(RowsError, match="positions"):
        record(Model(), torch.arange(6), **named)
    with pytest.raises(RowsError, match="positions"):
        record(Model(), (torch.arange(6)[:, None] - torch.arange(6)).abs(), **named)


class WithPositions(Model):
    """Adds what it looks up by position, which samples share, to what it looks up of each."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Embedding(5, 4)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head((self.embedding(ids) + self.position(torch.arange(5)[None])).mean(1))


def test_positions_among_all_embeddings_of_a_model_are_left_out_with_a_reason() -> None:
    ids = torch.arange(30).view(6, 5) % 7
    with pytest.warns(UserWarning, match=r"position\.weight cannot be recorded in this step.*should be the batch of 6"):
        recorder = record(WithPositions(), ids)
    tree, report = recorder.spectra(), recorder.report()
    assert np.isnan(tree["position.weight"]["gradient"]).all()
    assert np.isfinite(tree["embedding.weight"]["gradient"].values[0, :, 0]).all()
    assert (report["position.weight"].status, report["embedding.weight"].status) == ("missed", "captured")
    assert report.share == pytest.approx((7 * 4 + 2 * 4) / (7 * 4 + 2 * 4 + 5 * 4))


def test_positions_of_each_sample_are_recorded() -> None:
    recorder = record(Model(), torch.arange(5).expand(6, 5))
    assert np.isfinite(recorder.spectra()["embedding.weight"]["gradient"].values[0, :, 0]).all()


@pytest.mark.parametrize("shape", [(5, 6), (6, 6), (18,)])
def test_ids_whose_samples_cannot_be_told_are_refused(shape: tuple[int, ...]) -> None:
    class TimeMajor(Model):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(4, 4)

    with pytest.raises(RowsError):
        record(TimeMajor(), torch.ones(shape, dtype=torch.int64))


def test_a_frozen_embedding_is_not_recorded() -> None:
    model = Model()
    model.embedding.requires_grad_(False)
    with pytest.raises(UnsupportedError, match="frozen"):
        SpectraRecorder(model, NAMES, layers=["embedding"])
