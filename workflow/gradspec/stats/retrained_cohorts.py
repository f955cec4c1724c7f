"""Invented people, of whom the library learns the groups again and again under permutations, as the workflow does.

The people are those of `gradspec.stats.toy_networks`. Everything else is what `stats.permutation.retraining` runs:
partition, scaling, batches and training made anew for each arrangement, features, and the table of tests.
"""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from gradspec.spectra.permuted import summarise_permuted
from gradspec.stats.permuted_groups import test_permuted_groups
from gradspec.stats.toy_networks import LEARNING_RATE, N_HIDDEN, NAMES, PER_GROUP, draw_people
from gradspec.training.fold import Fold
from gradspec.training.retraining import retrain_fold
from gradspec.training.samples import Samples

FOLDS, N_PERMUTATIONS = 2, 19

_LEVELS = ["control", "patient"]
_LAYER = "hidden.0.weight"
_SPLITTING: dict[str, Any] = {"folds": FOLDS, "repeats": 1, "split": "stratified", "site": None}
_FOLD: dict[str, Any] = {
    "model": "mlp",
    "hyperparameters": {"hidden": [N_HIDDEN], "negative_slope": 0.0, "dropout": 0.0},
    "repeat": 0,
    "levels": _LEVELS,
    "epochs": 3,
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


def retrain_cohort(seed: int, size: float, groups: tuple[int, int]) -> tuple[np.ndarray, float]:
    """P-values of the permutation by retraining, of a cohort with a planted difference of that size.

    Parameters
    ----------
    seed : int
        Of the cohort, and of its trainings.
    size : float
        Share of the patients' variance in directions of their own; at 0 the groups differ by chance alone.
    groups : (int, int)
        Controls and patients.

    Returns
    -------
    array, shape (feature,)
        P-value of each of `NAMES`, of the gradient of the hidden layer.
    float
        Smallest of them after correction for their number.
    """
    rng = np.random.default_rng([seed, *groups])
    is_patient = rng.permutation(np.repeat([False, True], groups))
    people = draw_people(rng, is_patient, size).astype(np.float32)
    ids = np.array([f"sub-{number:03}" for number in range(len(people))])
    samples = Samples("features", people, ids, np.full(len(ids), ""), is_patient.astype(np.int64))
    table = pd.DataFrame({"participant_id": ids, "group": np.array(_LEVELS)[samples.groups]})
    with TemporaryDirectory() as folder, _quietly():
        files = [Path(folder) / f"fold-{number}.nc" for number in range(FOLDS)]
        for number, file in enumerate(files):
            fold = Fold(seed=seed, fold=number, **_FOLD)
            retrain_fold(samples, table, fold, n_permutations=N_PERMUTATIONS, splitting=_SPLITTING, file=file)
        features = summarise_permuted(files, (0.0, 1.0), learnt="group")
    tests = test_permuted_groups(features[features["layer"] == _LAYER], NAMES).set_index("feature").loc[NAMES]
    return tests["p_value"].to_numpy(), float(tests["p_corrected"].min())


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the lines that each of very many trainings writes."""
    logging.disable(logging.INFO)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)
