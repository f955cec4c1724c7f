"""A look at the cohort before a run: who would be used, who would not, and why.

Tables, text files and the headers of images are read; images themselves are not, so that hundreds of people take
seconds. What decides is what decides in the workflow: the same examination and the same check.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from gradspec.cohort.check import check_cohort
from gradspec.cohort.examine import examine_cohort
from gradspec.cohort.findings import DataFile, Finding, join
from gradspec.cohort.listing import NEITHER, NOT_ASKED_FOR, TAKES_PART, list_participants
from gradspec.cohort.participants import MEAN_FD, require_group_sizes
from gradspec.cohort.runs import BoldRun
from gradspec.cohort.tables import NOT_AVAILABLE
from gradspec.errors import ConfigError
from gradspec.training.splits import make_splits

USED, NOT_USED, NOT_KNOWN = "yes", "no", "not known"
MEASURED = "measured in the run"

_WITH_IMAGES = ("simulated", "bids", "fmriprep")
_INTERNAL = ("takes_part",)  # columns of the list of participants that `used` takes the place of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Look:
    """What was seen.

    Attributes
    ----------
    people : DataFrame
        A row per row of the participants table, columns as `describe_look` gives them.
    remarks : list of str
        What is worth knowing of the tables.
    obstacle : str or None
        Why the workflow would stop; None where it would go on.
    covariates : list of str
        Their names.
    """

    people: pd.DataFrame
    remarks: list[str]
    obstacle: str | None
    covariates: list[str]

    @property
    def used(self) -> pd.DataFrame:
        """The rows of those who would be used."""
        return self.people[self.people["used"] == USED]


_FIRST: dict[str, Any] = {
    "line": "Line of the participants table; n/a where the cohort is made by the workflow",
    "participant_id": "Id of the participant",
    "listed_as": "The id as the participants table spells it",
    "value": "Value of the group column",
    "group": "Group that the value makes; n/a for none",
    "used": {
        "Description": "Whether the workflow would use the participant",
        "Levels": {
            USED: "Would be used, as far as tables and headers tell",
            NOT_USED: "Would be excluded",
            NOT_KNOWN: "The data set as a whole is refused before anybody's data are decided on",
            NEITHER: "The value of the group column belongs to no group",
            NOT_ASKED_FOR: "Is not among cohort.participants",
        },
    },
    "why": "Why not, and what to change",
}
_LAST: dict[str, Any] = {
    "missing": "Covariates that are missing",
    "n_runs": "Runs that can be used",
    "n_volumes": "Length of each run, in volumes",
    "repetition_time": {"Description": "Repetition time of each run", "Units": "s"},
    "size": "Regions, components, features or voxels of the data",
    "files": "Files that are read",
    "note": "What is worth knowing",
}


def covariate_column(name: str) -> str:
    """Return the column of a covariate, which may have the name of one that is ours."""
    return f"covariate {name}" if name in _FIRST or name in _LAST else name


def describe_look(covariates: Sequence[str]) -> dict[str, Any]:
    """Describe the columns of the table of the look."""
    given = {covariate_column(name): "Covariate, as given in the tables of the data set" for name in covariates}
    return _FIRST | given | _LAST


def look_at_cohort(config: Mapping[str, Any]) -> Look:
    """Look at everybody.

    Parameters
    ----------
    config : mapping
        The keys ``results``, ``seed``, ``cohort``, ``on_error`` and ``training`` of the configuration, defaults
        filled in.

    Returns
    -------
    Look

    Raises
    ------
    ConfigError
        If the participants table cannot be read.
    """
    listed, remarks = list_participants(config)
    findings: list[Finding] = []
    obstacle = None
    try:
        findings = examine_cohort(config, whole=False)
        checked, _ = check_cohort(findings, config)
        _require_splits(checked[checked["status"] == "included"], config)
    except ConfigError as error:
        obstacle = str(error)
        log.warning("The run would stop: %s", obstacle)
    covariates = list(config["cohort"]["covariates"])
    measured = {MEAN_FD} & set(covariates) if config["cohort"]["source"] in _WITH_IMAGES else set()
    if any(finding.participant.row.get(MEAN_FD, NOT_AVAILABLE) != NOT_AVAILABLE for finding in findings):
        measured = set()  # the table gives it
    found = {finding.participant.id: _describe(finding, covariates, measured) for finding in findings}
    if listed.empty:
        listed = pd.DataFrame(
            [{"participant_id": who, "takes_part": TAKES_PART, "group": row["group"]} for who, row in found.items()]
        )
    rows = [
        {**row, **found.get(row["participant_id"], _not_looked_at(row, config["cohort"]))}
        for row in listed.to_dict("records")
    ]
    people = pd.DataFrame([{name: row[name] for name in row if name not in _INTERNAL} for row in rows])
    log.info("%d of %d participants would be used", (people["used"] == USED).sum(), len(people))
    return Look(people.reindex(columns=list(describe_look(covariates))), remarks, obstacle, covariates)


def _require_splits(kept: pd.DataFrame, config: Mapping[str, Any]) -> None:
    """Refuse whom the folds of the run would refuse, before any job runs."""
    training = config["training"]
    require_group_sizes(
        dict(zip(kept["participant_id"], kept["group"], strict=True)),
        config["cohort"]["group"]["levels"],
        training["folds"],
        "lower training.folds or mend what excludes participants",
    )
    make_splits(
        kept.mask(kept == NOT_AVAILABLE),
        training["folds"],
        1,
        config["seed"],
        split=training["split"],
        site=training["site"],
        validation=training["validation"],
        equal_groups=training["equal_groups"],
    )


def _describe(finding: Finding, covariates: Sequence[str], measured: set[str]) -> dict[str, Any]:
    person, runs = finding.participant, finding.runs
    cells = {name: MEASURED if name in measured else person.row.get(name, NOT_AVAILABLE) for name in covariates}
    left_out = [f"left out: {join(finding.faults)}"] if runs and finding.faults else []
    return {
        "group": person.group,
        "used": USED if runs else NOT_USED,
        "why": finding.reason,
        **{covariate_column(name): cell for name, cell in cells.items()},
        "missing": _join(name for name, cell in cells.items() if cell == NOT_AVAILABLE),
        "n_runs": len(runs),
        "n_volumes": _join(run.n_volumes for run in runs),
        "repetition_time": _join(f"{run.repetition_time:g}" for run in runs if run.repetition_time),
        "size": _join(dict.fromkeys(_size(run) for run in runs)),
        "files": _join(run.source for run in runs),
        "note": _join(dict.fromkeys([*person.notes, *finding.notes, *left_out]), "; "),
    }


def _size(run: BoldRun | DataFile) -> str:
    return run.grid if isinstance(run, BoldRun) else run.form


def _join(values: Any, by: str = ", ") -> str | None:
    return by.join(str(value) for value in values if value not in (None, "")) or None


def _not_looked_at(row: Mapping[str, Any], cohort: Mapping[str, Any]) -> dict[str, Any]:
    """Say why nobody looked at the data of a row of the table."""
    if row["takes_part"] == TAKES_PART:
        return {"used": NOT_KNOWN}
    if row["takes_part"] == NOT_ASKED_FOR:
        why = "is not among cohort.participants; empty that list to take everybody"
    else:
        column, value = cohort["group"]["column"], row["value"]
        why = f"{column} = {value!r} belongs to no group; if it should, add it to cohort.group.levels"
        if value == NOT_AVAILABLE:
            why = f"{column} is missing; add it to the table"
    return {"used": row["takes_part"], "why": why}
