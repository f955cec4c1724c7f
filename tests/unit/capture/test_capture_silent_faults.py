"""What used to be wrong in silence: the recorder is right about it, or says so before anything is changed."""

import copy
import io
import pickle
import warnings
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from capture_loops import Lora
from capture_reference import assert_spectra_equal
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.checkpoint import checkpoint

from gradspec.capture import CaptureError, NothingCapturedError, RowsError, SpectraRecorder, UnsupportedError

NAMES = ["control", "patient"]
GROUP = torch.tensor([0, 1, 1, 0, 1, 0])
Y = torch.tensor([0, 1, 2, 0, 1, 2])


def data(*sample: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(len(GROUP), *sample, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 7), nn.Tanh(), nn.Linear(7, 3)).double()


def spectrum(gradient: Tensor) -> np.ndarray:
    return torch.linalg.svdvals(gradient.flatten(1)).numpy()


def pooled(recorder: SpectraRecorder, node: str, step: int = 0) -> np.ndarray:
    return recorder.spectra()[node]["gradient"].sel(group="pooled").values[step]


# Copies and files


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_made_in_a_step_computes_with_its_own_weights(copied: object) -> None:
    model, x = network(), data(8)
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(GROUP):
        other = copied(model)
        F.cross_entropy(model(x), Y).backward()
    assert all(vars(mine).keys() == vars(bare).keys() for mine, bare in zip(other, network(), strict=True))
    with torch.no_grad():
        other[0].weight.zero_()
        other[0].bias.zero_()
        torch.testing.assert_close(other(x)[0], other[2].bias)
    with recorder.step(GROUP):
        torch.save(model, io.BytesIO())
        F.cross_entropy(other(x) + model(x), Y).backward()
    assert other[2].weight.grad is not None


# Patches of forward


@pytest.mark.parametrize("when", ["before", "after", "within"])
def test_a_patched_forward_runs_and_stays(when: str) -> None:
    model, bare, x = network(), network(), data(8)
    if when == "before":
        lora = Lora(model[0])
    recorder = SpectraRecorder(model, NAMES)
    if when == "after":
        lora = Lora(model[0])
    with recorder.step(GROUP):
        if when == "within":
            lora = Lora(model[0])
        F.cross_entropy(model(x), Y).backward()
    assert model[0].forward.__self__ is lora
    expected = Lora(bare[0])
    F.cross_entropy(bare(x), Y).backward()
    torch.testing.assert_close(lora.down.grad, expected.down.grad)
    assert_spectra_equal(pooled(recorder, "0.weight"), spectrum(bare[0].weight.grad), 1e-7)


def test_torch_is_as_it_was_after_a_step_and_after_an_error() -> None:
    before = {name: (vars(F).get(name), vars(torch).get(name)) for name in ("linear", "conv1d", "cross_entropy")}
    forward = nn.LSTM.forward
    recorder = SpectraRecorder(nn.Sequential(nn.LSTM(3, 2), nn.Conv1d(3, 2, 1), nn.Linear(3, 2)), NAMES)
    with pytest.raises(ZeroDivisionError), recorder.step(GROUP):
        assert F.linear is not before["linear"][0]
        raise ZeroDivisionError
    assert before == {name: (vars(F).get(name), vars(torch).get(name)) for name in before}
    assert nn.LSTM.forward is forward
    assert "lstm" not in vars(torch._VF)


def test_a_function_that_somebody_else_exchanged_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = SpectraRecorder(network(), NAMES)
    original = F.linear
    monkeypatch.setattr(F, "linear", partial(original))
    with (
        pytest.raises(UnsupportedError, match=r"torch\.nn\.functional\.linear is not torch's own"),
        recorder.step(GROUP),
    ):
        pytest.fail("the block must not run")


def test_a_function_that_is_exchanged_within_a_step_stays() -> None:
    model, x, original = network(), data(8), F.linear
    recorder = SpectraRecorder(model, NAMES)
    try:
        with recorder.step(GROUP):
            inner = F.linear
            mine = F.linear = lambda *args, **kwargs: inner(*args, **kwargs)
            F.cross_entropy(model(x), Y).backward()
        assert F.linear is mine
        torch.testing.assert_close(model(x), copy.deepcopy(model)(x))
    finally:
        F.linear = original


