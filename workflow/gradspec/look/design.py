"""What a configuration would train, and how long that takes by what earlier runs have measured."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from gradspec.files import read_json, read_table
from gradspec.look.people import Look
from gradspec.training.plan import part_permutations


@dataclass(frozen=True)
class Design:
    """What would be trained.

    Attributes
    ----------
    n_folds, n_repeats, n_networks : int
    fewest_in_fold : int
        Participants of the smaller group that a test set holds at least.
    n_training : int
        Participants that a training run learns from, about.
    n_trainings : int
        Networks that are trained on the groups as they are.
    n_permuted : int
        Networks that are trained on permuted groups, each for a share of the epochs.
    seconds : float or None
        What the trainings will take on one core, by what earlier runs of these results with the same settings have
        measured.
    """

    n_folds: int
    n_repeats: int
    n_networks: int
    fewest_in_fold: int
    n_training: int
    n_trainings: int
    n_permuted: int
    seconds: float | None


def plan_design(look: Look, config: Mapping[str, Any]) -> Design:
    """Say what the configuration would train on those who would be used."""
    training, permutation = config["training"], config["stats"]["permutation"]
    sizes = look.used["group"].value_counts().reindex(config["cohort"]["group"]["levels"], fill_value=0)
    n_folds = training["folds"]
    fewest = int(sizes.min())
    of_group = sizes.clip(upper=fewest) if training["equal_groups"] else sizes
    n_runs = n_folds * training["repeats"]
    n_trainings = n_runs * len(training["models"])
    return Design(
        n_folds=n_folds,
        n_repeats=training["repeats"],
        n_networks=len(training["models"]),
        fewest_in_fold=fewest // n_folds,
        n_training=sum(size - math.ceil(size / n_folds) for size in of_group),
        n_trainings=n_trainings,
        n_permuted=n_trainings * permutation["retraining"],
        seconds=_measured(Path(config["results"]), config),
    )


def _measured(results: Path, config: Mapping[str, Any]) -> float | None:
    """Seconds of all trainings, by what earlier jobs took; None where none has, or with other settings."""
    training, permutation = config["training"], config["stats"]["permutation"]
    record = results / "config.json"
    before = read_json(record) if record.is_file() else {}
    if (before.get("training"), before.get("stats", {}).get("permutation")) != (training, permutation):
        return None
    n_jobs = {"train_folds": training["repeats"] * (1 if training["folds_per_job"] == "all" else training["folds"])}
    if permutation["retraining"]:
        parts = part_permutations(permutation["retraining"], permutation["per_job"])
        n_jobs["retrain_folds"] = n_jobs["train_folds"] * len(parts)
    total = 0.0
    for rule, count in n_jobs.items():
        for model in training["models"]:
            taken = [
                float(read_table(file)["s"].iloc[0])
                for file in sorted((results / "benchmarks" / "training" / rule / model).glob("*.tsv"))
            ]
            if not taken:
                return None
            total += count * median(taken)
    return total
