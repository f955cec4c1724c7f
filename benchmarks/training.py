"""Seconds that a fold takes with each network, with and without recording, at the size of a real cohort.

157 participants with 140 volumes of 53 components (the size of COBRE), ten folds, the hyper-parameters of the config's
defaults, on noise: what is learnt takes no part in how long it takes. CPU time, by default of one thread. With ``--jobs
K`` it is measured instead what a fold takes in processes that train one and K folds, their start included, and their
peak memory. Run from the root of the project: ``python -m benchmarks.training``.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from gradspec.config import resolve
from gradspec.files import write_json
from gradspec.training.fold import Fold, train_fold
from gradspec.training.folds import train_folds
from gradspec.training.samples import Samples
from gradspec.training.splits import get_fold, make_splits

N_PARTICIPANTS, N_VOLUMES, N_COMPONENTS = 157, 140, 53
FOLDS, REPEATS = 10, 3
LEVELS = ("control", "patient")
GRID = (27, 32, 26)  # of 6 mm voxels, ica.shrink_maps 2 of images of 3 mm
ON_CONNECTIVITY = ("mlp", "cnn2d")
MODELS = (*ON_CONNECTIVITY, "mean-mlp", "lstm", "gru", "transformer", "cnn1d", "autoencoder", "cnn3d")
ISSUED = ("mlp", "mean-mlp", "lstm", "transformer")  # the four of which the whole is reckoned
NEVER = 10**9  # steps between recorded ones, of which the first is one


def draw_samples(model: str) -> Samples:
    """Noise in the form that a network learns from."""
    rng = np.random.default_rng(0)
    n_edges = N_COMPONENTS * (N_COMPONENTS - 1) // 2
    shape: tuple[int, ...] = (n_edges,) if model in ON_CONNECTIVITY else (N_VOLUMES, N_COMPONENTS)
    kind = "fnc" if model in ON_CONNECTIVITY else "timecourses"
    if model == "cnn3d":
        shape, kind = (N_COMPONENTS, *GRID), "maps"
    values = rng.standard_normal((N_PARTICIPANTS, *shape), dtype=np.float32)
    ids = np.array([f"sub-{i:03d}" for i in range(N_PARTICIPANTS)])
    return Samples(kind, values, ids, np.full(N_PARTICIPANTS, ""), np.arange(N_PARTICIPANTS) % 2)


def make_fold(model: str, epochs: int, device: str) -> Fold:
    """The first fold, as the workflow would train it."""
    training = resolve({"cohort": {"source": "simulated"}, "training": {"models": {model: {}}}})["training"]
    keys = ("batch_size", "learning_rate", "weight_decay", "patience", "amp", "kinds", "groupings_every")
    return Fold(
        model=model,
        hyperparameters=training["models"][model],
        repeat=0,
        fold=0,
        seed=0,
        levels=LEVELS,
        epochs=epochs,
        device=device,
        record_every=1,
        checkpoint_every=0,
        **{key: training[key] for key in keys},
    )


def run_job(model: str, epochs: int, device: str, n_folds: int) -> None:
    """Train folds and write their files, as a job of the workflow does."""
    samples = draw_samples(model)
    table = pd.DataFrame({"participant_id": samples.participants, "group": np.array(LEVELS)[samples.groups]})
    splits = make_splits(table, FOLDS, 1, seed=0)
    folds = [replace(make_fold(model, epochs, device), fold=number) for number in range(n_folds)]
    with tempfile.TemporaryDirectory() as folder:
        train_folds(
            folds,
            data=[(samples, [])] * n_folds,
            sides=[get_fold(splits, 0, fold.fold) for fold in folds],
            folders=[Path(folder) / f"fold-{fold.fold}" for fold in folds],
        )


def measure_job(model: str, epochs: int, device: str, n_folds: int) -> dict[str, Any]:
    """CPU and wall seconds a fold of a process of its own, and its peak memory in MiB."""
    code = f"from benchmarks.training import run_job; run_job({model!r}, {epochs}, {device!r}, {n_folds})"
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"the process that trains {n_folds} folds of {model} failed")
    cpu = usage.ru_utime + usage.ru_stime
    wall = time.perf_counter() - start
    return {
        "model": model,
        "folds": n_folds,
        "cpu": cpu / n_folds,
        "wall": wall / n_folds,
        "peak": usage.ru_maxrss / 1024,  # KiB on Linux
    }


def compare_jobs(models: list[str], epochs: int, device: str, n_folds: int) -> list[dict[str, Any]]:
    """Measure and print jobs of one fold, and of more, by turns."""
    rows = []
    print(f"seconds a fold of {epochs} epochs on {device}, start of the process included")
    print(f"{'model':<12}{'folds a job':>12}{'CPU':>8}{'wall':>8}{'peak MiB':>10}")
    for model in models:
        for number in (1, n_folds):
            row = measure_job(model, epochs, device, number)
            rows.append(row)
            print(f"{model:<12}{number:>12}{row['cpu']:>8.2f}{row['wall']:>8.2f}{row['peak']:>10.0f}", flush=True)
    return rows


def measure(model: str, epochs: int, device: str, repeats: int) -> dict[str, Any]:
    """Seconds of a fold without and with recording, by turns, the least of some repeats each."""
    samples = draw_samples(model)
    table = pd.DataFrame({"participant_id": samples.participants, "group": np.array(LEVELS)[samples.groups]})
    sides = get_fold(make_splits(table, FOLDS, 1, seed=0), 0, 0)
    fold = make_fold(model, epochs, device)
    folds = {"off": replace(fold, record_every=NEVER), "on": fold}
    train_fold(samples, sides, replace(fold, epochs=1))  # what is imported and set up once
    clock = time.process_time if device == "cpu" else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in folds}
    for _ in range(repeats):
        for name, one in folds.items():
            start = clock()
            train_fold(samples, sides, one)
            seconds[name].append(clock() - start)
    off, on = (min(seconds[name]) for name in ("off", "on"))
    return {"model": model, "off": off, "on": on, "ratio": on / off}


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, action="append", help="network to measure, all by default")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=1, help="times that each fold is trained")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--jobs", type=int, metavar="K", help="compare processes of one fold and of K")
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    if options.jobs:
        os.environ["OMP_NUM_THREADS"] = str(options.threads)
        rows = compare_jobs(options.model or list(MODELS), options.epochs, options.device, options.jobs)
    else:
        rows = compare_recording(options)
    if options.json:
        write_json(rows, options.json)


def compare_recording(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure and print folds without and with recording, and what they say of a whole study."""
    rows = []
    print(f"seconds a fold of {options.epochs} epochs, on {options.device} with {options.threads} thread(s)")
    print(f"{'model':<12}{'recording off':>15}{'on':>9}{'ratio':>8}")
    for model in options.model or MODELS:
        row = measure(model, options.epochs, options.device, options.repeats)
        rows.append(row)
        print(f"{model:<12}{row['off']:>15.2f}{row['on']:>9.2f}{row['ratio']:>8.2f}", flush=True)
    on = {row["model"]: row["on"] for row in rows}
    if set(ISSUED) <= on.keys():
        minutes = FOLDS * REPEATS * sum(on[model] for model in ISSUED) / 2 / 60
        print(f"{FOLDS} folds × {REPEATS} repeats of {', '.join(ISSUED)} on two cores: {minutes:.1f} minutes")
    return rows


if __name__ == "__main__":
    main()
