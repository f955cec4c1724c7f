"""A fold from samples to files: it learns, does not leak, is reproducible, and is not changed by being watched."""

import json
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from training_maker import ALL_MODELS, LEVELS, MODELS, assert_same_weights, make_fold, make_samples, make_sides, train

import gradspec.training.fold as fold_module
from gradspec.errors import ConfigError
from gradspec.files import read_table
from gradspec.models.registry import build_model
from gradspec.training.evaluation import predict, score_logits
from gradspec.training.fold import train_fold
from gradspec.training.loop import fit
from gradspec.training.outputs import write_fold
from gradspec.training.samples import Samples


@pytest.mark.parametrize("model", MODELS)
def test_separable_groups_are_learnt(model):
    samples = make_samples(model, separation=1.6, n=60)
    trained = train(samples, make_fold(model, epochs=25, learning_rate=0.01), n_test=20)
    last = trained.metrics.set_index(["epoch", "set"]).loc[24]
    assert last.loc["test", "roc_auc"] > 0.9
    assert last.loc["train", "loss"] < 0.5 * trained.metrics.loc[0, "loss"]


def test_pure_noise_stays_at_chance_although_the_training_set_is_learnt_by_heart():
    aucs = []
    for seed in range(6):
        samples = make_samples("mlp", separation=0, n=60, seed=seed)
        trained = train(samples, make_fold(epochs=20, learning_rate=0.01, seed=seed), n_test=30)
        last = trained.metrics.set_index(["epoch", "set"]).loc[19]
        assert last.loc["train", "roc_auc"] > 0.95
        aucs.append(last.loc["test", "roc_auc"])
    assert abs(np.mean(aucs) - 0.5) < 0.15  # three standard errors: sd of one AUC with 15 + 15 is 0.11


@pytest.mark.parametrize("model", MODELS)
def test_test_participants_change_nothing_but_their_own_predictions(model):
    samples = make_samples(model, separation=1)
    changed = samples.values.copy()
    changed[:8] = 5 * changed[:8][::-1] + 1
    first, second = (train(each, make_fold(model)) for each in (samples, replace(samples, values=changed)))
    assert_same_weights(first.weights, second.weights)
    xr.testing.assert_identical(first.spectra, second.spectra)
    training = [fold.metrics[fold.metrics["set"] == "train"] for fold in (first, second)]
    pd.testing.assert_frame_equal(*training)
    assert not np.allclose(first.predictions["probability"], second.predictions["probability"])


@pytest.mark.parametrize("model", ALL_MODELS)
def test_equal_runs_write_equal_bytes(model, tmp_path):
    samples = make_samples(model, separation=1)
    for name in ("first", "second"):
        torch.manual_seed(len(name))  # what ran before in this process does not matter
        np.random.seed(len(name))  # noqa: NPY002
        write_fold(train(samples, make_fold(model)), tmp_path / name)
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("first", "second")
    )
    tables = {"metrics.tsv", "metrics.json", "predictions.tsv", "predictions.json"}
    assert set(first) == {"spectra.nc", "model.pt", "training.json", *tables}
    records = [json.loads(files.pop("training.json")) for files in (first, second)]
    for record in records:
        assert record.pop("seconds") > 0
    assert records[0] == records[1]
    assert first == second


def test_every_epoch_has_batches_of_its_own_and_other_folds_have_others():
    samples, drawn = make_samples("mlp", separation=1), []
    for fold in (make_fold(), make_fold(), make_fold(fold=0)):
        with patch.object(fold_module, "fit", wraps=fit) as watched:
            train(samples, fold)
        draw_batches = watched.call_args.kwargs["draw_batches"]
        drawn.append([np.concatenate(draw_batches(epoch)).tolist() for epoch in (0, 1)])
    assert all(sorted(epoch) == list(range(8, 24)) for of_fold in drawn for epoch in of_fold)
    assert drawn[0] == drawn[1] and drawn[0][0] != drawn[0][1]
    assert drawn[2][0] not in drawn[0]


