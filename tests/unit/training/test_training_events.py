"""TensorBoard sees the scores and spectra of a fold, also of one that was killed, and the training does not mind."""

import sys
from unittest.mock import patch

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_maker import assert_same_weights, make_fold, make_samples, make_sides, train

import gradspec.training.fold as fold_module
from gradspec.errors import ConfigError
from gradspec.training.folds import train_folds


def read_events(folder):
    return EventAccumulator(str(folder)).Reload()


def test_events_hold_scores_of_epochs_and_spectra_of_steps(tmp_path):
    samples = make_samples("mlp", separation=1)
    fold = make_fold("mlp", tensorboard=True, epochs=3)
    train_folds([fold], [(samples, [])], [make_sides(samples)], [tmp_path / "fold"])
    events = read_events(tmp_path / "fold" / "tensorboard")
    plain = train(samples, make_fold("mlp", epochs=3))
    for side in ("train", "test"):
        expected = plain.metrics[plain.metrics["set"] == side]
        for name in ("loss", "loss_comparison", "roc_auc"):
            found = events.Scalars(f"{name}/{side}")
            assert [event.step for event in found] == [1, 3, 5]  # two steps an epoch
            assert [event.value for event in found] == pytest.approx(expected[name].tolist(), rel=1e-6)
    norms = [event.value for event in events.Scalars("spectral_norm/readout/weight/patient")]
    recorded = plain.spectra["readout.weight/gradient"].sel(group="patient").values[:, 0]
    assert norms == pytest.approx(recorded.tolist(), rel=1e-6)
    assert_same_weights(plain.weights, train(samples, fold, checkpoint=tmp_path / "again").weights)


def test_events_of_a_resumed_fold_are_whole(tmp_path):
    samples = make_samples("mlp", separation=1)
    fold = make_fold("mlp", tensorboard=True, epochs=6, checkpoint_every=2)
    real, done = fold_module.predict, []

    def predict(*arguments):
        done.append(1)
        if len(done) == 4:
            raise KeyboardInterrupt
        return real(*arguments)

    job = ([fold], [(samples, [])], [make_sides(samples)], [tmp_path / "fold"])
    with patch.object(fold_module, "predict", predict), pytest.raises(KeyboardInterrupt):
        train_folds(*job)
    train_folds(*job)
    events = read_events(tmp_path / "fold" / "tensorboard")
    assert [event.step for event in events.Scalars("loss/test")] == [1, 3, 5, 7, 9, 11]
    assert [event.step for event in events.Scalars("spectral_norm/readout/weight/pooled")] == list(range(12))


def test_without_the_package_one_is_told_what_to_do(tmp_path):
    samples = make_samples("mlp", separation=1)
    with patch.dict(sys.modules, {"torch.utils.tensorboard": None}), pytest.raises(ConfigError, match="pip install"):
        train(samples, make_fold("mlp", tensorboard=True), checkpoint=tmp_path)
