"""A workflow that is killed goes on where it was, and ends as if nothing had been."""

import time
from pathlib import Path

import numpy as np
import pytest
from breaking import arguments, begin, kill, kill_job, unlock_and_end
from comparing import contents, differences
from running import SMALL, make_workdir, snakemake

KILLED_JOBS = (2, 4)  # counted from 1, in the order in which they begin


@pytest.mark.slow
def test_a_run_that_was_killed_ends_like_one_that_was_not(whole: Path, tmp_path: Path) -> None:
    broken = make_workdir(tmp_path / "broken")
    options = arguments(broken)
    moments = np.random.default_rng(0).uniform(0, 0.5, len(KILLED_JOBS))
    for number, seconds in zip(KILLED_JOBS, moments, strict=True):
        assert snakemake(broken, "--unlock", *options).returncode == 0
        process = begin(broken, *options, until=number)
        time.sleep(seconds)
        assert kill(process)
    left = broken / "results" / "training" / ".partial-left"  # as a writer leaves it, were it killed in the act
    left.mkdir(parents=True, exist_ok=True)
    unlock_and_end(broken, options)
    assert len(contents(whole / "results")) > 20
    assert differences(broken / "results", whole / "results") == []


@pytest.mark.slow
def test_a_second_workflow_in_the_folder_is_refused_and_harms_nothing(whole: Path) -> None:
    status, _, said = (whole / "second.txt").read_text().partition("\n")
    assert status != "0"
    assert "no other Snakemake process is trying to create the same files" in " ".join(said.split())


@pytest.mark.slow
def test_a_worker_out_of_memory_is_told_with_what_to_do_and_run_again(whole: Path, tmp_path: Path) -> None:
    folder = make_workdir(tmp_path / "short of memory")
    options = arguments(folder)
    process = begin(folder, *options, until=4)
    kill_job(process)
    output, _ = process.communicate()
    assert process.returncode != 0
    assert "--set-resources RULE:mem_mb" in output
    assert not list((folder / "results").rglob("metrics.tsv"))
    done = snakemake(folder, *options)
    assert done.returncode == 0, done.stderr[-4000:]
    assert differences(folder / "results", whole / "results") == []


@pytest.mark.long
def test_a_demo_that_is_killed_at_twenty_moments_ends_like_one_that_is_not(tmp_path: Path) -> None:
    whole, broken = make_workdir(tmp_path / "whole"), make_workdir(tmp_path / "broken")
    options = ["--cores", "2", "--rerun-incomplete", "--configfile", SMALL]
    done = snakemake(whole, *options)
    assert done.returncode == 0, done.stderr[-4000:]
    generator = np.random.default_rng(0)
    n_killed = 0
    while n_killed < 20:
        process = begin(broken, *options, until=int(generator.integers(1, 4)) + 4 * n_killed)
        time.sleep(generator.uniform(0, 5))
        if not kill(process):
            break
        n_killed += 1
        assert snakemake(broken, "--unlock", *options).returncode == 0
    done = snakemake(broken, *options)
    assert done.returncode == 0, done.stderr[-4000:]
    assert n_killed == 20
    assert differences(broken / "results", whole / "results") == []
