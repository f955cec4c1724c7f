"""What permuting the groups costs, in units of training a network once: as it is done, and one network after the other.

At the size of COBRE (157 participants, 140 volumes, 53 components), the hyper-parameters of the config's defaults and
its ten folds, on noise. The unit is one fold as the workflow trains it: all epochs, every step recorded, tried after
each. Beside it stand the permuted trainings of that fold with the defaults of ``stats.permutation`` (the first share of
the epochs, networks in a stack where that works), and, extrapolated from two of each, the same permutations over all
epochs one after the other, as the gold standard would have them: ``--permutations`` and 99. CPU seconds of one thread,
by turns; peak memory of a process of its own. Run from the root of the project: ``python -m benchmarks.retraining``.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.training import FOLDS, LEVELS, draw_samples, make_fold
from gradspec.config import resolve
from gradspec.files import write_json
from gradspec.training.fold import Fold, train_fold
from gradspec.training.plan import count_epochs
from gradspec.training.retraining import Arrangement, arrange, retrain_fold
from gradspec.training.samples import Samples

MODELS = ("mlp", "mean-mlp", "cnn1d", "lstm", "gru", "transformer")
TODAY = 99  # permutations whose p-values are to be worth as much
N_ALONE = 2  # trainings one after the other that are measured, from which the others are reckoned


def prepare(
    model: str, n_permutations: int, epochs: int, device: str, share: float | None
) -> tuple[Samples, list[Arrangement], Fold, Fold]:
    """Samples, arrangements, the fold as it is trained, and as it is trained under permuted groups."""
    permutation = resolve({"cohort": {"source": "simulated"}})["stats"]["permutation"]
    samples = draw_samples(model)
    table = pd.DataFrame({"participant_id": samples.participants, "group": np.array(LEVELS)[samples.groups]})
    splitting = {"folds": FOLDS, "split": "stratified", "site": None, "validation": 0, "equal_groups": True}
    options: dict[str, Any] = {"n_permutations": n_permutations, "repeat": 0, "seed": 0, "splitting": splitting}
    fold = make_fold(model, epochs, device)
    permuted = replace(
        fold,
        epochs=count_epochs(permutation["epochs"] if share is None else share, epochs),
        record_every=permutation["record_every"],
    )
    return samples, arrange(table, LEVELS, **options), fold, permuted


def run_permuted(model: str, n_permutations: int, epochs: int, device: str, share: float | None) -> None:
    """Train one fold under permuted groups, as a job of the workflow does."""
    samples, arrangements, _, fold = prepare(model, n_permutations, epochs, device, share)
    with tempfile.TemporaryDirectory() as folder:
        retrain_fold(samples, fold, arrangements, Path(folder) / "spectra_permuted-0.nc")


def measure_peak(*arguments: Any) -> float:
    """Peak memory in MiB of a process that trains one fold under permuted groups."""
    code = f"from benchmarks.retraining import run_permuted; run_permuted{arguments!r}"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"the process that trains {arguments[0]} under permuted groups failed")
    return usage.ru_maxrss / 1024  # KiB on Linux


def measure(model: str, options: argparse.Namespace) -> dict[str, Any]:
    """CPU seconds of each way, and what the permutations cost in trainings."""
    arguments = (model, options.permutations, options.epochs, options.device, options.share)
    samples, arrangements, fold, permuted = prepare(*arguments)
    sides = arrangements[0].sides[0]
    again = replace(fold, record_every=permuted.record_every)
    clock = time.process_time if options.device == "cpu" else time.perf_counter
    ways: dict[str, Callable[[], Any]] = {
        "once": lambda: train_fold(samples, sides, fold),
        "permuted": lambda: run_permuted(*arguments),
        "alone": lambda: [train_fold(samples, sides, again) for _ in range(N_ALONE)],
    }
    train_fold(samples, sides, replace(fold, epochs=1))  # what is imported and set up once
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.repeats):
        for name, way in ways.items():
            start = clock()
            way()
            seconds[name].append(clock() - start)
    once, all_permuted, alone = (median(seconds[name]) for name in ways)
    return {
        "model": model,
        "once": once,
        "permuted": all_permuted,
        "cost": all_permuted / once,
        "today": (1 + TODAY) * alone / N_ALONE / once,
        "peak": measure_peak(*arguments),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, action="append", help="network to measure, all by default")
    parser.add_argument("--permutations", type=int, default=49)
    parser.add_argument("--share", type=float, help="share of the epochs, instead of the default")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3, help="times that each way is measured")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    print(f"CPU seconds a fold of {options.epochs} epochs, and cost in trainings of it")
    heads = (f"{options.permutations} permuted", "cost", f"{TODAY} alone", "peak MiB")
    print("{:<12}{:>8}{:>14}{:>8}{:>12}{:>10}".format("model", "once", *heads))
    rows = []
    for model in options.model or MODELS:
        row = measure(model, options)
        rows.append(row)
        print(
            f"{model:<12}{row['once']:>8.2f}{row['permuted']:>14.2f}{row['cost']:>8.1f}{row['today']:>12.0f}"
            f"{row['peak']:>10.0f}",
            flush=True,
        )
    if options.json:
        write_json(rows, options.json)


if __name__ == "__main__":
    main()
