"""The demo's simulated cohorts: what is planted is found, and nothing where nothing is, whatever the seed."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from gradspec.cohort.simulate_courses import group_connectivity, individual_connectivity, network_timecourses
from gradspec.config import resolve
from gradspec.stats.multiplicity import correct
from gradspec.stats.retrained_cohorts import test_samples as retrain_and_test
from gradspec.training.fold import Fold
from gradspec.training.plan import count_epochs
from gradspec.training.samples import Samples

DEMO = resolve(yaml.safe_load((Path(__file__).parents[3] / "config" / "config.yaml").read_text()))
ON_CONNECTIVITY = ("mlp", "cnn2d")
NOISE = (
    0.5  # added to a course of unit variance: it correlates by 0.9 with the truth, as those of the demo's group ICA do
)


def draw_cohort(seed: int, effect: float) -> dict[str, Samples]:
    """Time courses of the demo as its group ICA recovers them, without the images, and their connectivity."""
    simulated, rng = DEMO["cohort"]["simulated"], np.random.default_rng(seed)
    connectivity = group_connectivity(simulated["n_networks"], effect, rng)
    n, n_volumes, tr = (simulated[key] for key in ("n_participants", "n_volumes", "repetition_time"))
    n_rest = DEMO["ica"]["n_components"] - simulated["n_networks"]
    groups = np.arange(n) % 2
    courses = np.empty((n, n_volumes, DEMO["ica"]["n_components"]), np.float32)
    for person, group in enumerate(groups):
        own = individual_connectivity(connectivity[group], rng)
        found = network_timecourses(own, n_volumes, tr, rng)
        noise = NOISE * network_timecourses(np.eye(len(own)), n_volumes, tr, rng)
        rest = network_timecourses(np.eye(n_rest), n_volumes, tr, rng)
        courses[person] = np.column_stack([found + noise, rest])
    ids = np.array([f"sub-{number:02d}" for number in range(n)])
    upper = np.triu_indices(courses.shape[2], 1)
    edges = np.array([np.arctanh(np.corrcoef(each.T)[upper]) for each in courses], np.float32)
    return {
        "timecourses": Samples("timecourses", courses, ids, np.full(n, ""), groups),
        "fnc": Samples("fnc", edges, ids, np.full(n, ""), groups),
    }


def smallest_p(seed: int, effect: float) -> float:
    """P of the network whose omnibus test is surest, corrected for the number of networks."""
    training, permutation = DEMO["training"], DEMO["stats"]["permutation"]
    settings = {field.name: training[field.name] for field in fields(Fold) if field.name in training}
    settings |= {
        "levels": DEMO["cohort"]["group"]["levels"],
        "epochs": count_epochs(permutation["epochs"], training["epochs"]),
        "record_every": permutation["record_every"],
        "checkpoint_every": 0,
        "device": "cpu",
    }
    cohort = draw_cohort(seed, effect)
    p_values = []
    for model, hyperparameters in training["models"].items():
        samples = cohort["fnc" if model in ON_CONNECTIVITY else "timecourses"]
        fold: Mapping[str, Any] = settings | {"model": model, "hyperparameters": hyperparameters}
        _, omnibus = retrain_and_test(
            samples, fold, seed=seed, n_permutations=permutation["retraining"], repeats=training["repeats"]
        )
        p_values.append(omnibus["p_value"].iloc[0])
    return float(np.min(correct(np.array(p_values), "holm")))


@pytest.mark.long
@pytest.mark.parametrize(("effect", "least", "most"), [(DEMO["cohort"]["simulated"]["effect"], 18, 20), (0.0, 0, 2)])
def test_of_twenty_cohorts_nearly_all_are_read_rightly(effect: float, least: int, most: int) -> None:
    p_values = [smallest_p(seed, effect) for seed in range(20)]
    n_found = sum(p < DEMO["stats"]["alpha"] for p in p_values)
    assert least <= n_found <= most, np.round(p_values, 3)
