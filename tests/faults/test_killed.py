"""A workflow that is killed goes on where it was, and ends as if nothing had been."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from running import make_workdir, snakemake, write_config

CONFIG = {
    "cohort": {"source": "numerical", "numerical": {"n_samples": 16, "n_features": 4, "n_volumes": 40}},
    "training": {"models": {"mlp": {"hidden": [8]}}, "folds": 2, "repeats": 1, "epochs": 2},
}
TARGET = "results/features/mlp.tsv"
KILLED_JOBS = (2, 4)  # counted from 1, in the order in which they begin


def arguments(folder: Path) -> list[str]:
    config = write_config(folder, CONFIG)
    return ["--cores", "1", "--rerun-incomplete", "--configfile", config, "--", TARGET]


def kill_in_job(folder: Path, number: int, seconds: float) -> bool:
    """Start the workflow, and kill it with all its jobs some time after a job began; say whether it was at work."""
    command = [sys.executable, "-m", "snakemake", *arguments(folder)]
    process = subprocess.Popen(
        command, cwd=folder, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and sum(log.is_file() for log in (folder / "results/logs").rglob("*")) < number:
        time.sleep(0.02)
    time.sleep(seconds)
    at_work = process.poll() is None
    if at_work:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return at_work


def tables(folder: Path) -> dict[str, bytes]:
    """Every table of results; benchmarks hold times, which differ."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*.tsv")
        if "benchmarks" not in path.parts
    }


@pytest.mark.slow
def test_a_run_that_was_killed_ends_like_one_that_was_not(tmp_path: Path) -> None:
    whole, broken = make_workdir(tmp_path / "whole"), make_workdir(tmp_path / "broken")
    done = snakemake(whole, *arguments(whole))
    assert done.returncode == 0, done.stderr[-4000:]
    for number, seconds in zip(KILLED_JOBS, np.random.default_rng(0).uniform(0, 0.5, len(KILLED_JOBS)), strict=True):
        assert kill_in_job(broken, number, seconds)
        refused = snakemake(broken, *arguments(broken))
        assert "--unlock" in refused.stdout + refused.stderr
        assert snakemake(broken, "--unlock", *arguments(broken)).returncode == 0
    left = broken / "results" / "training" / ".partial-left"  # as a writer leaves it, were it killed in the act
    left.mkdir(parents=True, exist_ok=True)
    done = snakemake(broken, *arguments(broken))
    assert done.returncode == 0, done.stderr[-4000:]
    assert len(tables(whole)) >= 4
    assert tables(broken) == tables(whole)
    assert not list(broken.rglob(".partial-*"))
