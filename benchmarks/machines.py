"""How far results move from kernel to kernel, from thread count to thread count, and from seed to seed, side by side.

A cohort of time courses, whose groups differ in two correlations, goes through the workflow under the newest kernels of
this machine, with one thread and a seed; then with other kernels, with two threads in each training, and with other
seeds, which draw other folds, weights and batches. What moves with kernels and threads is rounding, which training
enlarges; what moves with seeds is what a training run says of the cohort at all. A run is left out whose kernels the
machine does not have, with the reason. Run from the root of the project: ``python -m benchmarks.machines``.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from tests.kernels import SETS, Kernels, environment, find_reason_against
from tests.makers import make_ids, make_participants, save_array

from gradspec.files import read_table, write_json

ROOT = Path(__file__).parents[1]
ALPHA = 0.05
COLUMNS = {
    "what is another": "",
    "AUC": "largest move of an area under the ROC curve",
    "feature": "median and largest move of a feature's mean over a group, relative to it",
    "p": "median and largest move of p of a group difference",
    "mixed p": "the same of the mixed models",
    "decisions": "tests of both that are found at a corrected 5 % in one of the two runs only",
}


@dataclass(frozen=True)
class Variant:
    """What a run is done with."""

    name: str
    kernels: Kernels
    threads: int = 1
    seed: int = 1


def write_cohort(folder: Path, n: int, n_volumes: int = 100, n_regions: int = 8) -> Path:
    """Write noise in which two pairs of regions go together in patients alone; return the participants table."""
    files = []
    for index, who in enumerate(make_ids(n)):
        values = np.random.default_rng(index).standard_normal((n_volumes, n_regions))
        if index % 2:
            values[:, [1, 3]] += 0.4 * values[:, [0, 2]]
        files.append(f"series/{who}.1D")
        save_array(folder / files[-1], values, [f"region{number}" for number in range(n_regions)])
    return make_participants(folder / "participants.tsv", n, timeseries=files)


def find_variants(n_seeds: int) -> Iterator[Variant]:
    """Give the run that all others are compared with, then these."""
    kernels = []
    for one in SETS:
        if reason := find_reason_against(one):
            print(f"kernels for {one.name} are left out: {reason}")
        else:
            kernels.append(one)
    if not kernels:
        raise SystemExit("this machine can run none of the sets of kernels")
    newest, *others = kernels
    yield Variant(f"kernels for {newest.name}, 1 thread, seed 1", newest)
    for other in others:
        yield Variant(f"kernels: {other.name}", other)
    yield Variant("threads: 2", newest, threads=2)
    for seed in range(2, 2 + n_seeds):
        yield Variant(f"seed: {seed}", newest, seed=seed)


def run(variant: Variant, folder: Path, config: dict[str, Any]) -> Path:
    """Take the cohort through the workflow up to its statistics; return the folder of results."""
    results = folder / variant.name.replace(":", "").replace(",", "").replace(" ", "-")
    file = results.with_suffix(".yaml")
    file.write_text(yaml.safe_dump({**config, "seed": variant.seed, "results": str(results)}))
    command = [sys.executable, "-m", "snakemake", "stats", "--cores", "2", "--configfile", str(file), "--quiet"]
    command += ["--set-threads", f"train_folds={variant.threads}", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, env=environment(variant.kernels))
    return results / "stats"


def compare(base: Path, other: Path) -> dict[str, Any]:
    """Say how far the numbers of one run are from those of another."""
    tables = {
        name: (read_table(base / f"{name}.tsv"), read_table(other / f"{name}.tsv"))
        for name in ("performance", "group_differences", "mixed_models")
    }
    areas, differences, mixed = tables.values()
    is_area = (areas[0]["metric"] == "roc_auc").to_numpy()
    means = [differences[0][name].abs() for name in ("mean_reference", "mean_comparison")]
    relative = pd.concat(
        [
            _moves(*differences, name) / mean
            for name, mean in zip(("mean_reference", "mean_comparison"), means, strict=True)
        ]
    )
    return {
        "AUC": float(_moves(*areas, "estimate")[is_area].max()),
        "feature": _median_and_most(relative),
        "p": _median_and_most(_moves(*differences, "p_value")),
        "mixed p": _median_and_most(_moves(*mixed, "p_value")),
        "decisions": sum(
            int(((one["p_corrected"] < ALPHA) != (two["p_corrected"] < ALPHA)).sum())
            for one, two in (differences, mixed)
        ),
        "tests": sum(int(one["p_value"].notna().sum()) for one, _ in (differences, mixed)),
    }


def _moves(first: pd.DataFrame, second: pd.DataFrame, column: str) -> pd.Series:
    """Absolute differences of a column between tables that have the same rows."""
    keys = [name for name in ("model", "layer", "kind", "feature", "effect", "metric") if name in first]
    if not first[keys].equals(second[keys]):
        raise ValueError(f"the runs have other rows of {', '.join(keys)}")
    return (first[column] - second[column]).abs()


def _median_and_most(moves: pd.Series) -> tuple[float, float]:
    return float(moves.median()), float(moves.max())


def write_row(name: str, row: dict[str, Any]) -> str:
    """Write a row of the table."""
    pairs = [f"{row[key][0]:.1g}, {row[key][1]:.1g}" for key in ("feature", "p", "mixed p")]
    return f"| {name} | {row['AUC']:.1g} | {' | '.join(pairs)} | {row['decisions']} of {row['tests']} |"


def main() -> None:
    """Run, compare, and print a row for each run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.machines", description=__doc__)
    parser.add_argument("--participants", type=int, default=40)
    parser.add_argument("--models", nargs="+", default=["mlp", "lstm"])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3, help="number of other seeds")
    parser.add_argument("--folder", type=Path, help="where the runs are kept, a temporary folder by default")
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        timeseries = {
            "participants": str(write_cohort(folder / "cohort", options.participants)),
            "repetition_time": 2.0,
        }
        training = {"models": {name: {} for name in options.models}, "folds": 5, "repeats": 2, "batch_size": 8}
        config = {
            "cohort": {"source": "timeseries", "timeseries": timeseries},
            "training": {**training, "epochs": options.epochs},
        }
        base, *others = find_variants(options.seeds)
        print(f"beside {base.name}, {options.participants} participants, {options.epochs} epochs:")
        print(*(f"- {name}: {meaning}" for name, meaning in COLUMNS.items() if meaning), sep="\n")
        print(f"\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
        reference, rows = run(base, folder, config), []
        for variant in others:
            row = compare(reference, run(variant, folder, config))
            rows.append({"what is another": variant.name, **row})
            print(write_row(variant.name, row), flush=True)
    if options.json:
        write_json(rows, options.json)


if __name__ == "__main__":
    main()
