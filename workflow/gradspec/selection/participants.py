"""The participants that are left after every stage that may leave one out."""

import logging
from collections.abc import Sequence
from statistics import fmean

import pandas as pd

from gradspec.cohort.participants import MEAN_FD, require_group_sizes
from gradspec.errors import ConfigError

log = logging.getLogger(__name__)

EXCLUDED_COLUMNS = ["participant_id", "group", "stage", "reason"]


def select_participants(
    checked: pd.DataFrame, runs: pd.DataFrame, levels: Sequence[str], folds: int, on_error: str
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Split the cohort into those who go on and those who are left out.

    Parameters
    ----------
    checked : DataFrame
        ``cohort/checked.tsv``.
    runs : DataFrame
        ``runs.tsv`` of the stage before; where that may leave somebody out, with the columns stage and reason.
    levels : sequence of str
        The two groups.
    folds : int
        Folds of the cross-validation.
    on_error : {"exclude", "stop"}
        What to do where somebody is left out.

    Returns
    -------
    participants : DataFrame
        participant_id, group, covariates, n_runs. Where ``mean_fd`` is a covariate that the data set does not give, it
        is what the stages measured.
    excluded : DataFrame
        participant_id, group, stage, reason; of the first stage that left the participant out.
    runs : DataFrame
        Those of the participants who go on.

    Raises
    ------
    ConfigError
        If a group has fewer participants left than there are folds, or if anybody is left out and `on_error` says stop.
    """
    decided = runs if "reason" in runs else runs.assign(stage=None, reason=None)
    out = {row.participant_id: (row.stage, row.reason) for row in decided[decided["reason"].notna()].itertuples()} | {
        row.participant_id: ("cohort", row.reason) for row in checked[checked["status"] == "excluded"].itertuples()
    }
    kept = checked[~checked["participant_id"].isin(out)]
    used = decided[decided["participant_id"].isin(kept["participant_id"])].drop(columns=["stage", "reason"])
    n_runs = used["participant_id"].value_counts()
    participants = kept.drop(columns=["status", "reason", "note"]).assign(n_runs=kept["participant_id"].map(n_runs))
    if MEAN_FD in kept and MEAN_FD in used and checked[MEAN_FD].isna().all():
        measured = used.dropna(subset=MEAN_FD).groupby("participant_id")[MEAN_FD].agg(fmean)
        participants[MEAN_FD] = kept["participant_id"].map(measured)
    left_out = checked[checked["participant_id"].isin(out)]
    excluded = pd.DataFrame(
        [(row.participant_id, row.group, *out[row.participant_id]) for row in left_out.itertuples()],
        columns=EXCLUDED_COLUMNS,
    )
    for row in excluded.itertuples():
        log.warning("%s (%s) is left out by %s: %s", row.participant_id, row.group, row.stage, row.reason)
    _judge(participants, excluded, levels, folds, on_error)
    return participants, excluded, used


def _judge(
    participants: pd.DataFrame, excluded: pd.DataFrame, levels: Sequence[str], folds: int, on_error: str
) -> None:
    reasons = "".join(
        f"\n  - {row.participant_id} ({row.stage}): {row.reason}" for row in excluded.head(10).itertuples()
    )
    if len(excluded) > 10:
        reasons += f"\n  and {len(excluded) - 10} more, in the log"
    if on_error == "stop" and len(excluded):
        raise ConfigError(
            f"{len(excluded)} participants cannot be used, and on_error is 'stop' ('exclude' goes on without):{reasons}"
        )
    groups = dict(zip(participants["participant_id"], participants["group"], strict=True))
    require_group_sizes(
        groups,
        levels,
        folds,
        f"lower training.folds or add participants. {len(excluded)} are excluded (selection/excluded.tsv):{reasons}",
    )
