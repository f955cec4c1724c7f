"""What the check of the cohort finds: the runs of a participant that can be used, and what is wrong with others."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from gradspec.cohort.participants import Participant
from gradspec.cohort.runs import BoldRun
from gradspec.errors import ParticipantError
from gradspec.files import PathLike, read_json, write_json


@dataclass(frozen=True)
class DataFile:
    """A file of time courses, connectivity or features (or a made sample) of a participant that can be used.

    Attributes
    ----------
    file : str or None
        Path, absolute or from where the workflow runs; None for what the workflow makes itself.
    repetition_time : float or None
        Time between volumes, in seconds.
    n_volumes : int or None
        Length of the series.
    form : str
        Size in words, such as ``200 regions``; the same for the whole cohort.
    names : tuple of str
        Names of the regions where the file gives any; the same for the whole cohort.
    reading : str
        How the file is read where it could be read otherwise, such as ``regions in rows``.
    """

    file: str | None = None
    repetition_time: float | None = None
    n_volumes: int | None = None
    form: str = ""
    names: tuple[str, ...] = ()
    reading: str = ""

    label: ClassVar[str] = ""

    @property
    def source(self) -> str:
        """The file, for messages."""
        return self.file or "made by the workflow"

    def row(self) -> dict[str, Any]:
        """Return the file as a row of a table or of JSON."""
        return asdict(self)


@dataclass
class Finding:
    """What was found of a participant.

    Attributes
    ----------
    participant : Participant
    runs : list of BoldRun or of DataFile
        What can be used.
    faults : list of ParticipantError
        What cannot; with no run left, the participant is excluded.
    notes : list of str
        What is worth knowing of data that can be used.
    """

    participant: Participant
    runs: list[BoldRun | DataFile] = field(default_factory=list)
    faults: list[ParticipantError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def reason(self) -> str | None:
        """Why the participant is excluded, or None."""
        if self.runs:
            return None
        return join(self.faults) or "no run that can be used"

    def drop(self, run: BoldRun | DataFile, reason: str) -> None:
        """Leave a run out."""
        self.runs.remove(run)
        self.faults.append(ParticipantError(reason, participant=self.participant.id, file=str(run.source)))


def join(faults: Sequence[ParticipantError]) -> str:
    """Put faults into one line that fits in a table; each names its file, and what several runs share stands once."""
    texts = (f"{fault.file}: {fault.reason}" if fault.file else fault.reason for fault in faults)
    return "; ".join(dict.fromkeys(texts))


def write_findings(findings: Sequence[Finding], path: PathLike) -> None:
    """Write what was found, for the check that compares all participants."""
    found = [
        {
            "participant": vars(finding.participant),
            "runs": [run.row() for run in finding.runs],
            "faults": [vars(fault) for fault in finding.faults],
            "notes": finding.notes,
        }
        for finding in findings
    ]
    write_json(found, path)


def read_findings(path: PathLike) -> list[Finding]:
    """Read what was found."""
    return [_finding(**found) for found in read_json(path)]


def _finding(
    participant: dict[str, Any], runs: list[dict[str, Any]], faults: list[dict[str, Any]], notes: list[str]
) -> Finding:
    return Finding(
        Participant(**participant),
        [BoldRun.from_row(run) if "bold" in run else DataFile(**run | {"names": tuple(run["names"])}) for run in runs],
        [ParticipantError(**fault) for fault in faults],
        notes,
    )
