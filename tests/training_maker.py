"""Small cohorts and folds for the tests of the training."""

from dataclasses import replace

import numpy as np
import torch

from gradspec.config import resolve
from gradspec.training.checkpoint import Checkpoint
from gradspec.training.fold import Fold, fingerprint, train_fold
from gradspec.training.samples import Samples

MODELS = ["mlp", "cnn2d", "mean-mlp", "lstm", "elman", "gru", "transformer", "cnn1d", "cnn3d"]
ALL_MODELS = [*MODELS, "autoencoder"]
LEVELS = ["control", "patient"]


def make_samples(model, separation, n=24, seed=0):
    """Vectors or maps that differ in a few places, or time courses that differ in the sign of a correlation."""
    rng = np.random.default_rng(seed)
    groups = np.arange(n) % 2
    if model in ("mlp", "cnn2d"):
        values = rng.standard_normal((n, 15))
        values[:, :5] += separation * groups[:, None]
        kind = "fnc"
    elif model == "cnn3d":
        values = rng.standard_normal((n, 2, 6, 5, 5))
        values[:, 1, :3, :3, :2] += separation * groups[:, None, None, None]
        kind = "maps"
    else:
        values = rng.standard_normal((n, 20, 3))
        values[:, :, 1] += separation * np.where(groups == 1, 1, -1)[:, None] * values[:, :, 0]
        kind = "timecourses"
    ids = np.array([f"sub-{i:02d}" for i in range(n)])
    return Samples(kind, values.astype(np.float32), ids, np.full(n, ""), groups)


def make_fold(model="mlp", **changes):
    config = resolve({"cohort": {"source": "simulated"}, "training": {"models": {model: {}}}})["training"]
    fold = Fold(
        model=model,
        hyperparameters=config["models"][model],
        repeat=0,
        fold=1,
        seed=7,
        levels=LEVELS,
        epochs=2,
        batch_size=8,
        learning_rate=config["learning_rate"],
        weight_decay=config["weight_decay"],
        patience=None,
        device="cpu",
        amp=False,
        kinds=["gradient"],
        record_every=1,
        checkpoint_every=0,
        groupings_every=1,
    )
    return replace(fold, **changes)


def make_sides(samples, n_test=8, n_validation=0):
    ids = list(dict.fromkeys(samples.participants))
    sides = {"train": ids[n_test + n_validation :], "test": ids[:n_test]}
    return sides | ({"validation": ids[n_test : n_test + n_validation]} if n_validation else {})


def train(samples, fold, n_test=8, n_validation=0, groupings=(), checkpoint=None):
    sides = make_sides(samples, n_test, n_validation)
    place = checkpoint and Checkpoint(checkpoint, fingerprint(samples, sides, fold, groupings))
    return train_fold(samples, sides, fold, groupings=groupings, checkpoint=place)


def assert_same_weights(first, second):
    assert all(torch.equal(first[name], second[name]) for name in first)
