"""Follows a run by what Snakemake logs, says in a line how far it is, and has a process of its own write the page.

Nothing here may fail or delay a run: what goes wrong is left out, and what takes time (reading spectra, a slow disk)
does so in the other process.
"""

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Hashable, Mapping
from contextlib import suppress
from typing import Any

from gradspec.files import PathLike
from gradspec.watch.tally import Job, Tally, describe

_EVERY_S = 2.0
_LINE_EVERY_S = 30.0
_PATIENCE_S = 20.0


class Watch(logging.Handler):
    """Follows a run from `start` to `end`.

    Parameters
    ----------
    results : path
        Folder of results, into which ``progress.html`` goes.
    jobs : mapping of hashable to Job
        The plan, by the number of the job.
    quiet : bool
        Whether nothing is to be said in the terminal.
    """

    def __init__(self, results: PathLike, jobs: Mapping[Hashable, Job], *, quiet: bool = False) -> None:
        super().__init__()
        self._tally = Tally(jobs, time.monotonic())
        self._page = f"{results}/progress.html"
        self._command = [sys.executable, "-m", "gradspec.watch.page", str(results)]
        self._quiet = quiet
        self._process: subprocess.Popen[str] | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)
        self._outcome: str | None = None

    def start(self) -> None:
        """Start the process that writes the page, and the thread that tells it what to write."""
        with suppress(OSError):
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
                start_new_session=True,  # Ctrl-C is for Snakemake; this one ends when its input does
            )
        self._thread.start()
        if not self._quiet:
            print(f"How far it is, while it runs: {self._page}", file=sys.stderr, flush=True)

    def end(self, outcome: str) -> None:
        """Have the last page written.

        Parameters
        ----------
        outcome : str
            ``"done"`` or ``"failed"``.
        """
        self._outcome = outcome
        self._over.set()
        self._thread.join(_PATIENCE_S)
        if self._process is not None and not self._thread.is_alive():
            with suppress(OSError, subprocess.TimeoutExpired):
                if self._process.stdin is not None:
                    self._process.stdin.close()
                self._process.wait(_PATIENCE_S)

    def emit(self, record: logging.LogRecord) -> None:
        """Take in what Snakemake logs of a job; the lock of handlers is held."""
        event, now = str(getattr(record, "event", "")), time.monotonic()
        if event == "job_info":
            self._tally.begin(getattr(record, "jobid", None), now)
        elif event == "job_finished":
            self._tally.finish(getattr(record, "job_id", None), now)
        elif event == "job_error":
            self._tally.fail(getattr(record, "jobid", None))

    def _tell(self) -> None:
        """Hand on how far the run is, until it is over."""
        said = time.monotonic()
        before = ""
        while True:
            over = self._over.wait(_EVERY_S)
            state = self._look()
            line, now = describe(state["stages"], state["seconds_left"]), time.monotonic()
            if not self._quiet and line != before and (now - said >= _LINE_EVERY_S or over):
                print(f"gradspec: {line}", file=sys.stderr, flush=True)
                said, before = now, line
            if self._process is not None and self._process.stdin is not None:
                with suppress(OSError, ValueError):  # it has ended, or is being closed
                    self._process.stdin.write(json.dumps(state) + "\n")
                    self._process.stdin.flush()
            if over:
                return

    def _look(self) -> dict[str, Any]:
        now = time.monotonic()
        self.acquire()
        try:
            return {
                "stages": self._tally.stages(),
                "running": self._tally.running(now),
                "seconds_left": self._tally.seconds_left(now),
                "seconds": now - self._tally.start,
                "outcome": self._outcome,
            }
        finally:
            self.release()
