"""The profile of Slurm on a real Slurm: jobs pass, ask for more where they fail, fail alone, and are cancelled."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from makers import GRID, make_fmriprep, save_image
from running import environment, make_workdir, snakemake, write_config

SMALL: dict[str, Any] = {
    "cohort": {"source": "numerical", "numerical": {"kind": "gaussian-mixture", "n_samples": 16, "n_features": 6}},
    "training": {
        **{"models": {"mlp": {"hidden": [8]}}, "folds": 2, "repeats": 1, "epochs": 2, "baselines": []},
        "folds_per_job": 1,  # so that there are several jobs
    },
}
PATIENCE = 600  # seconds, on a busy machine

pytestmark = pytest.mark.slow


class Run:
    """A workflow that was started with the profile of Slurm, changed only where this Slurm is not a cluster's."""

    def __init__(self, slurm: Any, workdir: Path, config: dict[str, Any], *arguments: str) -> None:
        self.workdir = workdir
        self.output = (workdir / "output").open("w+")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "snakemake", "--profile", "workflow/profiles/slurm"),
                *("--configfile", write_config(workdir, config)),
                "--slurm-no-account",
                *(
                    "--slurm-init-seconds-before-status-checks",
                    "1",
                    "--latency-wait",
                    "15",
                    "--slurm-keep-successful-logs",
                ),
                *("--default-resources", "slurm_partition=cpu", "mem_mb=1000", "runtime=30", "beside=1"),
                *arguments,
            ],
            cwd=workdir,
            env={**environment(plugins=True), **slurm.variables},
            stdout=self.output,
            stderr=subprocess.STDOUT,
            text=True,
            # what a shell starts in the background ignores interrupts, and would hand that on
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def end(self) -> int:
        """Wait for the end and return the exit status."""
        return self.process.wait(PATIENCE)

    def text(self) -> str:
        """Return all that was printed so far."""
        self.output.seek(0)
        return self.output.read()

    def logs(self) -> str:
        """Return what the jobs themselves printed."""
        return "\n".join(path.read_text() for path in (self.workdir / ".snakemake" / "slurm_logs").rglob("*.log"))


