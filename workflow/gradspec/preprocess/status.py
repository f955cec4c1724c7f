"""What became of a participant: the status file, and what to do about data that cannot be used."""

import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradspec.errors import ParticipantError
from gradspec.files import atomic_path, remove_partial, write_json

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


def finish(
    participant: str,
    stage: str,
    folder: Path,
    status: Path,
    on_error: str,
    earlier: str | None,
    work: Callable[[Path], list[dict[str, Any]]],
    judge: Callable[[list[dict[str, Any]]], None] = lambda runs: None,
) -> None:
    """Do the work of a stage for a participant and write its status, whatever comes of it.

    Parameters
    ----------
    participant, stage : str
        Who, and ``"preprocess"`` or ``"denoise"``.
    folder, status : Path
        Results: the participant's folder (empty if there is nothing to use), and the status file.
    on_error : {"exclude", "stop"}
        Whether data that cannot be used are noted or end the workflow.
    earlier : str or None
        Reason of an exclusion by an earlier stage; nothing is done then.
    work : callable
        Fills the folder that it is given and returns the runs.
    judge : callable
        Raises ParticipantError for runs that are not good enough; the folder is kept, for its pictures.

    Raises
    ------
    ParticipantError
        If the data cannot be used and `on_error` is ``"stop"``.
    """
    runs: list[dict[str, Any]] = []
    reason = earlier
    remove_partial(folder)
    with atomic_path(folder) as partial:
        partial.mkdir()
        if earlier is None:
            try:
                runs = work(partial)
                judge(runs)
            except ParticipantError as error:
                if on_error == "stop":
                    raise
                reason = str(error) if error.file else error.reason
                log.warning("%s is excluded: %s", participant, reason)
                if not runs:
                    shutil.rmtree(partial)
                    partial.mkdir()
    write_json(
        {
            "participant_id": participant,
            "stage": stage,
            "status": "included" if reason is None else "excluded",
            "reason": reason,
            "runs": runs,
        },
        status,
    )


def earlier_reason(participant: str, checked: Mapping[str, Any] | None, status: Mapping[str, Any] | None) -> str | None:
    """Why a participant was left out before, or None.

    Parameters
    ----------
    participant : str
        For example ``sub-01``.
    checked : mapping or None
        The participant's row of ``cohort/checked.tsv``; None if there is none.
    status : mapping or None
        Status of the stage before, if it has one.
    """
    if status is not None and status["status"] == "excluded":
        return str(status["reason"])
    if checked is None:
        return f"{participant} is not in cohort/checked.tsv"
    return None if checked["status"] == "included" else str(checked["reason"])


def find_row(table: "pd.DataFrame", participant: str) -> dict[str, Any] | None:
    """Row of a participant in ``cohort/checked.tsv``, or None."""
    rows = table[table["participant_id"] == participant].to_dict("records")
    return {str(key): value for key, value in rows[0].items()} if rows else None