# Derivatives of derivatives


def penalised(model: nn.Module, x: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model(leaf).square().sum(), leaf, create_graph=True)
    return F.cross_entropy(model(x), Y) + slope.flatten(1).square().sum(1).mean()


class Convolutions(nn.Sequential):
    """Two convolutions, averaged over space."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(nn.Conv1d(8, 6, 2, groups=2), nn.Tanh(), nn.Conv1d(6, 3, 2, stride=2, padding=1))
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).mean(2)


@pytest.mark.parametrize("layers", ["auto", ["0"]])
@pytest.mark.parametrize(("build", "sample"), [(network, (8,)), (Convolutions, (8, 5))])
def test_penalties_on_gradients_reach_weights_and_spectra(
    build: object, sample: tuple[int, ...], layers: object
) -> None:
    model, bare, x = build(), build(), data(*sample)
    recorder = SpectraRecorder(model, NAMES, layers=layers)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with recorder.step(GROUP):
            penalised(model, x).backward()
    penalised(bare, x).backward()
    for mine, right in zip(model.parameters(), bare.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, right.grad)
    if build is network:
        assert_spectra_equal(pooled(recorder, "0.weight"), spectrum(bare[0].weight.grad), 1e-7)
    for label, name in enumerate(NAMES):
        bare.zero_grad()
        leaf = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(bare(leaf).square().sum(), leaf, create_graph=True)
        losses = F.cross_entropy(bare(x), Y, reduction="none") + slope.flatten(1).square().sum(1)
        (losses * (label == GROUP)).mean().backward()
        node, gradient = (
            ("0.weight", bare[0].weight.grad) if build is network else ("0.weight/block1", bare[0].weight.grad[3:])
        )
        recorded = recorder.spectra()[node]["gradient"].sel(group=name).values[0]
        assert_spectra_equal(recorded, spectrum(gradient), 1e-7)


def test_products_with_the_hessian_are_those_of_the_bare_model() -> None:
    model, bare, x = network(), network(), data(8)

    def product(model: nn.Module) -> None:
        gradients = torch.autograd.grad(F.cross_entropy(model(x), Y), [*model.parameters()], create_graph=True)
        sum(gradient.sin().sum() for gradient in gradients).backward()

    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(GROUP):
        product(model)
    product(bare)
    for mine, right in zip(model.parameters(), bare.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, right.grad)
    assert_spectra_equal(pooled(recorder, "2.weight"), spectrum(bare[2].weight.grad), 1e-7)


def test_second_derivatives_of_a_normalisation_are_said_to_be_missing() -> None:
    model, x = nn.Sequential(nn.Linear(8, 7), nn.LayerNorm(7), nn.Linear(7, 3)).double(), data(8)
    bare = copy.deepcopy(model)
    recorder = SpectraRecorder(model, NAMES, extras=["vectors"])
    with pytest.warns(UserWarning, match=r"1\.weight, 1\.bias cannot be recorded in this step"), recorder.step(GROUP):
        penalised(model, x).backward()
    penalised(bare, x).backward()
    assert np.isnan(recorder.spectra()["1.weight"]["gradient"].values).all()
    assert_spectra_equal(pooled(recorder, "0.weight"), spectrum(bare[0].weight.grad), 1e-7)


# Kinds of numbers


@pytest.mark.parametrize("build", [nn.Linear, nn.RNN, nn.RNNCell, partial(nn.Conv1d, kernel_size=1)])
def test_complex_weights_are_refused_when_the_recorder_is_made(build: object) -> None:
    module = build(4, 3, dtype=torch.complex64)
    with pytest.raises(CaptureError, match="complex64"):
        SpectraRecorder(module, NAMES)
    recorder = SpectraRecorder(nn.ModuleDict({"odd": module, "even": nn.Linear(3, 2)}), NAMES)
    assert all("complex64" in row.note for row in recorder.report() if row.parameter.startswith("odd.weight"))


def test_weights_that_are_not_dense_are_refused() -> None:
    layer = nn.Linear(4, 3)
    layer.weight = nn.Parameter(layer.weight.detach().to_sparse_csr())
    with pytest.raises(CaptureError, match="sparse_csr"):
        SpectraRecorder(layer, NAMES)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_weights_of_other_precisions_train_as_without_the_recorder(dtype: torch.dtype) -> None:
    model, bare, x = network().to(dtype), network().to(dtype), data(8, dtype=dtype)
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(GROUP):
        model(x).square().sum().backward()
    bare(x).square().sum().backward()
    assert torch.equal(model[0].weight.grad, bare[0].weight.grad)
    tolerance = 1e-12 if dtype == torch.float64 else 0.02
    assert_spectra_equal(pooled(recorder, "0.weight")[:1], spectrum(bare[0].weight.grad.double())[:1], tolerance)


# Rows that are not in the order of the labels


class Shuffled(nn.Module):
    """A model that sorts its samples inside, and puts them back."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(8, 7), nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        order = x[:, 0].argsort()
        return self.last(self.first(x[order]).tanh()[order.argsort()])


