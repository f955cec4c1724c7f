"""Networks by name: shapes, gradients, and what makes each of them what it is."""

import numpy as np
import pytest
import torch

from gradspec.capture import SpectraRecorder
from gradspec.cohort.plan import learns_from
from gradspec.config import load_schema, resolve
from gradspec.errors import ConfigError
from gradspec.models.registry import build_model, reconstructs
from gradspec.models.transformer import positional_encoding
from gradspec.models.truncation import split_windows
from gradspec.spectra.file import iterate_layers

CASES = [
    ("mlp", (45,)),
    ("cnn2d", (45,)),
    ("mean-mlp", (12, 5)),
    ("lstm", (12, 5)),
    ("elman", (12, 5)),
    ("gru", (12, 5)),
    ("transformer", (12, 5)),
    ("cnn1d", (12, 5)),
    ("cnn3d", (2, 7, 6, 5)),
]
KINDS = {1: "connectivity", 2: "timecourses", 4: "maps"}


def defaults(name):
    config = {"cohort": {"source": "simulated"}, "training": {"models": {name: {}}}}
    return resolve(config)["training"]["models"][name]


def build(name, shape, **changes):
    torch.manual_seed(0)
    return build_model(name, shape, {**defaults(name), **changes})


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_a_batch_gives_logits_and_every_parameter_a_gradient(name, shape):
    model = build(name, shape)
    logits = model(torch.randn(7, *shape))
    logits.square().sum().backward()
    assert logits.shape == (7, 2)
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_number_of_classes_is_free(name, shape):
    torch.manual_seed(0)
    assert build_model(name, shape, defaults(name), n_classes=3)(torch.randn(2, *shape)).shape == (2, 3)


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_samples_of_a_batch_do_not_meet(name, shape):
    model = build(name, shape).eval()
    batch = torch.randn(4, *shape)
    alone = torch.cat([model(sample[None]) for sample in batch])
    torch.testing.assert_close(model(batch), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_dropout_acts_in_training_only(name, shape):
    model = build(name, shape, dropout=0.5)
    batch = torch.randn(4, *shape)
    assert not torch.equal(model(batch), model(batch))
    model.eval()
    assert torch.equal(model(batch), model(batch))


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_weights_depend_on_the_seed_alone(name, shape):
    first, second = build(name, shape).state_dict(), build(name, shape).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_the_spectra_of_every_matrix_are_recorded(name, shape):
    model = build(name, shape)
    recorder = SpectraRecorder(model, groups=["control", "patient"])
    matrices = {name for name, parameter in model.named_parameters() if parameter.ndim > 1}
    captured = {row.parameter.partition("/")[0] for row in recorder.report() if row.status == "captured"}
    assert captured == matrices
    groups = torch.tensor([0, 1, 0, 1, 1, 1])
    with recorder.step(groups, epoch=0):
        torch.nn.functional.cross_entropy(model(torch.randn(6, *shape)), groups).backward()
    recorded = [spectra["gradient"].values for _, spectra in iterate_layers(recorder.spectra())]
    assert len(recorded) >= len(matrices)
    assert all(np.isfinite(spectra[..., 0]).all() and (spectra[..., 0] > 0).all() for spectra in recorded)


def test_every_network_is_in_the_config_and_its_kind_of_data_is_known():
    models = load_schema()["properties"]["training"]["properties"]["models"]["properties"]
    assert set(models) == {*(name for name, _ in CASES), "autoencoder"}
    assert all(learns_from(name, defaults(name)) == KINDS[len(shape)] for name, shape in CASES)
    assert learns_from("cnn3d", {"input": "alff"}) == "alff"


def test_autoencoder_reconstructs_through_its_code():
    model = build("autoencoder", (12, 5), code=3).eval()
    batch = torch.randn(4, 12, 5)
    reconstruction = model(batch)
    assert reconstruction.shape == batch.shape and reconstructs("autoencoder") and not reconstructs("lstm")
    state = model.encoder(batch)[1][0][0]  # the last hidden state is all that the decoder knows
    volumes, carried = [], None
    for _ in range(12):
        written, carried = model.decoder(state[:, None], carried)
        volumes.insert(0, model.readout(written[:, 0]))
    torch.testing.assert_close(reconstruction, torch.stack(volumes, dim=1), rtol=1e-4, atol=1e-6)


def test_cnn3d_refuses_maps_in_which_a_convolution_would_see_one_voxel():
    build("cnn3d", (1, 5, 6, 7), channels=[2, 2, 2])
    with pytest.raises(ConfigError, match=r"maps of 6 × 7 × 4 voxels are too small for 3 convolutions.*shrink_maps"):
        build("cnn3d", (1, 6, 7, 4), channels=[2, 2, 2])


def test_cnn3d_knows_where_in_the_brain_a_feature_is():
    model = build("cnn3d", (1, 9, 9, 9), channels=[2]).eval()
    left, right = torch.zeros(2, 1, 1, 9, 9, 9)
    left[..., 2, 4, 4] = right[..., 6, 4, 4] = 10  # as far from the grid of the strides
    assert not torch.allclose(model(left), model(right))


def test_mlp_without_hidden_layers_is_a_linear_classifier():
    model = build("mlp", (6,), hidden=[])
    features = torch.randn(3, 6)
    torch.testing.assert_close(model(features), features @ model.readout.weight.T + model.readout.bias)


def test_lstm_reads_out_the_mean_hidden_state():
    model = build("lstm", (9, 4), layers=2).eval()
    timecourses = torch.randn(3, 9, 4)
    states, mean = None, torch.zeros(3, model.lstm.hidden_size)
    for volume in timecourses.split(1, dim=1):  # one volume at a time, carrying the state on
        output, states = model.lstm(volume, states)
        mean += output[:, 0] / 9
    torch.testing.assert_close(model(timecourses), model.readout(mean), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_the_layers_of_a_recurrent_network_are_called_as_it_is(name):
    layers = [f"{name}.{kind}_{of}_l0" for kind in ("weight", "bias") for of in ("ih", "hh")]
    assert list(build(name, (9, 4)).state_dict()) == [*layers, "readout.weight", "readout.bias"]


def test_mlp_of_slope_one_is_linear_and_of_slope_zero_relu():
    linear, relu = (build("mlp", (6,), dropout=0.0, negative_slope=slope) for slope in (1.0, 0.0))
    first, second = torch.randn(2, 5, 6)
    torch.testing.assert_close(linear(first + second) + linear(0 * first), linear(first) + linear(second))
    assert [type(layer).__name__ for layer in relu.hidden][1] == "ReLU"


def test_elman_is_the_recurrence_of_its_formula():
    model = build("elman", (9, 4), readout="last").eval()
    timecourses = torch.randn(3, 9, 4)
    state = torch.zeros(3, 32)
    for volume in timecourses.unbind(dim=1):
        state = torch.tanh(volume @ model.input.weight.T + model.input.bias + state @ model.recurrent.weight.T)
    torch.testing.assert_close(model(timecourses), model.readout(state))


@pytest.mark.parametrize("name", ["elman", "lstm"])
@pytest.mark.parametrize("readout", ["mean", "last"])
def test_truncation_changes_gradients_and_nothing_else(name, readout):
    timecourses = torch.randn(3, 9, 4)
    logits, gradients = [], []
    for truncate in (None, 9, 4):
        model = build(name, (9, 4), readout=readout, truncate=truncate, dropout=0.0)
        logits.append(model(timecourses))
        logits[-1].square().sum().backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]))
    torch.testing.assert_close(logits[0], logits[2])
    assert torch.equal(gradients[0], gradients[1])
    assert not torch.allclose(gradients[0], gradients[2])