@pytest.mark.parametrize("changes", [{"repeat": 1}, {"fold": 0}, {"seed": 8}])
def test_other_folds_have_other_random_numbers(changes):
    samples = make_samples("mlp", separation=1)
    first, other = (train(samples, fold) for fold in (make_fold(), make_fold(**changes)))
    assert not torch.equal(first.weights["readout.weight"], other.weights["readout.weight"])


@pytest.mark.parametrize("model", MODELS)
def test_recording_does_not_change_training(model):
    samples = make_samples(model, separation=1)
    inputs, groups = torch.from_numpy(samples.values), torch.from_numpy(samples.groups)
    batches = [np.arange(start, start + 8) for start in (0, 8, 16)]

    def run(make_recorder):
        torch.manual_seed(0)
        fold = make_fold(model)
        network = build_model(model, samples.values.shape[1:], fold.hyperparameters)
        curve = []
        fit(
            network,
            inputs,
            groups,
            epochs=range(3),
            draw_batches=lambda epoch: batches,
            optimizer=torch.optim.AdamW(network.parameters()),
            recorder=make_recorder(network),
            after_epoch=lambda epoch: bool(curve.append(predict(network, inputs))),
        )
        return network.state_dict(), np.array(curve)

    from gradspec.capture import SpectraRecorder

    weights, curve = run(lambda network: SpectraRecorder(network, groups=LEVELS))
    plain_weights, plain_curve = run(lambda network: Bystander())
    # The gradient of some layers is a sum over groups, which rounds differently from a sum over the whole batch. The
    # bias of the attention keys cancels in the softmax: its gradient is rounding alone, which AdamW then scales up.
    for name in weights:
        if name.endswith("in_proj_bias"):
            weights[name], plain_weights[name] = (
                torch.cat([bias.chunk(3)[0], bias.chunk(3)[2]]) for bias in (weights[name], plain_weights[name])
            )
        torch.testing.assert_close(weights[name], plain_weights[name], rtol=0, atol=1e-5)
    np.testing.assert_allclose(curve, plain_curve, atol=1e-4)


def test_spectra_metrics_and_predictions_are_complete(tmp_path):
    samples = make_samples("lstm", separation=1)
    folder = tmp_path / "ein Ordner"
    write_fold(train(samples, make_fold("lstm")), folder)
    with xr.open_datatree(folder / "spectra.nc", engine="h5netcdf") as spectra:
        assert spectra["group"].values.tolist() == [*LEVELS, "pooled"]
        assert spectra["epoch"].values.tolist() == [0, 0, 1, 1]  # 16 training samples in batches of 8
        assert (spectra["n"].values == [4, 4, 8]).all()
        assert {"model", "repeat", "fold", "seed", "loss_reduction", "group_definition"} <= set(spectra.attrs)
        np.testing.assert_allclose(spectra["loss"], spectra["group_loss"].sel(group=LEVELS).mean("group"), rtol=1e-6)
        gradient = spectra["lstm.weight_hh_l0/gradient"]
        assert gradient.dims == ("step", "group", "index") and (gradient > 0).any()
    metrics = read_table(folder / "metrics.tsv")
    assert metrics[["epoch", "set"]].values.tolist() == [[0, "train"], [0, "test"], [1, "train"], [1, "test"]]
    predictions = read_table(folder / "predictions.tsv")
    assert predictions["participant_id"].tolist() == [f"sub-{i:02d}" for i in range(8)]
    assert predictions["run"].isna().all()
    assert ((predictions["probability"] > 0.5) == (predictions["predicted"] == "patient")).all()
    accuracy = np.mean([(rows["predicted"] == group).mean() for group, rows in predictions.groupby("group")])
    assert metrics["balanced_accuracy"].iloc[-1] == pytest.approx(accuracy)
    weights = torch.load(folder / "model.pt", weights_only=True)
    network = build_model("lstm", samples.values.shape[1:], make_fold("lstm").hyperparameters)
    network.load_state_dict(weights)
    record = json.loads((folder / "training.json").read_text())
    assert record["n"] == {"train": {"control": 8, "patient": 8}, "test": {"control": 4, "patient": 4}}
    assert record["steps"] == 4 and record["device"] == "cpu"


