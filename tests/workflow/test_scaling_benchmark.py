"""The benchmarks of scale count what Snakemake plans, and measure memory that grows only where it has to."""

from importlib import import_module
from pathlib import Path

import pytest
from running import ROOT


def test_jobs_and_the_longest_chain_are_those_of_the_plan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(ROOT)
    scaling = import_module("benchmarks.scaling")
    row = scaling.plan(tmp_path, 20)
    jobs = list(scaling.planned(tmp_path / "output"))
    rules = [job.rule for job in jobs]
    assert row["jobs"] == len(jobs)
    assert rules.count("denoise_participant") == rules.count("reduce_participant") == 20
    assert rules.count("train_folds") == 2 * 4
    # denoise alone is a job a participant; twenty reductions share one
    grouped = {"reduce_participant": 19, "plot_spectra": 1}
    assert row["slurm_jobs"] < row["jobs"] - sum(grouped.values())
    assert row["slurm_jobs"] > 20 + 8


def test_what_every_participant_needs_is_made_of_few_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Else Snakemake compares n files with the n inputs of the job that makes them, for each of n participants."""
    monkeypatch.syspath_prepend(ROOT)
    scaling = import_module("benchmarks.scaling")
    scaling.plan(tmp_path, 20)
    jobs = list(scaling.planned(tmp_path / "output"))
    maker = {file: job for job in jobs for file in job.outputs}
    read = [maker[file] for job in jobs if job.rule.endswith("_participant") for file in job.inputs if file in maker]
    assert len(read) >= 20 * 4
    assert max(len(job.inputs) for job in read) < 20


def test_a_chain_is_followed_through_files() -> None:
    scaling = import_module("benchmarks.scaling")
    jobs = [
        scaling.Job("first", ["raw"], ["a"], 10),
        scaling.Job("side", ["raw"], ["b"], 50),
        scaling.Job("second", ["a"], ["c", "d"], 30),
        scaling.Job("third", ["c", "b"], ["e"], 5),
    ]
    assert scaling.longest_chain(jobs) == (2, 55)
    assert scaling.longest_chain(jobs[:1]) == (1, 10)


def test_merging_for_group_ica_takes_the_same_memory_for_more_participants(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(ROOT)
    memory = import_module("benchmarks.scaling_memory")
    merged: list[int] = []
    monkeypatch.setattr(memory, "N_VOXELS", 200)
    monkeypatch.setattr(memory, "merge_files", lambda files, *_: merged.append(len(files)))
    for n in (20, 2_000, 20_000):
        memory.merge_participants(tmp_path, n)
    assert merged[0] == 20
    assert max(merged) <= memory.AT_ONCE
