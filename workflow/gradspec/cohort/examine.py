"""The data of every participant are read, each by itself: what can be used and what cannot."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gradspec.cohort.findings import DataFile, Finding
from gradspec.cohort.participants import Participant, participants_table, read_participants


def examine_cohort(config: Mapping[str, Any], *, whole: bool = True) -> list[Finding]:
    """Look at the data of each participant.

    Parameters
    ----------
    config : mapping
        The keys ``results`` and ``cohort`` of the configuration, defaults filled in.
    whole : bool
        Whether images are read to their last byte; otherwise their headers tell.

    Returns
    -------
    list of Finding
        One a participant, of whose row of the table only the covariates are kept.

    Raises
    ------
    ConfigError
        If the data set as a whole cannot be read.
    """
    cohort = as_data_set(config)
    findings = _examine(_people(cohort), cohort, whole)
    for finding in findings:
        covariates = {name: finding.participant.row.get(name, "n/a") for name in cohort["covariates"]}
        finding.participant = replace(finding.participant, row=covariates)
    return findings


def as_data_set(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section ``cohort``; a simulated cohort is read as the raw BIDS data set that it has become."""
    cohort = dict(config["cohort"])
    if cohort["source"] == "simulated":
        root = str(Path(config["results"], "bids"))
        cohort |= {"source": "bids", "bids": {**cohort["bids"], "root": root, "task": "rest"}}
    return cohort


def _people(cohort: Mapping[str, Any]) -> list[Participant]:
    if cohort["source"] != "numerical":
        return read_participants(participants_table(cohort), cohort)
    from gradspec.cohort.identities import find_listed
    from gradspec.cohort.numerical import numerical_participants

    everybody = numerical_participants(cohort["numerical"]["n_samples"], cohort["group"]["levels"])
    wanted = {find_listed(value, {who: who for who in everybody}) for value in cohort["participants"]}
    return [Participant(who, group, {}) for who, group in everybody.items() if not wanted or who in wanted]


def _examine(people: list[Participant], cohort: Mapping[str, Any], whole: bool) -> list[Finding]:
    from gradspec.cohort.bold import examine_bold
    from gradspec.cohort.fnc import examine_fnc
    from gradspec.cohort.timeseries import examine_timeseries

    examine: dict[str, Callable[[], list[Finding]]] = {
        "bids": lambda: examine_bold(people, cohort, whole=whole),
        "fmriprep": lambda: examine_bold(people, cohort, whole=whole),
        "timeseries": lambda: examine_timeseries(people, cohort),
        "fnc": lambda: examine_fnc(people, cohort),
        "numerical": lambda: [Finding(person, runs=[_made_run(cohort["numerical"])]) for person in people],
    }
    return examine[cohort["source"]]()


def _made_run(section: Mapping[str, Any]) -> DataFile:
    from gradspec.cohort.numerical import REPETITION_TIME

    if section["kind"] != "gaussian-mixture":
        return DataFile(repetition_time=REPETITION_TIME, n_volumes=section["n_volumes"])
    return DataFile()