@pytest.mark.parametrize("name", ["elman", "lstm"])
def test_gradients_of_the_last_state_go_back_as_far_as_the_window(name):
    model = build(name, (9, 4), readout="last", truncate=4, dropout=0.0)
    timecourses = torch.randn(3, 9, 4, requires_grad=True)
    model(timecourses).square().sum().backward()
    reached = timecourses.grad.abs().sum(dim=(0, 2)) > 0
    assert reached.tolist() == [False] * 5 + [True] * 4


def test_windows_are_counted_from_the_end():
    timecourses = torch.arange(10.0).reshape(1, 10, 1)
    assert [window.flatten().tolist() for window in split_windows(timecourses, 4)] == [
        [0, 1],
        [2, 3, 4, 5],
        [6, 7, 8, 9],
    ]
    assert [window.shape[1] for window in split_windows(timecourses, 5)] == [5, 5]
    assert split_windows(timecourses, None)[0] is timecourses


def test_transformer_sees_as_many_volumes_as_it_is_given():
    model = build("transformer", (10, 3), n_volumes=4).eval()
    timecourses = torch.randn(2, 10, 3)
    changed = timecourses.clone()
    changed[:, 4:] += 1
    assert torch.equal(model(timecourses), model(changed))
    with pytest.raises(ConfigError, match="n_volumes is 11, but the time courses have only 10"):
        build("transformer", (10, 3), n_volumes=11)


