"""A script's start: threads, log, and an error on the terminal that is one sentence."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from running import ROOT

SCRIPT = """
import os
from gradspec.job import start
start({log!r}, 3)
from gradspec.errors import ConfigError
from gradspec.progress import track
print("threads", os.environ["OMP_NUM_THREADS"], os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"])
for _ in track(range(3), "counting"):
    pass
raise {error}
"""


def run(tmp_path: Path, error: str) -> tuple[subprocess.CompletedProcess, str]:
    log = tmp_path / "job.log"
    script = SCRIPT.format(log=str(log), error=error)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "workflow")}
    )
    return done, log.read_text()


def test_output_and_progress_go_to_the_log(tmp_path: Path) -> None:
    _, log = run(tmp_path, "SystemExit(0)")
    assert "threads 3 3" in log
    assert "counting: 3 done" in log


def test_an_error_of_ours_is_a_sentence_on_the_terminal_and_a_traceback_in_the_log(tmp_path: Path) -> None:
    done, log = run(tmp_path, "ConfigError('no such column')")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: no such column\n(full log:")
    assert "Traceback" not in done.stderr
    assert "Traceback" in log


def test_an_error_that_nobody_foresaw_is_shown_whole(tmp_path: Path) -> None:
    done, _ = run(tmp_path, "ZeroDivisionError('oops')")
    assert "Traceback" in done.stderr
    assert "oops" in done.stderr


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        ("OSError(28, 'No space left on device', '/disk/x.nc')", "The disk is full (/disk/x.nc). Free some space"),
        (
            'OSError("Can\'t write data (No space left on device)")',
            "The disk is full. Free some space",
        ),  # as HDF5 says it
        ("RuntimeError('stats') from OSError(28, 'No space left on device')", "The disk is full."),
        ("PermissionError(13, 'Permission denied', '/x')", "This may not be written (/x)."),
        ("MemoryError()", "The memory did not suffice. Run fewer jobs at once"),
    ],
)
def test_what_the_machine_lacks_is_said_with_what_to_do(tmp_path: Path, error: str, advice: str) -> None:
    done, _ = run(tmp_path, error)
    assert "Traceback" in done.stderr
    assert advice in done.stderr


def test_no_advice_is_given_on_other_errors(tmp_path: Path) -> None:
    done, _ = run(tmp_path, "FileNotFoundError(2, 'No such file', '/x')")
    assert done.stderr.splitlines()[-2].startswith("FileNotFoundError")


CANCELLED = """
import sys, time
from gradspec.job import start
start({log!r}, 1)
from pathlib import Path
from gradspec.files import atomic_path
with atomic_path({target!r}) as partial:
    partial.mkdir()
    Path({ready!r}).touch()
    time.sleep(60)
"""


def test_a_cancelled_job_leaves_no_temporary_folder(tmp_path: Path) -> None:
    ready, out = tmp_path / "ready", tmp_path / "out"
    script = CANCELLED.format(log=str(tmp_path / "job.log"), target=str(out / "sub-01"), ready=str(ready))
    job = subprocess.Popen([sys.executable, "-c", script], env={"PYTHONPATH": str(ROOT / "workflow")})
    while not ready.exists():
        assert job.poll() is None
        time.sleep(0.05)
    assert len(list(out.iterdir())) == 1
    job.terminate()
    assert job.wait(timeout=20) == 143
    assert list(out.iterdir()) == []
