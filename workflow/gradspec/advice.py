"""What to do when the machine, not the data, makes a job fail: no room, no memory, no right to write."""

import errno
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from gradspec.errors import ConfigError
from gradspec.files import PathLike, read_json
from gradspec.places import ROOT

_DISK = (
    "The disk is full{where}. Free some space, or name a folder on another disk in `results:` of the config (move what "
    "is there), then start the same command again: what is finished is kept."
)
_RIGHTS = (
    "This may not be written{where}. Results go into the folder `results:` of the config, and nowhere else; name one "
    "that may be written, then start the same command again."
)
_MEMORY = (
    "The memory did not suffice. Run fewer jobs at once (--cores, --jobs), or give this rule more "
    "(--set-resources RULE:mem_mb=16000), then start the same command again: what is finished is kept."
)
_OPEN_FILES = (
    "Too many files are open at once; no file is at fault. Raise the limit (ulimit -n 4096) or run fewer jobs at once "
    "(--cores), then start the same command again: what is finished is kept."
)
_UNREACHABLE = (
    "The file system did not answer{where}; no file is at fault as far as can be told. See whether the disk can be "
    "reached, then start the same command again: what is finished is kept."
)
_KILLED = (
    "A job was killed from outside. If nobody did so, the system did, for want of memory. " + _MEMORY.partition(". ")[2]
)
_BY_NUMBER = {
    errno.ENOSPC: _DISK,
    errno.EDQUOT: _DISK,
    errno.EROFS: _RIGHTS,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.ENOMEM: _MEMORY,
    errno.EMFILE: _OPEN_FILES,
    errno.ENFILE: _OPEN_FILES,
    errno.EIO: _UNREACHABLE,
    errno.ESTALE: _UNREACHABLE,
    errno.ETIMEDOUT: _UNREACHABLE,
}
_KILL_SIGNS = ("Signals.SIGKILL", "exit status 137", "out-of-memory", "OUT_OF_ME")


def advise(error: BaseException) -> str | None:
    """Say what to do about an error that the machine caused, or None about any other.

    Parameters
    ----------
    error : exception
        The error, or one that it was raised from, may be the machine's.
    """
    seen: BaseException | None = error
    known: set[int] = set()  # causes may go in circles
    while seen is not None and id(seen) not in known:
        known.add(id(seen))
        number = getattr(seen, "errno", None) or _number_in(str(seen))
        if isinstance(seen, MemoryError) or type(seen).__name__ == "OutOfMemoryError":
            return _MEMORY
        if number in _BY_NUMBER and isinstance(seen, OSError | RuntimeError):
            name = getattr(seen, "filename", None)
            return _BY_NUMBER[number].format(where=f" ({name})" if name else "")
        seen = seen.__cause__ or seen.__context__
    return None


def require_writable(folder: PathLike) -> None:
    """Refuse a folder in which nothing may be written.

    Raises
    ------
    ConfigError
        If that is so; the message says what to do.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(prefix=".partial-", dir=folder).close()
    except OSError as error:
        raise ConfigError(advise(error) or str(error)) from error


def _number_in(message: str) -> int | None:
    """Find the number of a system's error whose words stand in the message, as libraries of file formats put them."""
    return next((number for number in _BY_NUMBER if os.strerror(number) in message), None)


def advise_on_logs(logs: Iterable[PathLike]) -> str | None:
    """Say what to do about a workflow that failed for what only its own logs tell: jobs that were killed.

    Parameters
    ----------
    logs : iterable of path
        The logs of Snakemake; one that cannot be read tells nothing.
    """
    for log in logs:
        with suppress(OSError):
            text = Path(log).read_text(encoding="utf-8", errors="replace")
            if any(sign in text for sign in _KILL_SIGNS):
                return _KILLED
    return None


def advise_on_settings(results: PathLike, config: dict[str, Any]) -> str | None:
    """Say what to do about results that were made with other settings.

    Snakemake sees changed settings by its own record of each job, which results that were copied lack, and which
    ``--touch`` brings up to date though nothing is made again.

    Parameters
    ----------
    results : path
        Folder of results, which need not be there.
    config : dict
        The resolved configuration.
    """
    from gradspec.config import find_changed_settings  # scripts import this module, and lack what reads a config

    path = Path(results, "config.json")
    try:
        changed = find_changed_settings(read_json(path), config)
    except (OSError, ValueError, AttributeError):  # none yet, or not one of ours: then nothing is known
        return None
    if not changed:
        return None
    listed = "\n  ".join([*changed[:10], *(["…"] if len(changed) > 10 else [])])
    return (
        f"{path} says that these results were made with other settings:\n  {listed}\n"
        "Where Snakemake has its record of the jobs (.snakemake in this folder) it makes what depends on them again. "
        "If it says there is nothing to be done, the results are those of the old settings: name another folder in "
        "`results:`, or add --forceall."
    )


def name_pages(results: PathLike) -> str | None:
    """Say what to open first in finished results, or None where there is no page yet.

    Parameters
    ----------
    results : path
        Folder of results.
    """
    first, report = Path(results, "figures", "overview.html"), Path(results, "report.html")
    if not first.is_file():  # with results in a bucket, the report alone is here
        return f"Open first: {report}" if report.is_file() else None
    said = f"Open first: {first}"
    if report.is_file() and report.stat().st_mtime >= first.stat().st_mtime:
        return f"{said}\nThe report of everything: {report}"
    command = "make report CONFIG=(your config)" if (ROOT / "Makefile").is_file() else "gradspec report (your config)"
    return f"{said}\nThe report of everything, in one file: {command}"