def test_spectra_of_every_other_step_are_those_of_all_steps():
    samples = make_samples("lstm", separation=1)
    every, other = (train(samples, make_fold("lstm", record_every=k)).spectra for k in (1, 2))
    assert other["step"].values.tolist() == [0, 2]
    expected = every["lstm.weight_hh_l0/gradient"].isel(step=[0, 2]).values
    np.testing.assert_allclose(other["lstm.weight_hh_l0/gradient"], expected, atol=1e-5 * np.nanmax(expected))


def test_all_runs_of_a_participant_are_on_one_side():
    samples = make_samples("mlp", separation=1, n=24)
    twice = replace(
        samples,
        participants=np.repeat(samples.participants[::2], 2),
        runs=np.tile(["run-1", "run-2"], 12),
        groups=np.repeat(np.arange(12) % 2, 2),
    )
    trained = train(twice, make_fold(), n_test=4)
    assert trained.predictions["participant_id"].value_counts().tolist() == [2, 2, 2, 2]
    assert trained.predictions["run"].tolist() == ["run-1", "run-2"] * 4
    assert trained.record["n"]["train"] == {"control": 8, "patient": 8}


def test_score_agrees_with_definitions():
    rng = np.random.default_rng(0)
    logits, groups = rng.standard_normal((12, 2)), np.array([0] * 7 + [1] * 5)
    probability = np.exp(logits[:, 1]) / np.exp(logits).sum(1)
    losses = -np.log(np.where(groups == 1, probability, 1 - probability))
    pairs = [probability[i] > probability[j] for i in range(7, 12) for j in range(7)]
    scores = score_logits(logits, groups)
    assert scores["loss"] == pytest.approx(losses.mean())
    assert scores["loss_reference"] == pytest.approx(losses[:7].mean())
    assert scores["loss_comparison"] == pytest.approx(losses[7:].mean())
    assert scores["balanced_accuracy"] == pytest.approx(
        ((probability[:7] < 0.5).mean() + (probability[7:] > 0.5).mean()) / 2
    )
    assert scores["roc_auc"] == pytest.approx(np.mean(pairs))
    assert np.isnan(score_logits(logits[:7], groups[:7])["roc_auc"])


def test_errors_name_participants_groups_and_keys():
    samples = make_samples("mlp", separation=1)
    ids = samples.participants.tolist()
    for train_ids, test_ids, message in (
        ([*ids[8:], "sub-99"], ids[:8], "sub-99 have no data"),
        (ids[9:], ids[:8], "sub-08 must be on exactly one side"),
        (ids[7:], ids[:8], "sub-07 must be on exactly one side"),
        (ids[::2], ids[1::2], "no training sample of group 'patient'"),
    ):
        with pytest.raises(ConfigError, match=message):
            train_fold(samples, {"train": train_ids, "test": test_ids}, make_fold())
    with pytest.raises(ConfigError, match="lstm works on samples"):
        train(samples, make_fold("lstm"))


class Bystander:
    """A recorder that records nothing."""

    @contextmanager
    def step(self, group, *, epoch=None, samples=None):
        yield SimpleNamespace(record=lambda **losses: None)


def test_participants_that_a_fold_leaves_out_are_as_if_they_were_not_there():
    samples = make_samples("mlp", separation=1.0)
    sides = make_sides(samples)
    less = {**sides, "train": sides["train"][:-2], "unused": sides["train"][-2:]}
    there = np.isin(samples.participants, [*less["train"], *less["test"]])
    without = Samples(
        samples.kind, samples.values[there], samples.participants[there], samples.runs[there], samples.groups[there]
    )
    left_out = train_fold(samples, less, make_fold())
    absent = train_fold(without, {side: less[side] for side in ("train", "test")}, make_fold())
    assert left_out.predictions.equals(absent.predictions)
    assert_same_weights(left_out.weights, absent.weights)
