"""The quality of every run of the cohort, in one table."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from gradspec.preprocess.quality import QUALITY_COLUMNS, find_flags
from gradspec.preprocess.status import NORMALIZED

COLUMNS: dict[str, Any] = {
    "participant_id": "Participant",
    "session": "Session label",
    "task": "Task label",
    "run": "Run label",
    "normalized": NORMALIZED,
    **QUALITY_COLUMNS,
    "exclude": "Whether the participant is left out (true or false)",
    "reason": "Why the participant is left out",
    "note": "What is worth knowing of how the run was denoised",
}


def tabulate_quality(runs: pd.DataFrame, excluded: pd.DataFrame, limits: Mapping[str, float | None]) -> pd.DataFrame:
    """Say of every run how good it is, and whether its participant goes on.

    Parameters
    ----------
    runs : DataFrame
        ``preprocess/runs.tsv``.
    excluded : DataFrame
        ``selection/excluded.tsv``.
    limits : mapping
        The section ``preprocess.quality`` of the configuration.

    Returns
    -------
    DataFrame
        A row per run, with the columns of `COLUMNS`; a participant without a usable run has one row with the reason.
    """
    reasons = dict(zip(excluded["participant_id"], excluded["reason"], strict=True))
    rows = runs.to_dict("records")
    rows += [{"participant_id": name} for name in reasons if name not in set(runs["participant_id"])]
    for row in rows:
        faults = find_flags(row, limits).values()
        row["exclude"] = "true" if row["participant_id"] in reasons else "false"
        row["reason"] = reasons.get(row["participant_id"]) or "; ".join(faults) or None
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"session": object, "task": object, "run": object})
    order = ["participant_id", "session", "task", "run"]
    return frame.sort_values(order, key=lambda column: column.fillna("").astype(str)).reset_index(drop=True)
