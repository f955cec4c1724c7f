"""The check of the cohort: what was found of all participants is compared, and what cannot be used is left out."""

import logging
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from gradspec.cohort.findings import DataFile, Finding, join
from gradspec.cohort.participants import MEAN_FD
from gradspec.cohort.runs import REPETITION_TIME_TOLERANCE, BoldRun, tabulate_runs
from gradspec.errors import ConfigError

log = logging.getLogger(__name__)


def check_cohort(findings: Sequence[Finding], config: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Check what was found of every participant of the cohort.

    Parameters
    ----------
    findings : sequence of Finding
        Of each participant; what differs from the rest of the cohort is dropped from them.
    config : mapping
        The keys ``on_error`` and ``cohort`` of the configuration, defaults filled in. Nothing else is needed, so that
        a change of, say, the training does not run the check (and all that follows) again.

    Returns
    -------
    participants : DataFrame
        A row a participant: participant_id, group, covariates, status, reason, n_runs, note.
    runs : DataFrame
        A row a run that can be used, only of participants that are included.

    Raises
    ------
    ConfigError
        If a group has fewer than two participants left, or, with ``on_error: stop``, if anything cannot be used.
    """
    _settle(findings, config["cohort"])
    for finding in findings:
        for fault in finding.faults:
            log.warning("%s", fault)
    _judge(findings, config)
    return _participants_table(findings, config["cohort"]["covariates"]), _runs_table(findings)


def describe_participants(columns: Sequence[str], levels: Sequence[str]) -> dict[str, Any]:
    """Describe the columns of the cohort's participant tables, covariates included."""
    known: dict[str, Any] = {
        "participant_id": "Id of the participant",
        "group": {"Description": "Group that the participant belongs to", "Levels": {level: level for level in levels}},
        "status": {
            "Description": "Whether the data can be used",
            "Levels": {"included": "goes on to the next stage", "excluded": "is left out for the reason given"},
        },
        "stage": "Stage of the workflow that left the participant out",
        "reason": "Why the participant is excluded",
        "n_runs": "Number of runs that can be used",
        MEAN_FD: {
            "Description": (
                "Mean framewise displacement, as given in the participants table of the data set or, where that has no "
                "such column, measured (Power et al. 2012), mean over the runs"
            ),
            "Units": "mm",
        },
        "note": "What is worth knowing of data that are used",
    }
    return {name: known.get(name, "Covariate, as given in the participants table of the data set") for name in columns}


def _settle(findings: Sequence[Finding], cohort: Mapping[str, Any]) -> None:
    """Leave out what differs from the rest of the cohort: what most runs have is the cohort's."""
    _drop_others(findings, lambda run: run.form, lambda form: f"{form}")
    _drop_others(findings, lambda run: run.names, _describe_names)
    _drop_others(findings, _settle_repetition_times(findings), lambda time: f"a repetition time of {time} s")
    _settle_length(findings, cohort["n_volumes"])


def _settle_length(findings: Sequence[Finding], wanted: int | None) -> None:
    """Say what is cut: all series get the length that is wanted, or that of the shortest, since who moved has fewer."""
    shortest = min(
        ((run.n_volumes, finding.participant.id) for finding in findings for run in finding.runs if run.n_volumes),
        default=None,
    )
    if shortest is None:
        return
    length = wanted or shortest[0]
    reason = "cohort.n_volumes" if wanted else f"the length of the shortest series ({shortest[1]})"
    n_cut = 0
    for finding in findings:
        for run in list(finding.runs):
            assert run.n_volumes is not None
            if run.n_volumes < length:
                finding.drop(
                    run, f"has {run.n_volumes} volumes, fewer than {reason} = {length}; lower it or leave it out"
                )
            elif run.n_volumes > length:
                which = f"{run.label}: " if run.label else ""
                finding.notes.append(
                    f"{which}time courses of {run.n_volumes} volumes are cut to the shortest of the runs that go on"
                    if isinstance(run, BoldRun) and not wanted  # who is left out later may have the shortest
                    else f"{which}cut from {run.n_volumes} to {length} volumes, {reason}"
                )
                n_cut += 1
    if n_cut:
        log.warning("%d series are longer than %s (%d volumes) and are cut", n_cut, reason, length)


def _settle_repetition_times(findings: Sequence[Finding]) -> Callable[[BoldRun | DataFile], Hashable]:
    """Say which repetition time a run has: that of the cohort where it is so near that only rounding differs."""
    times = Counter(run.repetition_time for finding in findings for run in finding.runs if run.repetition_time)
    if not times:
        return lambda run: None

    def near(time: float, other: float) -> bool:
        return abs(time - other) <= REPETITION_TIME_TOLERANCE * other

    def rank(time: float) -> tuple[int, int, str]:
        return -sum(count for other, count in times.items() if near(other, time)), -times[time], str(time)

    common = min(times, key=rank)
    return lambda run: common if run.repetition_time and near(run.repetition_time, common) else run.repetition_time


def _drop_others(
    findings: Sequence[Finding], value: Callable[[BoldRun | DataFile], Hashable], describe: Callable[[Any], str]
) -> None:
    """Drop the runs whose value is not the one that most runs have; the first by order of text wins a tie."""
    counts = Counter(value(run) for finding in findings for run in finding.runs)
    if len(counts) < 2:
        return
    common = min(counts, key=lambda candidate: (-counts[candidate], str(candidate)))
    for finding in findings:
        for run in list(finding.runs):
            if value(run) != common:
                finding.drop(
                    run,
                    f"has {describe(value(run))}, but most of the cohort ({counts[common]} of {counts.total()}) has "
                    f"{describe(common)}; make it alike or leave it out",
                )


def _describe_names(names: tuple[str, ...]) -> str:
    return f"columns named {', '.join(names[:3])}, …" if names else "columns without names"


def _judge(findings: Sequence[Finding], config: Mapping[str, Any]) -> None:
    """Refuse a cohort that cannot be trained on, or any fault where the config says stop."""
    faults = [fault for finding in findings for fault in finding.faults]
    first = "".join(f"\n  - {fault}" for fault in faults[:10])
    more = f"\n  and {len(faults) - 10} more" if len(faults) > 10 else ""
    if faults and config["on_error"] == "stop":
        raise ConfigError(
            f"{len(faults)} runs cannot be used, and on_error is 'stop' ('exclude' goes on without):{first}{more}"
        )
    usable = Counter(finding.participant.group for finding in findings if finding.runs)
    if any(usable[level] < 2 for level in config["cohort"]["group"]["levels"]):
        left = ", ".join(f"{level}: {usable[level]}" for level in config["cohort"]["group"]["levels"])
        raise ConfigError(
            f"{len(findings) - usable.total()} of {len(findings)} participants cannot be used, and a group has fewer "
            f"than two left ({left}):{first}{more}"
        )


def _participants_table(findings: Sequence[Finding], covariates: Sequence[str]) -> pd.DataFrame:
    rows = []
    for finding in findings:
        left_out = [f"left out: {join(finding.faults)}"] if finding.runs and finding.faults else []
        rows.append(
            {
                "participant_id": finding.participant.id,
                "group": finding.participant.group,
                **{name: finding.participant.row[name] for name in covariates},
                "status": "included" if finding.runs else "excluded",
                "reason": finding.reason,
                "n_runs": len(finding.runs),
                "note": "; ".join([*finding.participant.notes, *finding.notes, *left_out]) or None,
            }
        )
    return pd.DataFrame(rows)


def _runs_table(findings: Sequence[Finding]) -> pd.DataFrame:
    return tabulate_runs(
        run.row() | {"participant_id": finding.participant.id} for finding in findings for run in finding.runs
    )
