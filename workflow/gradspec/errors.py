"""Errors for the person who can mend them: what is wrong, where, and what to do."""

from pathlib import Path


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
