"""Whether p-values of the main test are uniform where the groups of real people are drawn at random.

The cohort is ABIDE's site NYU (184 participants) as `GRADSPEC_TEST_DATA` holds it. In each draw half of the
participants, at random, are called patients; a network learns them from the time courses, under the labels and 49
permutations of them, with the defaults of ``stats.permutation`` and 20 epochs; the omnibus test gives a p-value.
Printed are the p-values, how many lie below 0.05, and the Kolmogorov-Smirnov test against the uniform distribution.
Run from the root of the project: ``python -m benchmarks.real_null``.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import kstest

from benchmarks.training import LEVELS, make_fold
from gradspec.cohort.arrays import read_array
from gradspec.config import resolve
from gradspec.files import read_table
from gradspec.stats.retrained_cohorts import N_PERMUTATIONS, test_samples
from gradspec.training.fold import Fold
from gradspec.training.plan import count_epochs
from gradspec.training.samples import Samples

EPOCHS, BATCH_SIZE = 20, 32
GIVEN = ("seed", "repeat", "fold")  # by each training


def read_people(data: Path) -> np.ndarray:
    """Time courses of all participants, as many volumes as all of them have, every region that all of them have."""
    table = read_table(data / "participants.tsv")
    arrays = [read_array(data / file, None, None, "timeseries") for file in table["timeseries"]]
    series = [np.asarray(array.values, dtype=np.float32) for array in arrays]
    n_volumes = min(map(len, series))
    values = np.stack([each[:n_volumes] for each in series])
    return values[:, :, (values.std(axis=1) > 0).all(axis=0)]


def make_settings(model: str) -> dict[str, Any]:
    """Settings of a fold under permuted groups, as the workflow has them by default."""
    permutation = resolve({"cohort": {"source": "simulated"}})["stats"]["permutation"]
    fold = make_fold(model, EPOCHS, "cpu")
    settings = {name: getattr(fold, name) for name in Fold.__dataclass_fields__ if name not in GIVEN}
    epochs = count_epochs(permutation["epochs"], EPOCHS)
    return settings | {"epochs": epochs, "record_every": permutation["record_every"], "batch_size": BATCH_SIZE}


def main() -> None:
    """Draw, test and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=40, help="groups that are drawn (default: 40)")
    parser.add_argument("--model", default="mean-mlp", help="network that learns them (default: mean-mlp)")
    options = parser.parse_args()
    if "GRADSPEC_TEST_DATA" not in os.environ:
        raise SystemExit("set GRADSPEC_TEST_DATA to the folder that holds abide-nyu")
    torch.set_num_threads(1)
    values = read_people(Path(os.environ["GRADSPEC_TEST_DATA"]) / "abide-nyu")
    ids = np.array([f"sub-{number:03}" for number in range(len(values))])
    settings = make_settings(options.model)
    print(f"{options.model}, groups of {' and '.join(LEVELS)} drawn among {values.shape[0]} people: {values.shape[1:]}")
    p_values = []
    for draw in range(options.draws):
        groups = np.random.default_rng(draw).permutation(np.arange(len(values)) % 2)
        samples = Samples("timecourses", values, ids, np.full(len(ids), ""), groups)
        start = time.process_time()
        _, omnibus = test_samples(samples, settings, seed=draw, n_permutations=N_PERMUTATIONS, repeats=1)
        p_values.append(float(omnibus["p_value"].iloc[0]))
        print(f"draw {draw}: p = {p_values[-1]:.4f} ({time.process_time() - start:.0f} CPU s)", flush=True)
    below = sum(p_value <= 0.05 for p_value in p_values)
    print(f"{below} of {len(p_values)} below 0.05; Kolmogorov-Smirnov p = {kstest(p_values, 'uniform').pvalue:.2f}")


if __name__ == "__main__":
    main()
