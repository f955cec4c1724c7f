"""Invented people, of whom the library learns the groups again and again under permutations, as the workflow does.

The people are those of `gradspec.stats.toy_networks`. Everything else is what `stats.permutation.retraining` runs, with
its default number of permutations: partition, scaling, batches and training made anew for each arrangement, the omnibus
test, features, and the table of tests.
"""

import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gradspec.spectra.permuted import summarise_permuted
from gradspec.spectra.retrained import summarise_retrained
from gradspec.stats.omnibus import test_omnibus
from gradspec.stats.permuted_groups import test_permuted_groups
from gradspec.stats.toy_networks import LEARNING_RATE, N_HIDDEN, NAMES, PER_GROUP, draw_people
from gradspec.training.fold import Fold
from gradspec.training.retraining import arrange, retrain_fold
from gradspec.training.samples import Samples

FOLDS, REPEATS, N_PERMUTATIONS = 5, 2, 49

_LEVELS = ["control", "patient"]
_LAYER = "hidden.0.weight"
_SPLITTING: dict[str, Any] = {"folds": FOLDS, "split": "stratified", "site": None, "equal_groups": True}
_FOLD: dict[str, Any] = {
    "model": "mlp",
    "hyperparameters": {"hidden": [N_HIDDEN], "negative_slope": 0.0, "dropout": 0.0},
    "levels": _LEVELS,
    "epochs": 4,
    "batch_size": 2 * PER_GROUP,
    "learning_rate": LEARNING_RATE / 10,  # of AdamW, whose steps are larger than those of plain descent
    "weight_decay": 0.01,
    "patience": None,
    "device": "cpu",
    "amp": False,
    "kinds": ["gradient"],
    "record_every": 1,
    "checkpoint_every": 0,
    "groupings_every": 1,
}


class RetrainedTests(NamedTuple):
    """P-values of a cohort.

    Attributes
    ----------
    features : array, shape (feature,)
        Of each of `NAMES`, of the gradient of the hidden layer.
    any_feature : float
        Smallest of them after correction for their number.
    omnibus : float
        Of the network as a whole.
    """

    features: np.ndarray
    any_feature: float
    omnibus: float


def retrain_cohort(
    seed: int, size: float, groups: tuple[int, int], n_permutations: int = N_PERMUTATIONS, repeats: int = REPEATS
) -> RetrainedTests:
    """Test a cohort with a planted difference by training under permuted groups.

    Parameters
    ----------
    seed : int
        Of the cohort, and of its trainings.
    size : float
        Share of the patients' variance in directions of their own; at 0 the groups differ by chance alone.
    groups : (int, int)
        Controls and patients.
    n_permutations, repeats : int
        Permutations, and repeats of the cross-validation.
    """
    rng = np.random.default_rng([seed, *groups])
    is_patient = rng.permutation(np.repeat([False, True], groups))
    people = draw_people(rng, is_patient, size).astype(np.float32)
    ids = np.array([f"sub-{number:03}" for number in range(len(people))])
    samples = Samples("features", people, ids, np.full(len(ids), ""), is_patient.astype(np.int64))
    features, omnibus = test_samples(samples, _FOLD, seed=seed, n_permutations=n_permutations, repeats=repeats)
    tests = test_permuted_groups(features[features["layer"] == _LAYER], NAMES).set_index("feature").loc[NAMES]
    return RetrainedTests(
        tests["p_value"].to_numpy(), float(tests["p_corrected"].min()), float(omnibus["p_corrected"].iloc[0])
    )


def test_samples(
    samples: Samples, fold: Mapping[str, Any], *, seed: int, n_permutations: int, repeats: int
) -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """Train a network on samples of two groups under permutations of them, in five folds that hold equal groups.

    Parameters
    ----------
    samples : Samples
        One per participant.
    fold : mapping
        Settings of a `gradspec.training.fold.Fold`, but seed, repeat and fold.
    seed : int
        Of permutations, folds and trainings.
    n_permutations, repeats : int
        Permutations, and repeats of the cross-validation.

    Returns
    -------
    DataFrame, DataFrame
        Features under permuted groups, and the omnibus test.
    """
    levels = fold["levels"]
    table = pd.DataFrame({"participant_id": samples.participants, "group": np.array(levels)[samples.groups]})
    with TemporaryDirectory() as folder, _quietly():
        files = []
        for repeat in range(repeats):
            arrangements = arrange(
                table, levels, n_permutations=n_permutations, repeat=repeat, seed=seed, splitting=_SPLITTING
            )
            for number in range(FOLDS):
                files.append(Path(folder) / f"repeat-{repeat}_fold-{number}.nc")
                retrain_fold(samples, Fold(seed=seed, repeat=repeat, fold=number, **fold), arrangements, files[-1])
        return summarise_permuted(files, (0.0, 1.0), learnt="group"), test_omnibus([summarise_retrained(files)])


test_samples.__test__ = False  # type: ignore[attr-defined]


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the lines that each of very many trainings writes."""
    logging.disable(logging.INFO)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)
