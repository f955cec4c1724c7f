"""A computer that gives out while a participant is preprocessed: killed jobs, full disks, programs without memory."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from nipype.interfaces.base import CommandLine
from nipype.pipeline.engine import Node, Workflow
from preprocess_maker import make_run, make_settings, read_tree
from running import ROOT

from gradspec.preprocess.participant import _run

_JOB = """
import json, sys
from pathlib import Path
from gradspec.cohort.runs import BoldRun
from gradspec.preprocess.participant import preprocess_participant
from gradspec.preprocess.status import Status, finish
bold, results, settings = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
run, target = BoldRun("sub-01", bold, repetition_time=2.0, n_volumes=20), results / "sub-01"
work = lambda folder: preprocess_participant("sub-01", [run], folder, settings, 1, target)
finish(Status("sub-01", [run]), "preprocess", target, results / "sub-01.json", "exclude", work)
"""
MOUNT = ("unshare", "--map-root-user", "--mount")


def start(bold: Path, results: Path, scratch: Path) -> "subprocess.Popen[bytes]":
    """Start the job of a participant in a process group of its own, with its own folder for temporary files."""
    scratch.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", _JOB, str(bold), str(results), json.dumps(make_settings())],
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow"), "TMPDIR": str(scratch)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.mark.slow
@pytest.mark.long
def test_a_job_that_was_killed_at_any_time_ends_with_the_same_bytes(tmp_path: Path) -> None:
    bold = make_run(tmp_path / "raw")[0].bold
    begin = time.monotonic()
    assert start(bold, tmp_path / "whole", tmp_path / "tmp-whole").wait() == 0
    lasted = time.monotonic() - begin
    results, scratch = tmp_path / "results", tmp_path / "tmp"
    killed = []
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        job = start(bold, results, scratch)
        time.sleep(share * lasted)
        at_work = job.poll() is None
        if at_work:
            os.killpg(job.pid, signal.SIGKILL)
        job.wait()
        killed.append(at_work)
        assert len(list(scratch.glob("gradspec-sub-01-*"))) <= 1, "an attempt removes what the one before it left"
    assert sum(killed) >= 3
    assert start(bold, results, scratch).wait() == 0
    assert read_tree(results) == read_tree(tmp_path / "whole")
    assert not list(results.glob(".partial-*"))
    assert not list(scratch.glob("gradspec-*"))


@pytest.mark.slow
def test_a_disk_that_is_really_full_ends_the_job_and_leaves_nothing(tmp_path: Path) -> None:
    """Results on a disk of 200 kB, mounted in a namespace of its own."""
    results = tmp_path / "results"
    results.mkdir()
    mount = f"mount -t tmpfs -o size=200k full {results}"
    if subprocess.run([*MOUNT, "sh", "-c", mount], capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    bold = make_run(tmp_path / "raw")[0].bold
    job = [sys.executable, "-c", _JOB, str(bold), str(results), json.dumps(make_settings())]
    script = f'{mount} && "$@"; code=$?; find {results} -mindepth 1 > {tmp_path}/left; exit $code'
    env = {**os.environ, "PYTHONPATH": str(ROOT / "workflow"), "TMPDIR": str(tmp_path)}
    done = subprocess.run([*MOUNT, "sh", "-c", script, "sh", *job], env=env, capture_output=True, text=True)
    assert done.returncode != 0
    assert "No space left on device" in done.stderr
    assert (tmp_path / "left").read_text() == ""
    assert not list(tmp_path.glob("gradspec-*"))


def program(tmp_path: Path, command: str) -> Workflow:
    workflow = Workflow(name="small", base_dir=str(tmp_path / "work"))
    (tmp_path / "work").mkdir()
    workflow.add_nodes([Node(CommandLine(command="sh", args=f"-c '{command}'"), name="only")])
    return workflow


@pytest.mark.parametrize("command", ["kill -9 $$", "echo std::bad_alloc >&2; exit 1"])
def test_a_program_without_memory_ends_the_job_and_excludes_nobody(tmp_path: Path, command: str) -> None:
    with pytest.raises(MemoryError, match="give the job more mem_mb"):
        _run(program(tmp_path, command), "sub-01")


def test_a_program_that_fails_on_a_full_disk_excludes_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = program(tmp_path, "echo cannot write >&2; exit 1")
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=4096))
    with pytest.raises(OSError, match="disk for temporary files is full") as caught:
        _run(workflow, "sub-01")
    assert caught.value.errno == errno.ENOSPC
