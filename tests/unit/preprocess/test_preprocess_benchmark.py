"""The benchmark of head motion: seeded, and its simulation is one that an estimator can be held to."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(Path(__file__).parents[3])
    return import_module("benchmarks.preprocess")


def test_the_fast_estimator_is_right_to_three_hundredths_of_a_millimetre(benchmark: Any) -> None:
    bold, affine, poses = benchmark.simulate(6, seed=1)
    row = benchmark.measure("fast (Gauss-Newton)", bold, affine, poses)
    assert row["error"] < 0.03
    assert row["seconds"] > 0
    still = np.tile(np.eye(4), (6, 1, 1))
    assert benchmark._error(still, bold, affine, poses) > 0.15, "the simulation moves the head"


def test_the_same_seed_gives_the_same_run(benchmark: Any) -> None:
    first, second, other = (benchmark.simulate(2, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[0], second[0])
    assert not np.array_equal(first[2], other[2])


def test_a_peer_that_is_not_installed_is_said_to_be_missing(benchmark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(bold: np.ndarray, affine: np.ndarray) -> np.ndarray:
        raise ModuleNotFoundError("No module named 'nipy'")

    monkeypatch.setitem(benchmark.ESTIMATORS, "SpaceTimeRealigner", missing)
    row = benchmark.measure("SpaceTimeRealigner", np.zeros((2, 2, 2, 2)), np.eye(4), np.tile(np.eye(4), (2, 1, 1)))
    assert (row["seconds"], row["error"]) == (None, None)


def test_estimators_take_turns_and_rows_are_medians(benchmark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    turns, seconds = [], iter([3.0, 1.0, 9.0])

    def measure(name: str, bold: np.ndarray, affine: np.ndarray, poses: np.ndarray) -> dict[str, Any]:
        turns.append((name, len(poses)))
        value = next(seconds) if name == "ours" else None
        return {"estimator": name, "seconds": value, "error": value}

    monkeypatch.setattr(benchmark, "measure", measure)
    monkeypatch.setattr(benchmark, "simulate", lambda n, seed: (None, None, np.tile(np.eye(4), (seed, 1, 1))))
    monkeypatch.setattr(benchmark, "ESTIMATORS", {"ours": None, "missing": None})
    rows = benchmark.measure_all(2, seed=5, repeats=3)
    assert turns == [(name, seed) for seed in (5, 6, 7) for name in ("ours", "missing")]
    assert rows == [
        {"estimator": "ours", "seconds": 3.0, "error": 3.0},
        {"estimator": "missing", "seconds": None, "error": None},
    ]
