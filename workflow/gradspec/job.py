"""What every script of the workflow does first: threads, log, and errors that a person can read.

Nothing here is imported by the library itself.
"""

import logging
import os
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from gradspec.advice import advise
from gradspec.errors import GradspecError

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)


def start(log: str, threads: int) -> None:
    """Send all output of this process to `log` and hold numerical libraries to `threads` threads.

    To be called before numpy, torch or ITK are imported. An error that gradspec raised on purpose is shown on the
    terminal as its message alone; the traceback goes to the log.

    Parameters
    ----------
    log : str
        Log file; it is overwritten.
    threads : int
        Number of threads of this job.
    """
    for variable in _THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    os.environ.setdefault("MPLBACKEND", "Agg")
    terminal = os.fdopen(os.dup(2), "w")
    stream = Path(log).open("w", encoding="utf-8", buffering=1)  # noqa: SIM115 - lives as long as the process
    os.dup2(stream.fileno(), 1)
    os.dup2(stream.fileno(), 2)
    sys.stdout = sys.stderr = stream
    logging.basicConfig(
        stream=stream, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    logging.captureWarnings(True)

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        text = "".join(traceback.format_exception(kind, error, trace))
        brief = f"Error: {error}\n" if isinstance(error, GradspecError) else text
        advice = f"{said}\n" if (said := advise(error)) else ""
        print(f"{brief}{advice}(full log: {log})", file=terminal, flush=True)
        with suppress(OSError):  # the disk may be full
            print(text, file=stream, flush=True)

    sys.excepthook = report
    # A job that is cancelled leaves as one that failed does: temporary folders are removed on the way out.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
