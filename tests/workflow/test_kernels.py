"""On every processor the same: tables of the same spectra, and what follows from networks that are trained anew."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kernels import SETS, Kernels, environment, find_reason_against
from makers import make_timeseries
from running import make_workdir, write_config

ROUNDING = 1e-6
P_MOVES = 0.005  # of what is trained anew by at most 0.00003 when this was measured, at 4 epochs
ALPHA = 0.05
BEHIND_SPECTRA = ("features", "stats")
RECORDS = ("logs", "benchmarks")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the path of a configuration: one network that learns from time courses, and the linear baselines."""
    folder = tmp_path_factory.mktemp("cohort")
    cohort = {
        "source": "timeseries",
        "covariates": ["age"],
        "timeseries": {"participants": str(make_timeseries(folder, 16)), "repetition_time": 2.0},
    }
    training = {"models": {"lstm": {"hidden": 8}}, "folds": 2, "repeats": 2, "epochs": 4, "batch_size": 4}
    return write_config(folder, {"seed": 7, "cohort": cohort, "training": training})


@pytest.fixture(scope="module")
def newest(tmp_path_factory: pytest.TempPathFactory, config: str) -> tuple[Kernels, Path]:
    """Return the newest kernels of this machine, and the results of a run under them."""
    kernels = next((kernels for kernels in SETS if not find_reason_against(kernels)), None)
    if kernels is None:
        pytest.skip(f"{SETS[-1].name}: {find_reason_against(SETS[-1])}")
    folder = make_workdir(tmp_path_factory.mktemp(kernels.name))
    run(folder, kernels, config, "train", "stats")
    return kernels, folder / "results"


@pytest.fixture(scope="module", params=SETS[1:], ids=lambda kernels: kernels.name)
def other(request: pytest.FixtureRequest, newest: tuple[Kernels, Path]) -> Kernels:
    """Return other kernels that this machine can run."""
    if request.param == newest[0]:
        pytest.skip("they are the newest of this machine, with which others are compared")
    if reason := find_reason_against(request.param):
        pytest.skip(reason)
    return request.param


def run(folder: Path, kernels: Kernels, config: str, *targets: str) -> None:
    command = [sys.executable, "-m", "snakemake", *targets, "--cores", "2", "--configfile", config]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment(kernels))
    assert done.returncode == 0, done.stderr[-4000:]


def tables(results: Path) -> dict[str, pd.DataFrame]:
    """Read every table of a folder of results."""
    found = {path.relative_to(results): path for path in sorted(results.rglob("*.tsv"))}
    return {str(name): pd.read_csv(path, sep="\t") for name, path in found.items() if name.parts[0] not in RECORDS}


def words(results: Path) -> str:
    """Return the summary in plain language without the numbers that have decimals."""
    return re.sub(r"-?\d+\.\d+", "…", (results / "stats" / "summary.html").read_text(encoding="utf-8"))


def compare(first: pd.DataFrame, second: pd.DataFrame, name: str, tolerances: dict[str, float]) -> None:
    """Assert that tables are alike: fractions to the tolerance of the first fitting column name, all else exactly."""
    assert list(first) == list(second), name
    assert len(first) == len(second), name
    for column in first:
        where = f"{name}, {column}"
        if first[column].dtype.kind != "f":
            assert first[column].tolist() == second[column].tolist(), where
            continue
        tolerance = next(value for beginning, value in tolerances.items() if column.startswith(beginning))
        assert (first[column].isna() == second[column].isna()).all(), where
        if np.isfinite(tolerance):
            np.testing.assert_allclose(second[column], first[column], rtol=ROUNDING, atol=tolerance, err_msg=where)


@pytest.mark.slow
def test_tables_of_the_same_spectra_are_the_same(
    newest: tuple[Kernels, Path], other: Kernels, config: str, tmp_path: Path
) -> None:
    folder = make_workdir(tmp_path / "clone")
    shutil.copytree(newest[1], folder / "results")
    for name in BEHIND_SPECTRA:
        shutil.rmtree(folder / "results" / name)
    run(folder, other, config, "stats")
    first, second = tables(newest[1]), tables(folder / "results")
    assert first.keys() == second.keys()
    assert any(name.startswith("features/") for name in first)
    for name, table in first.items():
        compare(table, second[name], name, {"": ROUNDING})
    assert words(newest[1]) == words(folder / "results")


@pytest.mark.slow
def test_training_anew_leads_to_the_same_conclusions(
    newest: tuple[Kernels, Path], other: Kernels, config: str, tmp_path: Path
) -> None:
    folder = make_workdir(tmp_path / "clone")
    run(folder, other, config, "train", "stats")
    first, second = tables(newest[1]), tables(folder / "results")
    assert first.keys() == second.keys()
    for name, table in first.items():
        compare(table, second[name], name, {"p_": P_MOVES, "": np.inf})
        for column in table.select_dtypes("number").filter(regex="^p_"):
            assert (table[column] < ALPHA).tolist() == (second[name][column] < ALPHA).tolist(), f"{name}, {column}"
    assert words(newest[1]) == words(folder / "results")