def prepare(workdir: Path, config: dict[str, Any], *targets: str) -> None:
    """Make files on this machine, without Slurm."""
    done = snakemake(workdir, "--cores", "1", "--configfile", write_config(workdir, config), "--", *targets)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def runs(slurm: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Start the workflows that the tests look at, side by side."""
    hungry = make_workdir(tmp_path_factory.mktemp("hungry"))
    failing = make_workdir(tmp_path_factory.mktemp("failing"))
    root = make_fmriprep(failing / "derivatives", 4)
    inside = np.ones(GRID, np.uint8)
    inside[0] = 0
    for who in ("sub-01", "sub-03", "sub-04"):  # the mask of sub-02 stays without a border, and is refused
        save_image(next((root / who / "func").glob("*_mask.nii.gz")), inside)
    images = {
        "on_error": "stop",
        "cohort": {"source": "fmriprep", "fmriprep": {"root": str(root)}},
        "training": {"models": {"mlp": {}}, "folds": 2, "repeats": 1},
    }
    prepare(failing, images, "results/cohort/checked.tsv")
    changed = [
        "train_folds:mem_mb=attempt*attempt*(300+100*int(wildcards.fold))",
        "score_folds:gpu=1",
        "score_folds:slurm_partition=gpu",
    ]
    return {
        "hungry": Run(slurm, hungry, SMALL, "--set-resources", *changed, "--", "train"),
        "failing": Run(slurm, failing, images, "--retries", "0", "--", "preprocess"),
    }


def test_a_small_workflow_passes(slurm: Any, runs: dict[str, Run]) -> None:
    run = runs["hungry"]
    assert run.end() == 0, run.text() + run.logs()
    folds = run.workdir / "results" / "training" / "mlp"
    assert sorted(path.name for path in folds.iterdir()) == ["repeat-0_fold-0", "repeat-0_fold-1"]
    assert (run.workdir / "results" / "spectra" / "mlp.nc").stat().st_size > 0
    comments = [job["comment"] for job in slurm.jobs()]
    assert sum("select_participants" in comment and "split_folds" in comment for comment in comments) == 1


def test_the_page_of_the_run_counts_jobs_of_slurm(runs: dict[str, Run]) -> None:
    """Those of groups, and those that were tried again."""
    for name, said in [("hungry", r"Finished: (\d+) of \1 jobs done, 0 running, 0 waiting\."), ("failing", "an error")]:
        run = runs[name]
        run.end()
        page = (run.workdir / "results" / "progress.html").read_text(encoding="utf-8")
        assert re.search(said, page), page
    assert re.search(r"[1-9]\d* failed", page)


def test_where_jobs_stand_is_known_without_accounting(slurm: Any, runs: dict[str, Run]) -> None:
    """The plugin takes sacct where it is installed, whose answer would never come."""
    run = runs["hungry"]
    asked = subprocess.run(["sacct"], env={**os.environ, **slurm.variables}, capture_output=True, text=True)
    assert asked.returncode != 0 and "accounting" in asked.stderr, asked
    assert run.end() == 0, run.text() + run.logs()


def test_a_job_that_needs_more_memory_is_tried_again_with_more(slurm: Any, runs: dict[str, Run]) -> None:
    run = runs["hungry"]
    assert run.end() == 0, run.text()
    assert "exceeded memory limit" in run.logs(), run.logs()
    training = [job for job in slurm.jobs() if "train_folds" in job["comment"]]
    asked = {int(job["memory"].rstrip("M")) for job in training if job["state"] == "COMPLETED"}
    assert len(training) > 2
    assert min(asked) >= 1200, training
    assert "Trying to restart job" in run.text()


def test_jobs_of_one_rule_that_differ_in_memory_each_get_their_own(slurm: Any, runs: dict[str, Run]) -> None:
    """In an array every task would get the memory of one of them."""
    assert runs["hungry"].end() == 0
    training = [job for job in slurm.jobs() if "train_folds" in job["comment"]]
    asked = {(job["comment"].rstrip("_")[-1], int(job["memory"].rstrip("M"))) for job in training}
    assert (
        {("0", 300), ("1", 400)}
        <= asked
        <= {(fold, n * n * (300 + 100 * int(fold))) for fold in "01" for n in (1, 2, 3)}
    )


def test_jobs_that_share_a_slurm_job_ask_for_the_cpus_of_those_that_run_at_once(
    slurm: Any, runs: dict[str, Run]
) -> None:
    assert runs["hungry"].end() == 0
    (shared,) = [job for job in slurm.jobs() if "select_participants" in job["comment"]]
    assert int(shared["cpus"]) <= 2  # split_folds and read_fnc, of one thread each
    assert "NumTasks=1 " in slurm.run("scontrol", "show", "job", shared["id"])


def test_a_job_that_asks_for_a_gpu_gets_one_of_its_partition(slurm: Any, runs: dict[str, Run]) -> None:
    assert runs["hungry"].end() == 0
    (job,) = [job for job in slurm.jobs() if "score_folds" in job["comment"]]
    shown = slurm.run("scontrol", "show", "job", job["id"])
    assert "Partition=gpu" in shown
    assert re.search(r"gres:gpu:1|gres/gpu=1", shown), shown


def test_a_participant_that_fails_does_not_stop_the_others(runs: dict[str, Run]) -> None:
    run = runs["failing"]
    assert run.end() != 0
    statuses = {path.stem for path in (run.workdir / "results/preprocess/denoised/status").glob("*.json")}
    assert statuses == {"sub-01", "sub-03", "sub-04"}, run.text() + run.logs()
    assert "sub-02" in run.text().split("Error in", 1)[1]
    assert "all voxels have the same value" in run.logs()


def train_for_long(slurm: Any, workdir: Path, **training: Any) -> Run:
    """Start trainings of many epochs and wait until both run."""
    config = {**SMALL, "training": {**SMALL["training"], "epochs": 20_000, **training}}
    prepare(workdir, config, "results/training/splits.tsv", "results/cohort/fnc.nc")
    before = {job["id"] for job in slurm.jobs()}
    run = Run(slurm, workdir, config, "--", "train")
    slurm.wait(
        lambda: len([job for job in slurm.jobs("running") if job["id"] not in before]) == 2,
        "the trainings have not begun",
        PATIENCE,
    )
    return run


def test_what_was_submitted_is_cancelled_with_the_workflow(slurm: Any, runs: dict[str, Run], workdir: Path) -> None:
    for other in runs.values():
        other.end()
    run = train_for_long(slurm, workdir)
    run.process.send_signal(signal.SIGINT)
    assert run.end() != 0
    slurm.wait(lambda: not slurm.jobs("running", "pending", "completing"), "jobs are left in the queue", 60)
    done = snakemake(workdir, "-n", "--quiet", "rules", "--configfile", write_config(workdir, SMALL), "--", "train")
    assert done.returncode == 0, done.stdout + done.stderr  # not locked


@pytest.mark.long  # Slurm waits for two minutes before it starts a job again
def test_a_job_that_slurm_queues_again_goes_on_from_its_checkpoint(slurm: Any, workdir: Path) -> None:
    run = train_for_long(slurm, workdir, epochs=400, checkpoint_every=10)
    slurm.run("scontrol", "requeue", slurm.jobs("running")[0]["id"])
    assert run.end() == 0, run.text() + run.logs()
    assert len(list((workdir / "results" / "training" / "mlp").glob("*/spectra.nc"))) == 2


@pytest.mark.long
def test_a_node_that_is_lost_and_comes_back_loses_nothing(slurm: Any, workdir: Path) -> None:
    run = train_for_long(slurm, workdir, epochs=400, checkpoint_every=10)
    node = slurm.run("sinfo", "--noheader", "--format=%n").split()[0]
    slurm.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    slurm.wait(lambda: not slurm.jobs("running"), "jobs still run on a node that is down", 60)
    slurm.run("scontrol", "update", f"nodename={node}", "state=resume")
    assert run.end() == 0, run.text() + run.logs()
    assert len(list((workdir / "results" / "training" / "mlp").glob("*/spectra.nc"))) == 2
