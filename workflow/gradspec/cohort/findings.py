"""What the check of the cohort finds: the runs of a participant that can be used, and what is wrong with others."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from gradspec.cohort.participants import Participant
from gradspec.errors import ParticipantError
from gradspec.files import PathLike, read_json, write_json


@dataclass(frozen=True)
class Run:
    """A run (or file, or made sample) of a participant that can be used.

    Attributes
    ----------
    session, task, run : str or None
        Labels without prefix.
    bold, t1w, mask, confounds, file : str or None
        Paths, absolute or from where the workflow runs.
    repetition_time : float or None
        Time between volumes, in seconds.
    n_volumes : int or None
        Length of the series.
    slice_timing : str or None
        Time of each slice in seconds after the start of its volume, separated by commas.
    slice_encoding_direction : str or None
        Axis of the slices, such as ``k``, or ``k-`` where the times run backwards.
    form : str
        Size in words, such as ``200 regions``; the same for the whole cohort.
    names : tuple of str
        Names of the regions where the file gives any; the same for the whole cohort.
    reading : str
        How the file is read where it could be read otherwise, such as ``regions in rows``.
    """

    session: str | None = None
    task: str | None = None
    run: str | None = None
    bold: str | None = None
    t1w: str | None = None
    mask: str | None = None
    confounds: str | None = None
    file: str | None = None
    repetition_time: float | None = None
    n_volumes: int | None = None
    slice_timing: str | None = None
    slice_encoding_direction: str | None = None
    form: str = ""
    names: tuple[str, ...] = ()
    reading: str = ""

    @property
    def source(self) -> str:
        """The file that the run is read from."""
        return self.bold or self.file or "made by the workflow"

    @property
    def label(self) -> str:
        """Labels joined, such as ``ses-1_task-rest_run-2``; empty where the run has none."""
        return run_label(self.session, self.task, self.run)


@dataclass
class Finding:
    """What was found of a participant.

    Attributes
    ----------
    participant : Participant
    runs : list of Run
        What can be used.
    faults : list of ParticipantError
        What cannot; with no run left, the participant is excluded.
    notes : list of str
        What is worth knowing of data that can be used.
    """

    participant: Participant
    runs: list[Run] = field(default_factory=list)
    faults: list[ParticipantError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def reason(self) -> str | None:
        """Why the participant is excluded, or None."""
        if self.runs:
            return None
        return join(self.faults) or "no run that can be used"

    def drop(self, run: Run, reason: str) -> None:
        """Leave a run out."""
        self.runs.remove(run)
        self.faults.append(ParticipantError(reason, participant=self.participant.id, file=run.source))


def join(faults: Sequence[ParticipantError]) -> str:
    """Put faults into one line that fits in a table; each names its file, and what several runs share stands once."""
    texts = (f"{fault.file}: {fault.reason}" if fault.file else fault.reason for fault in faults)
    return "; ".join(dict.fromkeys(texts))


def run_label(session: str | None, task: str | None, run: str | None) -> str:
    """Join the labels of a run in the order of BIDS."""
    parts = (("ses", session), ("task", task), ("run", run))
    return "_".join(f"{name}-{value}" for name, value in parts if value)


def write_findings(findings: Sequence[Finding], path: PathLike) -> None:
    """Write what was found, for the check that compares all participants."""
    write_json([asdict(finding) | {"faults": [vars(fault) for fault in finding.faults]} for finding in findings], path)


def read_findings(path: PathLike) -> list[Finding]:
    """Read what was found."""
    return [_finding(**found) for found in read_json(path)]


def _finding(
    participant: dict[str, Any], runs: list[dict[str, Any]], faults: list[dict[str, Any]], notes: list[str]
) -> Finding:
    return Finding(
        Participant(**participant),
        [Run(**run | {"names": tuple(run["names"])}) for run in runs],
        [ParticipantError(**fault) for fault in faults],
        notes,
    )
