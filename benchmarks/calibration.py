"""How often the tests of group differences reject: on networks that learn random labels, and on planted differences.

A cohort is n participants with independent Gaussian features; half of them, drawn at random, get the label that a small
network (tanh, softmax) then learns, in repeated stratified cross-validation with group-balanced batches. Of the
patients' features, a share (the planted size) of the variance may be moved into a few directions that they have in
common: their gradients then have another spectrum, without any difference of means. At size 0 the groups differ by
chance alone, and a test at 5 % may reject 5 % of cohorts. Run from the root of the project:
``python -m benchmarks.calibration``.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from gradspec.spectra.features import FEATURES
from gradspec.stats.corrected_t import corrected_resampled_t_test
from gradspec.stats.noise_corrected_jackknife import noise_corrected_jackknife_t_test

N_PARTICIPANTS, N_FEATURES, N_HIDDEN = 60, 28, 16
N_DIRECTIONS = 3  # that hold the planted share of the patients' variance
EPOCHS, LEARNING_RATE, PER_GROUP = 20, 0.3, 8  # PER_GROUP: samples of each group in a batch
DESIGNS = [(4, 5), (2, 5), (10, 5), (3, 10), (10, 2)]  # repeats, folds
SIZES = [0.0, 0.5, 0.75, 1.0]
NAMES = ["spectral_norm", "nuclear_norm", "effective_rank", "stable_rank"]
LEVEL = 0.05


def jackknife_p(differences: np.ndarray) -> np.ndarray:
    """P-values of the delete-fold jackknife over all repeats, without the noise taken off."""
    repeats, folds = differences.shape[:2]
    within = differences.var(axis=1, ddof=1).mean(axis=0)
    statistic = differences.mean(axis=(0, 1)) / np.sqrt((folds - 1) ** 2 / folds * within)
    return 2 * stats.t.sf(np.abs(statistic), repeats * (folds - 1))


def flat(differences: np.ndarray) -> np.ndarray:
    """Repeats and folds as one dim of runs."""
    return differences.reshape(-1, *differences.shape[2:])


TESTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ordinary paired t": lambda d: corrected_resampled_t_test(flat(d), 0.0).p_value,
    "corrected resampled t": lambda d: corrected_resampled_t_test(flat(d), 1 / (d.shape[1] - 1)).p_value,
    "delete-fold jackknife t": jackknife_p,
    "noise-corrected jackknife t": lambda d: noise_corrected_jackknife_t_test(d, N_PARTICIPANTS).p_value,
}


def draw_training_sets(rng: np.random.Generator, groups: list[np.ndarray], repeats: int, folds: int) -> np.ndarray:
    """Training participants of each group in each run, shape (run, group, participant)."""
    sets = []
    for _ in range(repeats):
        shuffled = [rng.permutation(group) for group in groups]
        position = np.arange(len(groups[0])) % folds
        sets += [[group[position != fold] for group in shuffled] for fold in range(folds)]
    return np.array(sets)


def draw_batches(rng: np.random.Generator, training: np.ndarray) -> Iterator[np.ndarray]:
    """Participants of every step, first those of one group, then of the other; shape (run, 2 · PER_GROUP)."""
    for _ in range(EPOCHS):
        shuffled = rng.permuted(training, axis=2)
        for start in range(0, training.shape[2] - PER_GROUP + 1, PER_GROUP):
            yield shuffled[:, :, start : start + PER_GROUP].reshape(len(training), -1)


def train_cohort(seed: int, size: float, repeats: int, folds: int) -> np.ndarray:
    """Train all runs of a cohort at once.

    Returns
    -------
    array, shape (repeat, fold, feature)
        Difference of the groups in each feature of the gradient of the hidden layer, mean over all steps.
    """
    rng = np.random.default_rng([seed, repeats, folds])
    x = rng.normal(size=(N_PARTICIPANTS, N_FEATURES))
    groups = np.split(rng.permutation(N_PARTICIPANTS), 2)
    directions, _ = np.linalg.qr(rng.normal(size=(N_FEATURES, N_DIRECTIONS)))
    weights = rng.normal(size=(len(groups[1]), N_DIRECTIONS)) * np.sqrt(size * N_FEATURES / N_DIRECTIONS)
    x[groups[1]] = np.sqrt(1 - size) * x[groups[1]] + weights @ directions.T

    training = draw_training_sets(rng, groups, repeats, folds)
    n_runs = len(training)
    hidden = rng.normal(size=(n_runs, N_HIDDEN, N_FEATURES)) / np.sqrt(N_FEATURES)
    output = rng.normal(size=(n_runs, 2, N_HIDDEN)) / np.sqrt(N_HIDDEN)
    truth = np.repeat(np.eye(2), PER_GROUP, axis=0)
    gradients = []
    for batch in draw_batches(rng, training):
        activity = np.tanh(x[batch] @ hidden.swapaxes(1, 2))
        logits = activity @ output.swapaxes(1, 2)
        probability = np.exp(logits - logits.max(axis=2, keepdims=True))
        probability /= probability.sum(axis=2, keepdims=True)
        delta = (probability - truth) / (2 * PER_GROUP)
        hidden_delta = (delta @ output) * (1 - activity**2)
        halves = [slice(0, PER_GROUP), slice(PER_GROUP, None)]
        of_group = np.stack([hidden_delta[:, half].swapaxes(1, 2) @ x[batch[:, half]] for half in halves])
        gradients.append(of_group)
        output -= LEARNING_RATE * delta.swapaxes(1, 2) @ activity
        hidden -= LEARNING_RATE * of_group.sum(axis=0)
    # The gradient of PER_GROUP samples has no larger rank: what comes after is rounding.
    spectra = np.linalg.svd(np.array(gradients), compute_uv=False)[..., :PER_GROUP]
    features = np.stack([FEATURES[name].function(spectra) for name in NAMES], axis=-1)
    return (features[:, 1] - features[:, 0]).mean(axis=0).reshape(repeats, folds, len(NAMES))


def measure(cohorts: int, designs: list[tuple[int, int]] = DESIGNS, sizes: list[float] = SIZES) -> pd.DataFrame:
    """Share of cohorts in which each test rejects, in percent, a row a design, size and test."""
    rows = []
    for repeats, folds in designs:
        for size in sizes:
            differences = np.stack([train_cohort(seed, size, repeats, folds) for seed in range(cohorts)], axis=2)
            for name, test in TESTS.items():
                rejected = 100 * (test(differences) < LEVEL).mean(axis=0)
                rows.append([f"{folds} folds × {repeats}", size, name, *rejected])
    return pd.DataFrame(rows, columns=["design", "size", "test", *NAMES])


def main() -> None:
    """Print the table, and what chance allows at size 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=100, help="cohorts for each design and size (default: 100)")
    cohorts = parser.parse_args().cohorts
    print(measure(cohorts).to_string(index=False, float_format=lambda value: f"{value:g}"))
    low, high = 100 * stats.binom(cohorts, LEVEL).ppf([0.025, 0.975]) / cohorts
    print(f"\nPercent of {cohorts} cohorts with p < {LEVEL:g}; at size 0, exactly 5 % would give {low:g} to {high:g}")


if __name__ == "__main__":
    main()
