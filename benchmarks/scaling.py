"""Planning the workflow, the jobs it plans and the longest chain of them, against the number of participants.

A cohort of fMRIPrep derivatives, or of time courses, is made of empty files; Snakemake plans it (`-n`) from names
and sizes alone.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
CONFIG = """
cohort: {{source: {source}, {source}: {{{keys}}}}}
training: {{models: {{mlp: {{}}, lstm: {{}}}}, folds: 5, repeats: 4, record_every: 100}}
"""


class Job(NamedTuple):
    """A planned job: its rule, the files it takes and gives, and the minutes it asks for."""

    rule: str
    inputs: list[str]
    outputs: list[str]
    minutes: int


def make_timeseries(root: Path, n: int) -> str:
    """Write a participants table that names a file of time courses each; the files are empty."""
    root.mkdir()
    rows = []
    for number in range(n):
        (root / f"{number:06d}.tsv").touch()
        rows.append(f"sub-{number:06d}\t{('control', 'patient')[number % 2]}\t{number:06d}.tsv\n")
    (root / "participants.tsv").write_text("participant_id\tgroup\ttimeseries_file\n" + "".join(rows))
    return f"participants: {root}/participants.tsv, file_column: timeseries_file, repetition_time: 2.0"


def make_fmriprep(root: Path, n: int) -> str:
    """Write a participants table and the names of the files that fMRIPrep would leave; the files are empty."""
    rows = []
    for number in range(n):
        who = f"sub-{number:06d}"
        stem = root / who / "func" / f"{who}_task-rest"
        stem.parent.mkdir(parents=True)
        for part in ("desc-preproc_bold.nii.gz", "desc-preproc_bold.json", "desc-brain_mask.nii.gz"):
            Path(f"{stem}_space-MNI152NLin2009cAsym_{part}").touch()
        Path(f"{stem}_desc-confounds_timeseries.tsv").touch()
        rows.append(f"{who}\t{('control', 'patient')[number % 2]}\n")
    (root / "participants.tsv").write_text("participant_id\tgroup\n" + "".join(rows))
    return f"root: {root}, participants: {root}/participants.tsv"


def planned(output: Path) -> Iterator[Job]:
    """Read the jobs from what a dry run printed, in an order in which they can run."""
    rule, found = "", dict[str, str]()
    with output.open() as lines:
        for line in lines:
            if start := re.match(r"(?:local)?rule (\w+):", line):
                rule, found = start[1], {}
            elif part := re.match(r"    (input|output|resources): (.*)", line):
                found[part[1]] = part[2]
            if rule and "resources" in found:
                minutes = re.search(r"runtime=(\d+)", found["resources"])
                inputs, outputs = (found.get(name, "").split(", ") for name in ("input", "output"))
                yield Job(rule, inputs, outputs, int(minutes[1]) if minutes else 0)
                rule, found = "", {}


def longest_chain(jobs: list[Job]) -> tuple[int, int]:
    """Return the length of the chain of jobs that asks for most time, and the minutes it asks for."""
    made = dict[str, tuple[int, int]]()
    ends = [(0, 0)]
    for job in jobs:
        minutes, length = max((made[file] for file in job.inputs if file in made), default=(0, 0))
        ends.append((minutes + job.minutes, length + 1))
        made.update(dict.fromkeys(job.outputs, ends[-1]))
    minutes, length = max(ends)
    return length, minutes


def count_submissions(jobs: list[Job]) -> int:
    """Count the jobs of Slurm that these become with the groups of the profile."""
    profile = yaml.safe_load((ROOT / "workflow" / "profiles" / "slurm" / "config.yaml").read_text())
    counts = Counter(job.rule for job in jobs if job.rule != "all")
    grouped = Counter[str]()
    for rule, group in profile["groups"].items():
        grouped[group] = max(grouped[group], counts.pop(rule, 0))
    return counts.total() + sum(
        ceil(count / profile["group-components"].get(group, 1)) for group, count in grouped.items()
    )


def plan(folder: Path, n: int, source: str = "fmriprep") -> dict[str, float]:
    """Plan a cohort of `n` participants and measure it."""
    for name in ("Snakefile", "workflow", "config", "envs"):
        (folder / name).symlink_to(ROOT / name)
    make = {"fmriprep": make_fmriprep, "timeseries": make_timeseries}[source]
    keys = make(folder / "data", n)
    (folder / "scaling.yaml").write_text(CONFIG.format(source=source, keys=keys))
    command = [sys.executable, "-m", "snakemake", "-n", "--nocolor", "--configfile", "scaling.yaml"]
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{n} participants cannot be planned:\n{(folder / 'output').read_text()[-2000:]}")
    jobs = list(planned(folder / "output"))
    length, minutes = longest_chain(jobs)
    return {
        "participants": n,
        "jobs": len(jobs),
        "slurm_jobs": count_submissions(jobs),
        "chain_jobs": length,
        "chain_hours": round(minutes / 60, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "mib": round(usage.ru_maxrss / 1024),
    }


def main() -> None:
    """Print a row for each number of participants."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[20, 200, 2000], help="numbers of participants")
    parser.add_argument(
        "--source", choices=["fmriprep", "timeseries"], default="fmriprep", help="what there is of each"
    )
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    options = parser.parse_args()
    rows: list[dict[str, float]] = []
    for n in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(plan(Path(folder), n, options.source))
        if len(rows) == 1:
            print(*(f"{name:>12}" for name in rows[0]))
        print(*(f"{value:>12}" for value in rows[-1].values()), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
