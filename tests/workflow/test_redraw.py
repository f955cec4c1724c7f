"""A folder of results that was copied elsewhere can be drawn again, with nothing else."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from running import ROOT, snakemake

CHEAP = ["quality_control", "recovery", "group_differences", "mlp/trajectories"]


def redraw(workdir: Path, results: Path, *targets: str) -> "subprocess.CompletedProcess[str]":
    """Run what `make figures` runs."""
    command = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "--always-make", "figures", f"RESULTS={results}", "CORES=1"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},  # of `make test`
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    options = command.replace("\\\n", " ").rpartition("/bin/snakemake ")[2].strip()
    assert options.startswith("--cores 1 --snakefile workflow/redraw.smk")
    return snakemake(workdir, *(part.strip('"') for part in options.split()), "--", *targets)


@pytest.mark.slow
def test_copied_results_are_drawn_again_to_the_same_bytes_without_the_cohort(demo: Path, workdir: Path) -> None:
    results = workdir / "copied"
    ignored = shutil.ignore_patterns("bids", "logs", "benchmarks", "denoised", "sub-*")
    shutil.copytree(demo / "results", results, ignore=ignored, copy_function=shutil.copy)  # times are those of the copy
    for truth in (demo / "results" / "ground_truth").glob("sub-*.nc"):
        shutil.copy(truth, results / "ground_truth" / truth.name)
    drawn = [file.relative_to(results) for name in CHEAP for file in (results / "figures").glob(f"{name}.*")]
    assert len(drawn) == 4 * len(CHEAP)
    shutil.rmtree(results / "figures")
    done = redraw(workdir, results, *(str(results / "figures" / f"{name}.png") for name in CHEAP))
    assert done.returncode == 0, done.stderr[-4000:]
    for file in drawn:
        assert (results / file).read_bytes() == (demo / "results" / file).read_bytes(), file


def test_a_folder_without_results_is_refused_in_words(workdir: Path) -> None:
    (workdir / "empty").mkdir()
    (workdir / "empty" / "config.json").write_text('{"cohort": {"source": "numerical"}, "results": "empty"}')
    done = redraw(workdir, workdir / "empty")
    assert done.returncode != 0
    assert "copy it whole" in done.stdout + done.stderr
