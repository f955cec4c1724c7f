"""Errors for the person who can mend them: what is wrong, where, and what to do."""

import errno
import os
from pathlib import Path

_MACHINE = {
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT),
    *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EINTR),
}
"""Numbers of errors that say something about the machine, and nothing about the file that was to be read."""


class GradspecError(Exception):
    """Base of every error that gradspec raises on purpose."""


class ConfigError(GradspecError):
    """The configuration, or what it points at, cannot be used."""


class ParticipantError(GradspecError):
    """The data of one participant cannot be used; the others may go on without.

    Parameters
    ----------
    reason : str
        What is wrong, what was expected, and what to do, in words that fit in a table.
    participant : str, optional
        Participant id, for example ``sub-01``.
    file : path, optional
        The offending file.
    """

    def __init__(self, reason: str, *, participant: str | None = None, file: str | Path | None = None) -> None:
        self.reason = reason
        self.participant = participant
        self.file = None if file is None else str(file)
        super().__init__(reason)

    def __str__(self) -> str:
        return ": ".join(part for part in (self.participant, self.file, self.reason) if part)


def raise_machine_fault(error: BaseException, file: str | os.PathLike[str] | None = None) -> None:
    """Raise what the machine, not a file, is to blame for: nobody is excluded, and nothing deleted, for its sake.

    To be called first where an error of reading is taken for a damaged file.

    Parameters
    ----------
    error : exception
        What came of reading.
    file : path, optional
        The file. It is opened again where the error has no number, since nibabel tells of every error of the system as
        ``ImageFileError`` without its cause.

    Raises
    ------
    OSError
        If the system has too many open files, no memory or no room, or does not reach its disk.
    """
    if isinstance(error, OSError) and error.errno in _MACHINE:
        raise error
    if file is not None:
        try:
            Path(file).open("rb").close()
        except OSError as cause:
            if cause.errno in _MACHINE:
                raise cause from error