def test_gru_reads_out_the_mean_hidden_state():
    model = build("gru", (9, 4), layers=2).eval()
    timecourses = torch.randn(3, 9, 4)
    state, mean = None, torch.zeros(3, model.gru.hidden_size)
    for volume in timecourses.split(1, dim=1):
        output, state = model.gru(volume, state)
        mean += output[:, 0] / 9
    torch.testing.assert_close(model(timecourses), model.readout(mean), rtol=1e-4, atol=1e-6)


def test_mean_mlp_is_the_mlp_of_each_volume_and_blind_to_their_order():
    model = build("mean-mlp", (9, 4)).eval()
    timecourses = torch.randn(3, 9, 4)
    hidden = torch.stack([model.hidden(volume) for volume in timecourses.unbind(dim=1)]).mean(dim=0)
    torch.testing.assert_close(model(timecourses), model.readout(hidden), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(model(timecourses), model(timecourses.flip(1)), rtol=1e-4, atol=1e-6)


def test_cnn1d_sees_as_far_as_its_kernels_reach():
    model = build("cnn1d", (30, 3), channels=[4, 4], kernel=5)
    timecourses = torch.randn(1, 30, 3, requires_grad=True)
    maps = model.convolutions(timecourses.mT)
    assert maps.shape == (1, 4, 30)
    maps[0, :, 15].sum().backward()
    seen = timecourses.grad[0].abs().sum(dim=1).nonzero().flatten()
    assert (seen.min(), seen.max()) == (11, 19)


def test_cnn2d_puts_the_upper_triangle_back_into_a_symmetric_matrix():
    model = build("cnn2d", (10,)).eval()
    matrix = torch.randn(5, 5)
    matrix = matrix + matrix.T
    matrix.fill_diagonal_(0)
    features = matrix[*torch.triu_indices(5, 5, offset=1)]
    rows = torch.einsum("ckj,ij->cki", model.rows.weight[:, 0], matrix)[:, 0] + model.rows.bias[:, None]
    hidden = torch.einsum("hci,ci->h", model.components.weight[..., 0], rows.relu()) + model.components.bias
    torch.testing.assert_close(model(features[None])[0], model.readout(hidden.relu()), rtol=1e-4, atol=1e-6)


def test_transformer_sees_the_order_of_volumes():
    model = build("transformer", (10, 3)).eval()
    timecourses = torch.randn(2, 10, 3)
    assert not torch.allclose(model(timecourses), model(timecourses.flip(1)), atol=1e-4)


def test_positional_encoding_is_that_of_vaswani():
    encoding = positional_encoding(20, 7)
    for position in (0, 1, 19):
        for column in range(7):
            angle = torch.tensor(position / 10000 ** (2 * (column // 2) / 7))
            expected = torch.sin(angle) if column % 2 == 0 else torch.cos(angle)
            torch.testing.assert_close(encoding[position, column], expected, rtol=0, atol=1e-5)


def test_errors_name_the_key_of_the_config():
    with pytest.raises(ConfigError, match=r"no model 'resnet'; known are mlp, cnn2d, mean-mlp, lstm"):
        build_model("resnet", (3,), {})
    with pytest.raises(ConfigError, match=r"lstm works on samples \(time, component\).*shape \(45,\)"):
        build_model("lstm", (45,), defaults("lstm"))
    with pytest.raises(ConfigError, match=r"16 features are not the upper triangle.*choose mlp"):
        build("cnn2d", (16,))
