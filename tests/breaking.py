"""A workflow of a few small jobs that tests break, and ways to break it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
from running import snakemake, write_config

CONFIG = {
    "cohort": {"source": "numerical", "numerical": {"n_samples": 16, "n_features": 4, "n_volumes": 40}},
    "training": {"models": {"mlp": {"hidden": [8]}}, "folds": 2, "repeats": 1, "epochs": 2},
}
TARGET = "results/features/mlp.tsv"


def arguments(folder: Path, cores: int = 1) -> list[str]:
    """Arguments of Snakemake for the small workflow in `folder`."""
    config = write_config(folder, CONFIG)
    return ["--cores", str(cores), "--rerun-incomplete", "--configfile", config, "--", TARGET]


def begin(folder: Path, *options: str, until: int = 0) -> subprocess.Popen:
    """Start Snakemake in a session of its own, and return when as many jobs have begun."""
    command = [sys.executable, "-m", "snakemake", *options]
    process = subprocess.Popen(
        command, cwd=folder, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    while process.poll() is None and jobs_begun(folder) < until:
        time.sleep(0.02)
    return process


def jobs_begun(folder: Path) -> int:
    return sum(log.is_file() for log in (folder / "results" / "logs").rglob("*"))


def kill(process: subprocess.Popen) -> bool:
    """Kill Snakemake with all its jobs, as a power failure would; say whether it was at work."""
    at_work = process.poll() is None
    if at_work:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return at_work


def kill_job(process: subprocess.Popen) -> None:
    """Kill the script that is at work and nothing else, as a system that is out of memory does."""
    while process.poll() is None:
        children = psutil.Process(process.pid).children(recursive=True)
        scripts = [child for child in children if any(".snakemake/scripts/" in part for part in _command(child))]
        if scripts:
            scripts[-1].kill()
            return
        time.sleep(0.02)
    raise AssertionError("no job was at work")


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def unlock_and_end(folder: Path, options: list[str]) -> None:
    """Do what the message says after a kill, and let the workflow come to its end."""
    refused = snakemake(folder, *options)
    assert refused.returncode != 0
    assert "--unlock" in refused.stdout + refused.stderr
    assert snakemake(folder, "--unlock", *options).returncode == 0
    done = snakemake(folder, *options)
    assert done.returncode == 0, done.stderr[-4000:]
