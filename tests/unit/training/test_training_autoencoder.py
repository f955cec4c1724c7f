"""A network that reconstructs: it learns without labels, is recorded by group, and claims to tell nobody apart."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from training_maker import LEVELS, make_fold, make_samples, make_sides, train

from gradspec.cohort.numerical import sinusoids
from gradspec.stats.covariates import regress_scores
from gradspec.stats.performance import score_model
from gradspec.stats.summary import _tell_performance
from gradspec.training.predictions import score_predictions
from gradspec.training.samples import Samples


@pytest.fixture(scope="module")
def samples():
    groups = np.arange(48) % 2
    values = sinusoids(groups, n_series=2, n_volumes=30, separation=0.2, seed=0).astype(np.float32)
    return Samples("timecourses", values, np.array([f"sub-{i:02d}" for i in range(48)]), np.full(48, ""), groups)


@pytest.fixture(scope="module")
def trained(samples):
    return train(samples, make_fold("autoencoder", epochs=30, learning_rate=0.01), n_test=16)


def test_reconstruction_is_learnt_and_holds_on_others(trained):
    loss = trained.metrics.pivot_table(index="epoch", columns="set", values="loss")
    assert loss["test"].iloc[-1] < 0.95 and loss["train"].iloc[-1] < loss["train"].iloc[0] - 0.05
    assert loss["test"].iloc[0] > 0.97  # the mean of each time course has 1


def test_loss_is_the_mean_squared_error_of_each_group(trained):
    last = trained.metrics.query("set == 'test'").iloc[-1]
    by_group = trained.predictions.groupby("group")["error"].mean()
    assert last["loss"] == pytest.approx(trained.predictions["error"].mean(), rel=1e-6)
    np.testing.assert_allclose(last[["loss_reference", "loss_comparison"]].astype(float), by_group[LEVELS], rtol=1e-6)
    losses = trained.spectra
    np.testing.assert_allclose(losses["loss"], losses["group_loss"].sel(group=LEVELS).mean("group"), rtol=1e-5)


def test_labels_take_no_part_in_what_is_learnt_but_in_what_is_recorded(samples):
    fold = make_fold("autoencoder", epochs=1, batch_size=32)
    fold = replace(fold, hyperparameters={**fold.hyperparameters, "dropout": 0.0})
    groups = samples.groups.copy()
    groups[16:] = np.random.default_rng(1).permutation(groups[16:])
    shuffled = replace(samples, groups=groups)
    first, second = (train(each, fold, n_test=16) for each in (samples, shuffled))
    for name, weights in first.weights.items():  # one batch holds everybody, in whatever order
        np.testing.assert_allclose(weights, second.weights[name], atol=1e-5)
    norms = [each.spectra["readout.weight/gradient"].sel(group=LEVELS).values for each in (first, second)]
    assert not np.allclose(*norms, rtol=1e-3)


def test_every_matrix_is_recorded(trained):
    recorded = {node.path.strip("/") for node in trained.spectra.subtree if "gradient" in node.data_vars}
    lstm = {f"{part}.weight_{side}_l0" for part in ("encoder", "decoder") for side in ("ih", "hh")}
    assert {name.split("/")[0] for name in recorded} == {*lstm, "readout.weight"}


def test_it_claims_to_tell_nobody_apart(trained):
    assert trained.metrics[["roc_auc", "balanced_accuracy"]].isna().all(axis=None)
    assert trained.predictions[["probability", "predicted"]].isna().all(axis=None)
    other = train(make_samples("mlp", 1), make_fold("mlp"))
    scores = score_predictions(pd.concat([trained.predictions, other.predictions]), LEVELS).set_index("model")
    assert scores.loc["autoencoder", "error"].iloc[-1] == pytest.approx(trained.predictions["error"].mean())
    assert scores.loc["autoencoder", ["roc_auc", "brier", "true_reference"]].isna().all(axis=None)
    assert scores.loc["mlp", "error"].isna().all() and scores.loc["mlp", "roc_auc"].notna().all()


def test_statistics_speak_of_its_error_alone(trained, samples):
    rows = [(0, 1, who, "test") for who in make_sides(samples, 16)["test"]]
    splits = pd.DataFrame(rows, columns=["repeat", "fold", "participant_id", "set"])
    table = score_model(trained.predictions, splits, levels=LEVELS, alpha=0.05, seed=0)
    assert table["metric"].tolist() == ["reconstruction_error"]
    (row,) = table.itertuples()
    assert row.ci_low < row.estimate < row.ci_high
    assert row.estimate == pytest.approx(trained.predictions["error"].mean())
    (sentence,) = _tell_performance(table, {"autoencoder"}, LEVELS, 0.05, (14, 14))
    assert "mean squared error" in sentence and "ROC" not in sentence
    people = trained.predictions[["participant_id"]]
    scores = regress_scores(trained.predictions, people, levels=LEVELS, covariates=[], correction="holm", alpha=0.05)
    assert scores["test"].tolist() == ["not tested: it predicts no group"]
