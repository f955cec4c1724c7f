"""Networks by name: shapes, gradients, and what makes each of them what it is."""

import pytest
import torch

from gradspec.config import resolve
from gradspec.errors import ConfigError
from gradspec.models.registry import build_model
from gradspec.models.transformer import positional_encoding

CASES = [("mlp", (45,)), ("lstm", (12, 5)), ("transformer", (12, 5))]


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
    with pytest.raises(ConfigError, match=r"no model 'resnet'; known are mlp, lstm, transformer"):
        build_model("resnet", (3,), {})
    with pytest.raises(ConfigError, match=r"lstm works on samples \(time, component\).*shape \(45,\)"):
        build_model("lstm", (45,), defaults("lstm"))
    with pytest.raises(ConfigError, match=r"transformer\.width is 30.*transformer\.heads \(4\)"):
        build("transformer", (12, 5), width=30)
