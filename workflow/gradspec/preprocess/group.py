"""The quality of every run of the cohort, in one table."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from gradspec.preprocess.quality import QUALITY_COLUMNS, find_flags

COLUMNS: dict[str, Any] = {
    "participant_id": "Participant",
    "session": "Session label",
    "task": "Task label",
    "run": "Run label",
    "normalized": {
        "Description": "Image that was registered to the template",
        "Levels": {"T1w": "the run follows the T1w image", "BOLD": "the BOLD reference itself, without a T1w image"},
    },
    **QUALITY_COLUMNS,
    "exclude": "Whether the participant is left out (true or false)",
    "reason": "Why the participant is left out",
    "note": "What is worth knowing of how the run was denoised",
}


def tabulate_quality(
    statuses: Iterable[Mapping[str, Any]], excluded: pd.DataFrame, limits: Mapping[str, float | None]
) -> pd.DataFrame:
    """Bring the quality numbers of both stages together.

    Parameters
    ----------
    statuses : iterable of mapping
        Status files of preprocessing and denoising.
    excluded : DataFrame
        ``cohort/excluded.tsv``.
    limits : mapping
        The section ``preprocess.quality`` of the configuration.

    Returns
    -------
    DataFrame
        A row a run, with the columns of `COLUMNS`; a participant without a usable run has one row with the reason.
    """
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    participants: dict[str, None] = {}
    for status in statuses:
        participants.setdefault(status["participant_id"])
        for run in status["runs"]:
            entities = {key: run[key] for key in ("session", "task", "run")}
            row = rows.setdefault((status["participant_id"], *entities.values()), entities)
            row |= {"participant_id": status["participant_id"], **run["quality"]}
            row |= {key: run[key] for key in ("normalized",) if key in run}
            row |= {"note": "; ".join(run["notes"])} if run.get("notes") else {}
    reasons = dict(zip(excluded["participant_id"], excluded["reason"], strict=True))
    participants |= dict.fromkeys(reasons)
    listed = {row["participant_id"] for row in rows.values()}
    table = [*rows.values(), *({"participant_id": name} for name in participants if name not in listed)]
    for row in table:
        faults = find_flags(row, limits).values()
        row["exclude"] = "true" if row["participant_id"] in reasons else "false"
        row["reason"] = reasons.get(row["participant_id"]) or "; ".join(faults) or None
    frame = pd.DataFrame(table, columns=list(COLUMNS)).astype({"session": object, "task": object, "run": object})
    order = ["participant_id", "session", "task", "run"]
    return frame.sort_values(order, key=lambda column: column.fillna("").astype(str)).reset_index(drop=True)