class TimeMajor(nn.Module):
    """A layer that sees (time, sample, feature)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(8, 7), nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x.transpose(0, 1)).tanh().mean(0))


@pytest.mark.parametrize(("build", "sample"), [(Shuffled, (8,)), (TimeMajor, (6, 8))])
def test_rows_in_another_order_are_found_in_the_first_step(build: type, sample: tuple[int, ...]) -> None:
    model = build().double()
    recorder = SpectraRecorder(model, NAMES)
    with pytest.raises(RowsError, match=r"first\.weight .*order of the labels"), recorder.step(GROUP):
        F.cross_entropy(model(data(*sample)), Y).backward()


def test_rows_are_checked_in_every_step_where_asked_for() -> None:
    model, x = Shuffled().double(), data(8)
    in_order = x[x[:, 0].argsort()]
    for check_rows in ("first", "every"):
        with SpectraRecorder(model, NAMES, check_rows=check_rows) as recorder:
            with recorder.step(GROUP):
                F.cross_entropy(model(in_order), Y).backward()
            if check_rows == "first":
                with recorder.step(GROUP):
                    F.cross_entropy(model(x), Y).backward()
            else:
                with pytest.raises(RowsError), recorder.step(GROUP):
                    F.cross_entropy(model(x), Y).backward()


def test_samples_that_meet_on_purpose_are_let_through_where_said_so() -> None:
    model, x = network(), data(8)

    def loss() -> Tensor:
        output = model(x)
        return (output - output.mean(0)).pow(4).sum()

    with pytest.raises(RowsError, match="samples meet"), SpectraRecorder(model, NAMES).step(GROUP):
        loss().backward()
    model = network()
    with SpectraRecorder(model, NAMES, check_rows="never").step(GROUP):
        loss().backward()


@pytest.mark.parametrize("scaled", [False, True])
def test_the_check_of_rows_leaves_gradients_and_random_numbers_alone(scaled: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.4), nn.Linear(6, 3))  # as many outputs as samples
    bare, x = copy.deepcopy(model), data(6, dtype=torch.float32)
    recorder = SpectraRecorder(model, NAMES)
    numbers = []
    for each in (bare, model):
        torch.manual_seed(1)
        with recorder.step(GROUP) if each is model else warnings.catch_warnings():
            loss = F.cross_entropy(each(x), Y) + 0.1 * each[0].weight.square().sum()
            (1000 * loss if scaled else loss).backward()
        numbers.append(torch.rand(3))
    assert torch.equal(*numbers)
    for mine, right in zip(model.parameters(), bare.parameters(), strict=True):
        assert torch.equal(mine.grad, right.grad)


def test_the_check_of_rows_leaves_the_buffers_of_checkpointed_layers_alone() -> None:
    torch.manual_seed(0)
    model = spectral_norm(nn.Linear(8, 3)).double()
    bare, x = copy.deepcopy(model), data(8)
    recorder = SpectraRecorder(nn.ModuleList([model, head := nn.Linear(3, 3).double()]), NAMES)
    for each in (model, bare):
        with recorder.step(GROUP) if each is model else warnings.catch_warnings():
            F.cross_entropy(head(checkpoint(each, x, use_reentrant=False)), Y).backward()
    for mine, right in zip(model.buffers(), bare.buffers(), strict=True):
        assert torch.equal(mine, right)


# Other passes of autograd


def test_what_autograd_grad_returns_is_not_recorded() -> None:
    model, bare, x = network(), network(), data(8)

    def train(model: nn.Module) -> None:
        loss = F.cross_entropy(model(x), Y)
        (gradient,) = torch.autograd.grad(loss, model[2].weight, retain_graph=True)
        (loss * gradient.norm().detach()).backward()

    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(GROUP):
        train(model)
    train(bare)
    assert_spectra_equal(pooled(recorder, "2.weight"), spectrum(bare[2].weight.grad), 1e-12)
    assert_spectra_equal(pooled(recorder, "0.weight"), spectrum(bare[0].weight.grad), 1e-12)


class Adjoint(torch.autograd.Function):
    """A backward that asks autograd for products with the weights, and returns them."""

    @staticmethod
    def forward(ctx: object, field: nn.Module, y: Tensor, *parameters: Tensor) -> Tensor:
        ctx.field, ctx.y, ctx.parameters = field, y, parameters
        return field(y)

    @staticmethod
    def backward(ctx: object, adjoint: Tensor) -> tuple[Tensor | None, ...]:
        total = [torch.zeros_like(parameter) for parameter in ctx.parameters]
        for _ in range(2):
            with torch.enable_grad():
                found = torch.autograd.grad(ctx.field(ctx.y), ctx.parameters, adjoint)
            total = [one + other / 2 for one, other in zip(total, found, strict=True)]
        return None, None, *total


@pytest.mark.parametrize("alone", [True, False])
def test_an_adjoint_is_not_taken_for_a_backward_pass(alone: bool) -> None:
    field, head, x = nn.Linear(8, 3).double(), nn.Linear(3, 3).double(), data(8)
    recorder = SpectraRecorder(field if alone else nn.ModuleList([field, head]), NAMES)

    def run() -> None:
        output = Adjoint.apply(field, x, *field.parameters())
        F.cross_entropy(output if alone else head(output), Y).backward()

    if alone:
        with pytest.raises(NothingCapturedError, match=r"autograd\.grad"), recorder.step(GROUP):
            run()
        return
    with pytest.warns(UserWarning, match=r"reached 0\.weight, but by no operation"), recorder.step(GROUP):
        run()
    assert np.isnan(recorder.spectra()["0.weight"]["gradient"].values).all()
    assert_spectra_equal(pooled(recorder, "1.weight"), spectrum(head.weight.grad), 1e-7)


def test_a_call_that_probes_a_layer_counts_for_nothing() -> None:
    layer, bare, x = nn.Linear(8, 3).double(), nn.Linear(8, 3).double(), data(8)
    bare.load_state_dict(layer.state_dict())

    def train(layer: nn.Module) -> None:
        norm = layer(torch.eye(8, dtype=torch.float64)).norm(dim=0).detach()
        F.cross_entropy(layer(x) / norm, Y).backward()

    recorder = SpectraRecorder(layer, NAMES)
    with recorder.step(GROUP):
        train(layer)
    train(bare)
    assert_spectra_equal(pooled(recorder, "weight"), spectrum(bare.weight.grad), 1e-7)


# Rounding


@pytest.mark.parametrize("is_readout", [True, False])
def test_a_saturated_softmax_is_noticed(is_readout: bool) -> None:
    layer = nn.Linear(4, 2)
    x = torch.cat([torch.full((3, 4), 5.0), torch.full((3, 4), 0.1)])
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.5] * 4, [-0.5] * 4]))
    model = layer if is_readout else nn.Sequential(layer, nn.Unflatten(1, (2, 1)), nn.Flatten())
    labels, group = torch.zeros(6, dtype=torch.int64), torch.tensor([0, 0, 0, 1, 1, 1])
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(group):
        F.cross_entropy(model(x), labels).backward()
    with pytest.warns(UserWarning, match="saturated"):
        values = next(iter(recorder.spectra().children.values()))["gradient"].values[0, :, 0]
    assert np.isnan(values).tolist() == [True, False, False]
    assert recorder.spectra()["finite"].values.tolist() == [False]


@pytest.mark.parametrize(("margin", "noticed"), [(16.0, True), (3.0, False)])
def test_a_saturated_binary_loss_is_noticed(margin: float, noticed: bool) -> None:
    """With a logit of 16 and a target of one, the gradient is half a unit in the last place."""
    model = nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
    x = torch.cat([torch.full((3, 4), margin / 4), torch.full((3, 4), 0.1)])
    group = torch.tensor([0, 0, 0, 1, 1, 1])
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(group):
        F.binary_cross_entropy_with_logits(model(x).squeeze(1), torch.ones(6)).backward()
    with pytest.warns(UserWarning, match="saturated") if noticed else nullcontext():
        values = recorder.spectra()["weight"]["gradient"].values[0, :, 0]
    assert np.isnan(values).tolist() == [noticed, False, False]


def test_a_binary_loss_that_is_sure_and_wrong_is_no_rounding() -> None:
    model, group = nn.Linear(4, 1, bias=False), torch.tensor([0, 0, 0, 1, 1, 1])
    with torch.no_grad():
        model.weight.fill_(-1.0)
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(group):
        F.binary_cross_entropy_with_logits(model(torch.full((6, 4), 5.0)).squeeze(1), torch.ones(6)).backward()
    assert np.isfinite(recorder.spectra()["weight"]["gradient"].values[0, :, 0]).all()


@pytest.mark.parametrize("margin", [4.0, 16.0])
def test_a_binary_loss_of_one_sample_may_be_of_a_scalar(margin: float) -> None:
    model, group = nn.Linear(4, 1, bias=False), torch.tensor([0])
    with torch.no_grad():
        model.weight.fill_(1.0)
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(group):
        F.binary_cross_entropy_with_logits(
            model(torch.full((1, 4), margin / 4)).squeeze(), torch.tensor(1.0)
        ).backward()
    with pytest.warns(UserWarning, match="saturated") if margin == 16 else nullcontext():
        values = recorder.spectra()["weight"]["gradient"].values[0, :, 0]
    assert np.isnan(values).tolist() == [margin == 16, True, margin == 16]
    if margin == 4:
        np.testing.assert_allclose(values[0], model.weight.grad.norm().item(), rtol=1e-6)


@pytest.mark.parametrize("binary", [False, True])
def test_a_loss_of_no_sample_trains_as_without_the_recorder(binary: bool) -> None:
    """As of a detector whose batch has no positives."""

    def train(model: nn.Module) -> None:
        logits = model(data(8, dtype=torch.float32))
        none = logits[:0]
        target = none.detach() if binary else torch.zeros(0, dtype=torch.long)
        loss = F.binary_cross_entropy_with_logits if binary else F.cross_entropy
        (loss(none, target, reduction="sum") + logits.square().mean()).backward()

    bare, recorded = network().float(), network().float()
    train(bare)
    recorder = SpectraRecorder(recorded, NAMES)
    with recorder.step(GROUP):
        train(recorded)
    assert torch.equal(recorded[2].weight.grad, bare[2].weight.grad)
    assert_spectra_equal(recorder.spectra()["2.weight"]["gradient"].values[0, -1], spectrum(bare[2].weight.grad), 1e-6)


def test_a_read_out_has_one_dimension_less() -> None:
    model, x = nn.Sequential(nn.Linear(8, 7), nn.Tanh(), nn.Linear(7, 3)), data(8, dtype=torch.float32)
    recorder = SpectraRecorder(model, NAMES, kinds=("gradient", "delta"))
    with recorder.step(GROUP):
        F.cross_entropy(model(x), Y).backward()
    for kind in ("gradient", "delta"):
        assert np.isfinite(recorder.spectra()["2.weight"][kind].values[0]).sum(1).tolist() == [2, 2, 2]
    with recorder.step(GROUP):
        model(x).square().sum().backward()
    assert np.isfinite(recorder.spectra()["2.weight"]["gradient"].values[1, -1]).sum() == 3


@pytest.mark.parametrize("packed", [False, True])
def test_recurrent_weights_have_the_rank_of_their_rows(packed: bool) -> None:
    layer = nn.GRU(20, 20, batch_first=True).double()
    x, group = data(3, 20), torch.tensor([0, 1, 1, 1, 1, 1])
    lengths = [3, 1, 2, 3, 1, 2]
    recorder = SpectraRecorder(layer, NAMES)
    with recorder.step(group):
        if packed:
            layer(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))[1].sum().backward()
        else:
            layer(x)[1].sum().backward()
    rows = {
        node: np.isfinite(recorder.spectra()[node]["gradient"].values[0]).sum(1).tolist()
        for node in ("weight_ih_l0", "weight_hh_l0")
    }
    if packed:
        assert rows == {"weight_ih_l0": [3, 9, 12], "weight_hh_l0": [2, 4, 6]}
    else:
        assert rows == {"weight_ih_l0": [3, 15, 18], "weight_hh_l0": [2, 10, 12]}


# Making a recorder


@pytest.mark.parametrize(
    "build",
    [
        lambda: spectral_norm(nn.GRUCell(6, 5), "weight_hh"),
        lambda: spectral_norm(nn.Linear(6, 5)),
        lambda: spectral_norm(nn.Conv1d(6, 5, 2)),
        lambda: spectral_norm(nn.Embedding(6, 5)),
        lambda: nn.utils.spectral_norm(nn.LSTMCell(6, 5), "weight_hh"),
    ],
)
def test_making_a_recorder_touches_nothing_of_the_model(build: object) -> None:
    torch.manual_seed(0)
    model = build()
    before, numbers = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    recorder = SpectraRecorder(model, NAMES, extras=["embedding"])
    recorder.report()
    recorder.detach()
    assert torch.equal(torch.get_rng_state(), numbers)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


# Weights that functions use


@pytest.mark.parametrize("channels", [4, 512])
def test_a_weight_that_a_function_uses_is_recorded(channels: int) -> None:
    class Held(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(channels, channels, 4, groups=channels)

        def forward(self, x: Tensor) -> Tensor:
            return F.conv1d(x, self.conv.weight, self.conv.bias, groups=channels)

    model = Held()
    recorder = SpectraRecorder(model, NAMES)
    with recorder.step(GROUP):
        model(data(channels, 9, dtype=torch.float32)).square().sum().backward()
    assert_spectra_equal(pooled(recorder, "conv.weight/block3"), spectrum(model.conv.weight.grad[3:4]), 1e-6)


def test_a_weight_that_is_cast_before_its_use_is_recorded() -> None:
    class Cast(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x, self.weight.to(x.dtype))

    layer, x = Cast(8, 3), data(8)
    recorder = SpectraRecorder(layer, NAMES)
    with recorder.step(GROUP):
        layer(x).square().sum().backward()
    assert_spectra_equal(pooled(recorder, "weight"), spectrum(layer.weight.grad.double()), 1e-6)


def test_frozen_and_freed_layers_are_nan_while_they_are_frozen() -> None:
    model, x = network(), data(8)
    recorder = SpectraRecorder(model, NAMES)
    for is_trained in (True, False, True):
        model[0].requires_grad_(is_trained)
        with recorder.step(GROUP):
            F.cross_entropy(model(x), Y).backward()
    first = recorder.spectra()["0.weight"]["gradient"].values[:, -1, 0]
    assert np.isfinite(first).tolist() == [True, False, True]


def test_transforms_of_torch_func_are_refused() -> None:
    model, x = network(), data(8)
    recorder = SpectraRecorder(model, NAMES)
    with pytest.raises(UnsupportedError, match=r"torch\.func"), recorder.step(GROUP):
        torch.func.vmap(model)(x)
