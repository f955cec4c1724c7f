"""What became of a participant: the status file, and what to do about data that cannot be used."""

import logging
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradspec.cohort.runs import RUN_COLUMNS, BoldRun, read_runs, tabulate_runs
from gradspec.errors import ParticipantError
from gradspec.files import PathLike, atomic_path, read_json, remove_partial, write_json
from gradspec.preprocess.quality import QUALITY_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

NORMALIZED = {
    "Description": "Image that was registered to the template",
    "Levels": {"T1w": "the run follows the T1w image", "BOLD": "the BOLD reference itself, without a T1w image"},
}

COLUMNS: dict[str, Any] = {
    **RUN_COLUMNS,
    "normalized": NORMALIZED,
    **QUALITY_COLUMNS,
    "note": "What is worth knowing of how the run was denoised",
    "stage": "Stage of the workflow that left the participant out",
    "reason": "Why the participant is left out; n/a for who goes on",
}
"""Columns of the table of runs after this stage."""


@dataclass(frozen=True)
class Status:
    """The runs of a participant, and whether they go on.

    Attributes
    ----------
    participant_id : str
    runs : sequence of BoldRun
        As the last stage that did anything left them.
    stage, reason : str or None
        Which stage left the participant out, and why; None for who goes on.
    """

    participant_id: str
    runs: Sequence[BoldRun]
    stage: str | None = None
    reason: str | None = None


def read_status(path: PathLike, participant: str) -> Status:
    """Read the runs of a participant, from the status file of an earlier stage or the table of the cohort.

    Parameters
    ----------
    path : path
        A status file, or ``cohort/runs.tsv``, in which who is left out has no row.
    participant : str
        For example ``sub-01``.
    """
    if Path(path).suffix == ".json":
        status = read_json(path)
        return Status(**{**status, "runs": [BoldRun.from_row(run) for run in status["runs"]]})
    if runs := read_runs(path, participant):
        return Status(participant, runs)
    return Status(participant, [], "cohort", "left out by the check of the cohort, which is told in cohort/checked.tsv")


def finish(
    before: Status,
    stage: str,
    folder: Path,
    path: Path,
    on_error: str,
    work: Callable[[Path], list[BoldRun]],
    judge: Callable[[Sequence[BoldRun]], None] = lambda runs: None,
) -> None:
    """Do the work of a stage for a participant and write the status, whatever comes of it.

    Parameters
    ----------
    before : Status
        Of the stage before. Of who is left out already it is handed on, and nothing is done.
    stage : str
        ``"preprocess"`` or ``"denoise"``.
    folder, path : Path
        Results: the participant's folder (empty if there is nothing to use), and the status file.
    on_error : {"exclude", "stop"}
        Whether data that cannot be used are noted or end the workflow.
    work : callable
        Fills the folder that it is given and returns the runs, whose images lie there.
    judge : callable
        Raises ParticipantError for runs that are not good enough; the folder is kept, for its pictures.

    Raises
    ------
    ParticipantError
        If the data cannot be used and `on_error` is ``"stop"``.
    """
    status = before
    remove_partial(folder)
    with atomic_path(folder) as partial:
        partial.mkdir()
        if before.reason is None:
            try:
                status = replace(before, runs=[run.moved(partial, folder) for run in work(partial)])
                judge(status.runs)
            except ParticipantError as error:
                if on_error == "stop":
                    raise
                reason = str(error) if error.file else error.reason
                log.warning("%s is excluded: %s", before.participant_id, reason)
                if status is before:
                    shutil.rmtree(partial)
                    partial.mkdir()
                status = replace(status, stage=stage, reason=reason)
    decision = {"participant_id": status.participant_id, "stage": status.stage, "reason": status.reason}
    write_json({**decision, "runs": [run.row() for run in status.runs]}, path)


def gather_runs(statuses: Iterable[Status]) -> "pd.DataFrame":
    """Bring the runs of all participants together.

    Parameters
    ----------
    statuses : iterable of Status
        Of the last stage.

    Returns
    -------
    DataFrame
        A row per run, with `COLUMNS`; a participant who has none has one row, with the reason.
    """
    rows = []
    for status in statuses:
        decision = {"participant_id": status.participant_id, "stage": status.stage, "reason": status.reason}
        rows += [{**run.row(), **run.quality, **decision} for run in status.runs] or [decision]
    return tabulate_runs(rows, added=[name for name in COLUMNS if name not in RUN_COLUMNS])
