"""Small networks trained on invented people, whose gradients can have a planted difference of groups.

A cohort is n participants with independent Gaussian features. Of the patients' features, a share (the planted size) of
the variance may be moved into a few directions that they have in common: their gradients then have another spectrum,
without any difference of means. At size 0 the groups differ by chance alone.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from gradspec.capture import SpectraRecorder
from gradspec.capture.sampling import balanced_batches
from gradspec.spectra.features import FEATURES
from gradspec.spectra.table import per_sample_scale
from gradspec.stats.permutation import permutation_p, permute_by_regrouping

NAMES = ["spectral_norm", "nuclear_norm", "effective_rank", "stable_rank"]

N_FEATURES, N_HIDDEN = 28, 16
N_DIRECTIONS = 3  # that hold the planted share of the patients' variance
EPOCHS, LEARNING_RATE, PER_GROUP = 20, 0.3, 8  # PER_GROUP: most samples of each group in a batch
REGROUPED_EPOCHS, N_PERMUTATIONS = 3, 79


class Design(NamedTuple):
    """How a cohort is made and split: participants of both groups, repeats and folds.

    If it is thinned, every run trains on as many participants of the larger group as of the smaller, drawn anew.
    """

    controls: int
    patients: int
    repeats: int
    folds: int
    thinned: bool = False


class TrainedCohort(NamedTuple):
    """What the networks of a cohort leave behind.

    Attributes
    ----------
    seed : int
        Of the cohort.
    steps : array, shape (repeat, fold, step, group, feature)
        Features of the gradient of the hidden layer in every step.
    losses : array, shape (repeat, fold, step, group)
        Mean cross-entropy of each group's samples.
    epochs : array of int, shape (step,)
        Epoch of each step.
    probability : array, shape (repeat, participant)
        Of being a patient, from the network that did not see the participant.
    is_patient : array of bool, shape (participant,)
        Group.
    is_training : array of bool, shape (run, participant)
        Who trained each run.
    """

    seed: int
    steps: np.ndarray
    losses: np.ndarray
    epochs: np.ndarray
    probability: np.ndarray
    is_patient: np.ndarray
    is_training: np.ndarray

    @property
    def trajectories(self) -> np.ndarray:
        """Features, mean over the steps of each epoch, shape (repeat, fold, epoch, group, feature)."""
        return self._epoch_means(self.steps)

    @property
    def loss_trajectories(self) -> np.ndarray:
        """Losses, mean over the steps of each epoch, shape (repeat, fold, epoch, group)."""
        return self._epoch_means(self.losses)

    @property
    def differences(self) -> np.ndarray:
        """Patients minus controls, mean over all steps, shape (repeat, fold, feature)."""
        differences: np.ndarray = (self.steps[..., 1, :] - self.steps[..., 0, :]).mean(axis=2)
        return differences

    def _epoch_means(self, values: np.ndarray) -> np.ndarray:
        return np.stack([values[:, :, self.epochs == epoch].mean(axis=2) for epoch in np.unique(self.epochs)], axis=2)


def draw_people(rng: np.random.Generator, is_patient: np.ndarray, size: float) -> np.ndarray:
    """Features of people, shape (participant, feature), with a planted difference of that size."""
    x = rng.normal(size=(len(is_patient), N_FEATURES))
    directions, _ = np.linalg.qr(rng.normal(size=(N_FEATURES, N_DIRECTIONS)))
    weights = rng.normal(size=(is_patient.sum(), N_DIRECTIONS)) * np.sqrt(size * N_FEATURES / N_DIRECTIONS)
    x[is_patient] = np.sqrt(1 - size) * x[is_patient] + weights @ directions.T
    return x


def train_cohort(seed: int, size: float, design: Design) -> TrainedCohort:
    """Train all runs of a cohort at once: tanh, softmax, group-balanced batches, stratified folds."""
    rng = np.random.default_rng([seed, *design])
    is_patient = rng.permutation(np.repeat([False, True], [design.controls, design.patients]))
    x = draw_people(rng, is_patient, size)
    fold_of = _draw_folds(rng, is_patient, design)
    n_runs = design.repeats * design.folds
    hidden = rng.normal(size=(n_runs, N_HIDDEN, N_FEATURES)) / np.sqrt(N_FEATURES)
    output = rng.normal(size=(n_runs, 2, N_HIDDEN)) / np.sqrt(N_HIDDEN)
    training = np.array([[people != fold for fold in range(design.folds)] for people in fold_of])
    training = training.reshape(n_runs, -1)
    if design.thinned:
        _thin(rng, is_patient, training)
    features, losses, epochs = [], [], []
    for epoch, batch in _draw_batches(rng, is_patient, training):
        per_group = batch.shape[1] // 2
        truth = np.repeat(np.eye(2), per_group, axis=0)
        activity, probability = _predict(x[batch], hidden, output)
        delta = (probability - truth) / len(truth)
        hidden_delta = (delta @ output) * (1 - activity**2)
        halves = [slice(0, per_group), slice(per_group, None)]
        of_group = np.stack([hidden_delta[:, half].swapaxes(1, 2) @ x[batch[:, half]] for half in halves], axis=1)
        # The gradient of so many samples has no larger rank: what comes after is rounding.
        spectra = np.linalg.svd(of_group, compute_uv=False)[..., :per_group]
        features.append(np.stack([FEATURES[name].function(spectra) for name in NAMES], axis=-1))
        loss = -np.log((probability * truth).sum(axis=2))
        losses.append(np.stack([loss[:, half].mean(axis=1) for half in halves], axis=1))
        epochs.append(epoch)
        output -= LEARNING_RATE * delta.swapaxes(1, 2) @ activity
        hidden -= LEARNING_RATE * of_group.sum(axis=1)
    predicted = _predict(np.broadcast_to(x, (n_runs, *x.shape)), hidden, output)[1][..., 1]
    predicted = predicted.reshape(design.repeats, design.folds, -1)
    unseen = np.take_along_axis(predicted, fold_of[:, None], axis=1)[:, 0]
    steps = np.stack(features, axis=1).reshape(design.repeats, design.folds, len(epochs), 2, len(NAMES))
    of_groups = np.stack(losses, axis=1).reshape(steps.shape[:-1])
    return TrainedCohort(seed, steps, of_groups, np.array(epochs), unseen, is_patient, training)


def permute_cohort(seed: int, size: float, n_participants: int, *, learns_group: bool) -> np.ndarray:
    """P-values of regrouping a network that learns the grouping, or a target that has nothing to do with it.

    Returns
    -------
    array, shape (feature,)
        Of the permutation test by the library's recorder.
    """
    rng = np.random.default_rng([seed, n_participants])
    is_patient = rng.permutation(np.arange(n_participants) % 2 == 1)
    x = torch.from_numpy(draw_people(rng, is_patient, size)).float()
    labels = torch.from_numpy(is_patient.astype(np.int64))
    target = labels if learns_group else torch.from_numpy(rng.permutation(is_patient).astype(np.int64))
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(N_FEATURES, N_HIDDEN), torch.nn.Tanh(), torch.nn.Linear(N_HIDDEN, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    recorder = SpectraRecorder(model, ["control", "patient"], layers=["0"], keep_grams=True)
    for _ in range(REGROUPED_EPOCHS):
        for batch in torch.split(torch.from_numpy(rng.permutation(n_participants)), 2 * PER_GROUP):
            optimizer.zero_grad()
            with recorder.step(labels[batch], samples=batch):
                loss = torch.nn.functional.cross_entropy(model(x[batch]), target[batch])
                loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    def differences(tree: Any) -> np.ndarray:
        spectra = tree["0.weight"]["gradient"].values
        scale = per_sample_scale(tree["n"].values, "gradient", "mean")
        values = [
            definition.function(spectra) * (scale if definition.is_norm else 1.0)
            for definition in (FEATURES[name] for name in NAMES)
        ]
        means: np.ndarray = np.nanmean([value[:, 1] - value[:, 0] for value in values], axis=1)
        return means

    groups = ["control", "patient"]
    observed, permuted = permute_by_regrouping(
        recorder, differences, is_patient.astype(np.int64), groups, n_permutations=N_PERMUTATIONS, seed=seed
    )
    return permutation_p(observed, permuted)


def _draw_folds(rng: np.random.Generator, is_patient: np.ndarray, design: Design) -> np.ndarray:
    """Fold in which each participant is left out, shape (repeat, participant); each group is spread evenly."""
    fold_of = np.empty((design.repeats, len(is_patient)), dtype=int)
    for group in (False, True):
        members = np.flatnonzero(is_patient == group)
        for repeat in fold_of:
            repeat[rng.permutation(members)] = np.arange(len(members)) % design.folds
    return fold_of


def _thin(rng: np.random.Generator, is_patient: np.ndarray, training: np.ndarray) -> None:
    """Take participants of the larger group out of every run's training set, in place, until groups are equal."""
    for run in training:
        sides = sorted((np.flatnonzero(run & (is_patient == group)) for group in (False, True)), key=len)
        run[rng.choice(sides[1], len(sides[1]) - len(sides[0]), replace=False)] = False


def _draw_batches(
    rng: np.random.Generator, is_patient: np.ndarray, training: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """Epoch, and participants of every run, in each step: first controls, then as many patients."""
    labels = [np.where(run, is_patient, -1).astype(int) for run in training]
    for epoch in range(EPOCHS):
        batches = [balanced_batches(run, 2 * PER_GROUP, rng) for run in labels]
        for batch in zip(*batches, strict=True):
            yield epoch, np.array(batch)


def _predict(x: np.ndarray, hidden: np.ndarray, output: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Activity of the hidden layer and probability of each class, of each run's samples."""
    activity = np.tanh(x @ hidden.swapaxes(1, 2))
    logits = activity @ output.swapaxes(1, 2)
    probability = np.exp(logits - logits.max(axis=2, keepdims=True))
    return activity, probability / probability.sum(axis=2, keepdims=True)
