"""A full disk, inputs that may not be written, a clock that was wrong: nothing is lost, and what to do is said."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from breaking import TARGET, arguments
from comparing import differences
from makers import make_timeseries
from running import make_workdir, snakemake, write_config

ALONE = ("unshare", "--map-root-user", "--mount", "sh", "-ec")
"""Runs a script of a shell that may mount file systems, which nobody else sees."""


def require_mounts() -> None:
    if shutil.which("unshare") is None or subprocess.run([*ALONE, "mount -t tmpfs none /mnt"]).returncode:
        pytest.skip("this machine does not let a test mount a file system (unshare --map-root-user --mount)")


@pytest.mark.slow
def test_on_a_full_disk_nothing_is_lost_and_the_run_goes_on_when_there_is_room(whole: Path, tmp_path: Path) -> None:
    require_mounts()
    folder = make_workdir(tmp_path / "full")
    (folder / "results").mkdir()
    script = """
        mount -t tmpfs -o size=64m none results
        "$@" -- results/training/splits.tsv > first.txt 2>&1
        cat results/cohort/*.tsv results/training/splits* | cksum > before.txt
        dd if=/dev/zero of=results/filler bs=1k count=100000 2> /dev/null || true
        truncate -s -40k results/filler
        ! "$@" -- results/features/mlp.tsv > second.txt 2>&1
        cat results/cohort/*.tsv results/training/splits* | cksum > after.txt
        find results -name '.partial*' > left.txt
        rm results/filler
        "$@" -- results/features/mlp.tsv > third.txt 2>&1
        cp -a results kept
    """
    options = arguments(folder)[:-2]
    command = [*ALONE, script, "sh", sys.executable, "-m", "snakemake", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    said = {
        name: (folder / f"{name}.txt").read_text() for name in ("first", "second") if (folder / f"{name}.txt").exists()
    }
    assert done.returncode == 0, done.stderr + said.get("second", "")[-4000:]
    assert "The disk is full" in said["second"]
    assert (folder / "before.txt").read_text() == (folder / "after.txt").read_text()
    assert (folder / "left.txt").read_text() == ""
    assert differences(folder / "kept", whole / "results") == []


@pytest.mark.slow
def test_inputs_that_may_only_be_read_are_enough(tmp_path: Path) -> None:
    require_mounts()
    folder = make_workdir(tmp_path / "clone")
    table = make_timeseries(folder / "data")
    config = write_config(folder, cohort_of(table))
    script = 'mount --bind data data && mount -o remount,ro,bind data && ! touch data/x 2> /dev/null && "$@"'
    options = ["--cores", "1", "--configfile", config, "--", "results/cohort/timecourses.nc"]
    done = subprocess.run(
        [*ALONE, script, "sh", sys.executable, "-m", "snakemake", *options], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert (folder / "results" / "cohort" / "timecourses.nc").stat().st_size > 0


@pytest.mark.slow
def test_results_that_may_not_be_written_are_said_with_what_to_do(tmp_path: Path) -> None:
    require_mounts()
    folder = make_workdir(tmp_path / "clone")
    (folder / "results").mkdir()
    script = 'mount --bind results results && mount -o remount,ro,bind results && exec "$@"'
    command = [*ALONE, script, "sh", sys.executable, "-m", "snakemake", *arguments(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode != 0
    assert "This may not be written (" in done.stderr
    assert "Traceback" not in done.stderr


def cohort_of(table: Path) -> dict:
    return {
        "cohort": {
            "source": "timeseries",
            "covariates": [],
            "group": {"column": "group", "levels": ["control", "patient"]},
            "timeseries": {"participants": str(table), "repetition_time": 2.0},
        },
        "training": {"models": {"mlp": {}}, "folds": 2, "repeats": 1},
    }


def leave_out(table: Path, participant: str) -> None:
    """Take a participant out of a cohort: the row and the file."""
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(line for line in lines if not line.startswith(participant)))
    (table.parent / "series" / f"{participant}.1D").unlink()


@pytest.mark.slow
def test_when_a_participant_disappears_the_rest_is_as_if_it_had_never_been(tmp_path: Path) -> None:
    folders = [make_workdir(tmp_path / name) for name in ("grown", "fresh")]
    tables = [make_timeseries(folder / "data", 8) for folder in folders]
    targets = ["results/training/splits.tsv", "results/cohort/timecourses.nc"]
    for folder, left_out in ((folders[0], False), (folders[0], True), (folders[1], True)):
        if left_out:
            leave_out(tables[folders.index(folder)], "sub-03")
        config = write_config(folder, cohort_of(Path("data", tables[0].name)))
        done = snakemake(folder, "--cores", "1", "--configfile", config, "--", *targets)
        assert done.returncode == 0, done.stderr[-4000:]
    assert "sub-03" not in (folders[0] / "results" / "selection" / "participants.tsv").read_text()
    assert differences(folders[0] / "results", folders[1] / "results") == []


@pytest.mark.slow
def test_results_from_a_clock_that_was_ahead_are_kept_and_go_on(whole: Path, tmp_path: Path) -> None:
    folder = make_workdir(tmp_path / "clock")
    for name in ("results", ".snakemake"):
        shutil.copytree(whole / name, folder / name)
    ahead = time.time() + 86400
    for path in (folder / "results").rglob("*"):
        os.utime(path, (ahead, ahead))
    (folder / TARGET).unlink()
    done = snakemake(folder, *arguments(folder))
    assert done.returncode == 0, done.stderr[-4000:]
    assert differences(folder / "results", whole / "results") == []
    again = snakemake(folder, *arguments(folder))
    assert "Nothing to be done" in again.stdout + again.stderr


@pytest.mark.slow
def test_copied_results_go_on_where_they_were_when_they_are_touched(whole: Path, tmp_path: Path) -> None:
    folder = make_workdir(tmp_path / "copied")
    shutil.copytree(whole / "results", folder / "results", copy_function=shutil.copy)
    touched = snakemake(folder, "--touch", *arguments(folder))
    assert touched.returncode == 0, touched.stderr[-4000:]
    again = snakemake(folder, *arguments(folder))
    assert "Nothing to be done" in again.stdout + again.stderr
    assert differences(folder / "results", whole / "results") == []


@pytest.mark.slow
def test_results_of_an_older_version_are_made_anew_where_its_code_was_another(whole: Path, tmp_path: Path) -> None:
    folder = make_workdir(tmp_path / "older")
    for name in ("results", ".snakemake"):
        shutil.copytree(whole / name, folder / name)
    for record in (folder / ".snakemake" / "metadata").rglob("*"):
        if record.is_file() and (facts := json.loads(record.read_text()))["rule"] == "extract_features":
            code = [value for value in facts["params"] if re.fullmatch("'[0-9a-f]{16}'", value)]
            assert len(code) == 1
            facts["params"] = sorted({*facts["params"]} - {*code} | {"'0123456789abcdef'"})
            record.write_text(json.dumps(facts))
    (folder / TARGET).write_text("what an older version wrote\n")
    done = snakemake(folder, *arguments(folder))
    assert done.returncode == 0, done.stderr[-4000:]
    assert "train_fold" not in done.stdout + done.stderr
    assert differences(folder / "results", whole / "results") == []
