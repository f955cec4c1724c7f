"""A validation set chooses the network that is kept, and may stop the training; it never learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from low_precision import skip_without_low_precision_lstm
from training_maker import MODELS, assert_same_weights, make_fold, make_samples, train


def memorised(**options):
    """A fold that learns noise by heart, so that its validation loss turns up again."""
    return train(
        make_samples("mlp", separation=0, n=60), make_fold(learning_rate=0.01, **options), n_test=20, n_validation=20
    )


def losses_of(trained, side):
    return trained.metrics.set_index(["set", "epoch"])["loss"].loc[side]


def test_the_network_of_the_lowest_validation_loss_is_kept():
    trained = memorised(epochs=20)
    losses = losses_of(trained, "validation")
    best = int(losses.idxmin())
    assert 0 <= best < 19 and trained.record["kept_epoch"] == best and trained.record["epochs"] == 20
    assert_same_weights(trained.weights, memorised(epochs=best + 1).weights)
    probability = trained.predictions["probability"]
    truth = np.where(trained.predictions["group"] == "patient", probability, 1 - probability)
    assert -np.log(truth).mean() == pytest.approx(losses_of(trained, "test")[best])


@pytest.mark.parametrize("patience", [1, 4])
def test_training_stops_when_patience_is_over(patience):
    losses = losses_of(memorised(epochs=20), "validation").to_numpy()
    stop = next(i for i in range(20) if i - int(losses[: i + 1].argmin()) >= patience)
    trained = memorised(epochs=20, patience=patience)
    np.testing.assert_array_equal(losses_of(trained, "validation"), losses[: stop + 1])
    assert trained.record["epochs"] == stop + 1 < 20
    assert trained.spectra["epoch"].values.max() == stop


def test_validation_participants_are_not_learnt_from():
    samples = make_samples("mlp", separation=1)
    changed = samples.values.copy()
    changed[8:12] *= -3
    first, second = (
        train(each, make_fold(), n_test=8, n_validation=4) for each in (samples, replace(samples, values=changed))
    )
    np.testing.assert_array_equal(losses_of(first, "train"), losses_of(second, "train"))
    assert (losses_of(first, "validation") != losses_of(second, "validation")).all()


@pytest.mark.parametrize("model", MODELS)
def test_half_precision_learns_the_same_to_its_own_accuracy(model):
    if model == "lstm":
        skip_without_low_precision_lstm()
    samples = make_samples(model, separation=1.6, n=60)
    full, half = (train(samples, make_fold(model, amp=amp), n_test=20) for amp in (False, True))
    assert all(tensor.dtype == torch.float32 for tensor in half.weights.values())
    assert half.spectra["finite"].all()
    difference = np.abs(full.spectra["loss"].values - half.spectra["loss"].values)
    assert 0 < difference.max() < 0.01  # bfloat16 has eight bits
    name, first = next((node.path, node["gradient"][0]) for node in full.spectra.subtree if "gradient" in node)
    np.testing.assert_allclose(half.spectra[name]["gradient"][0, :, 0], first[:, 0], rtol=0.05)
