"""What can be known of a cohort before any job runs: who takes part, and which files are read.

Called each time Snakemake reads the workflow, so only names and small tables are looked at, and nothing heavy is
imported. Everything that is wrong with the whole data set is refused here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gradspec.cohort.fmriprep import find_preprocessed
from gradspec.cohort.identities import find_listed
from gradspec.cohort.layout import require_folder
from gradspec.cohort.participants import (
    Participant,
    find_tables,
    participants_table,
    read_participants,
    read_roster,
    require_group_sizes,
)
from gradspec.cohort.raw import find_raw
from gradspec.cohort.runs import BoldRun
from gradspec.cohort.tables import read_rows
from gradspec.errors import ConfigError

_CONNECTIVITY_MODELS = ("mlp", "cnn2d")
"""Networks that learn from connectivity; those that can choose have the key ``input``, all others take time courses."""


@dataclass(frozen=True)
class CohortPlan:
    """The cohort as it is known before anything has been read.

    Attributes
    ----------
    participants : list of str
        Ids in the form ``sub-01``, sorted.
    files : dict of str to list of str
        Data files of each participant that are there; empty for data that the workflow makes itself.
    tables : list of str
        Tables and sidecars that concern everybody.
    has_series : bool
        Whether the source itself gives time courses.
    has_features : bool
        Whether it gives feature vectors of its own beside them, so that connectivity is not what networks learn from.
    rows : list of dict of str to str
        Rows of the participants table, of those who take part; empty for a cohort that is made.
    simulated_files : list of str
        Templates (``{subject}``) of the files of a simulated participant.
    remarks : list of str
        What is worth knowing of the tables: rows of neither group, spellings of what is missing, values nearly alike.
    """

    participants: list[str]
    files: dict[str, list[str]] = field(default_factory=dict)
    tables: list[str] = field(default_factory=list)
    has_series: bool = False
    has_features: bool = False
    rows: list[Mapping[str, str]] = field(default_factory=list)
    simulated_files: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def plan_cohort(config: Mapping[str, Any]) -> CohortPlan:
    """Plan the cohort, and refuse what cannot work.

    Parameters
    ----------
    config : mapping
        The whole configuration with its defaults filled in.

    Returns
    -------
    CohortPlan

    Raises
    ------
    ConfigError
        If the data set or its table is missing or empty, a column or group level is absent, ids are double or not
        BIDS labels, or a group has fewer participants than there are folds.
    """
    planners: dict[str, Callable[[Mapping[str, Any]], CohortPlan]] = {
        "simulated": _plan_simulated,
        "bids": _plan_images,
        "fmriprep": _plan_images,
        "timeseries": _plan_timeseries,
        "fnc": _plan_fnc,
        "numerical": _plan_numerical,
    }
    source = config["cohort"]["source"]
    if source in ("simulated", "numerical") and (config["cohort"]["group"]["values"] or config["cohort"]["tables"]):
        raise ConfigError(
            f"cohort.source {source!r} makes its participants: they have no tables, and the names of the groups as "
            "values; give cohort.group.levels as a list and leave cohort.tables empty"
        )
    plan = planners[source](config)
    if plan.tables:
        plan = replace(
            plan,
            tables=list(dict.fromkeys([*plan.tables, *find_tables(config["cohort"], plan.participants)])),
            remarks=read_roster(participants_table(config["cohort"]), config["cohort"]).remarks,
        )
    _check_inputs(config, plan)
    if "cnn2d" in {_class_of(*network) for network in config["training"]["models"].items()} and _gives_features(
        config["cohort"]
    ):
        raise ConfigError(
            "training.models: cnn2d learns from matrices of connectivity, but this cohort has vectors of features; "
            "keep only mlp"
        )
    return plan


def _gives_features(cohort: Mapping[str, Any]) -> bool:
    """Whether the source gives vectors of features, with no matrix behind them."""
    source = cohort["source"]
    return (
        bool(cohort["fnc"]["table"]) if source == "fnc" else cohort[source].get("kind") in ("gaussian-mixture", "both")
    )


def learns_from(model: str, hyperparameters: Mapping[str, Any]) -> str:
    """What a network of ``training.models`` learns from: ``timecourses``, ``connectivity``, ``maps`` or ``alff``."""
    known = "connectivity" if _class_of(model, hyperparameters) in _CONNECTIVITY_MODELS else "timecourses"
    return str(hyperparameters.get("input", hyperparameters.get("args", {}).get("input", known)))


def _check_inputs(config: Mapping[str, Any], plan: CohortPlan) -> None:
    """Refuse networks that learn from what the source cannot give."""
    source = config["cohort"]["source"]
    inputs = {name: learns_from(name, network) for name, network in config["training"]["models"].items()}
    has_images = source in ("simulated", "bids", "fmriprep")
    if not has_images and (models := [name for name, kind in inputs.items() if kind in ("maps", "alff")]):
        raise ConfigError(
            f"training.models: {', '.join(models)} learns from maps of the brain, but cohort.source {source!r} has no "
            "images; choose other networks"
        )
    if not (has_images or plan.has_series) and (
        models := [name for name, kind in inputs.items() if kind == "timecourses"]
    ):
        raise ConfigError(
            f"training.models: {', '.join(models)} learns from time courses, but cohort.source {source!r} has none; "
            "keep only networks on connectivity: mlp, cnn2d, or your own with input: connectivity"
        )


def _class_of(model: str, hyperparameters: Mapping[str, Any]) -> str:
    return str(hyperparameters.get("class", model))


def data_file(person: Participant, column: str, table: str | Path) -> Path | None:
    """Return the file that a row of the participants table names, or None if it names none."""
    value = person.row[column]
    return None if value in ("", "n/a") else Path(table).parent / Path(value).expanduser()


def _plan_simulated(config: Mapping[str, Any]) -> CohortPlan:
    from gradspec.cohort.simulate_design import SIMULATED_FILES, simulated_participants

    everybody = simulated_participants(config["cohort"]["simulated"]["n_participants"])
    _require_length(config["cohort"], "simulated")
    return CohortPlan(
        _made(config, everybody, "cohort.simulated.n_participants"), simulated_files=list(SIMULATED_FILES)
    )


def _plan_numerical(config: Mapping[str, Any]) -> CohortPlan:
    from gradspec.cohort.numerical import numerical_participants

    section = config["cohort"]["numerical"]
    everybody = list(numerical_participants(section["n_samples"], config["cohort"]["group"]["levels"]))
    if config["cohort"]["covariates"]:
        raise ConfigError("cohort.covariates: numerical data has no covariates; empty the list")
    has_series = section["kind"] != "gaussian-mixture"
    if has_series:
        _require_length(config["cohort"], "numerical")
    return CohortPlan(
        _made(config, everybody, "cohort.numerical.n_samples"),
        has_series=has_series,
        has_features=section["kind"] != "sinusoids",
    )


def _require_length(cohort: Mapping[str, Any], source: str) -> None:
    if (made := cohort[source]["n_volumes"]) < cohort["min_volumes"]:
        raise ConfigError(
            f"cohort.{source}.n_volumes is {made}, but cohort.min_volumes asks for {cohort['min_volumes']} at least"
        )


def _made(config: Mapping[str, Any], everybody: list[str], size_key: str) -> list[str]:
    """Restrict a made cohort to who is asked for; half of everybody is in each group."""
    levels, folds = config["cohort"]["group"]["levels"], config["training"]["folds"]
    groups = {who: levels[index % 2] for index, who in enumerate(everybody)}
    require_group_sizes(groups, levels, folds, f"raise {size_key} or lower training.folds")
    found = {value: find_listed(value, {who: who for who in everybody}) for value in config["cohort"]["participants"]}
    if unknown := [str(value) for value, who in found.items() if who is None]:
        raise ConfigError(f"cohort.participants: {', '.join(unknown)} is not among the {len(everybody)} that are made")
    return sorted(who for who in found.values() if who is not None) or sorted(everybody)


def find_bold(participants: Sequence[str], cohort: Mapping[str, Any]) -> tuple[Path, dict[str, list[BoldRun]]]:
    """Find the BOLD runs that the config asks for, by their names: the same for planning and for the check.

    Parameters
    ----------
    participants : sequence of str
        Participant ids.
    cohort : mapping
        The section ``cohort`` of the configuration.

    Returns
    -------
    root : Path
        Folder of the data set.
    runs : dict
        Runs by participant, not yet looked into; an empty list for who has none.
    """
    source = cohort["source"]
    root = require_folder(cohort[source]["root"], f"cohort.{source}.root")
    find = {"bids": find_raw, "fmriprep": find_preprocessed}[source]
    return root, find(root, participants, cohort[source])


def _plan_images(config: Mapping[str, Any]) -> CohortPlan:
    table, people = _people(config)
    _, runs = find_bold([person.id for person in people], config["cohort"])
    files = {who: dict.fromkeys(str(path) for run in theirs for path in run.files) for who, theirs in runs.items()}
    return _plan(people, files, table)


def _plan_timeseries(config: Mapping[str, Any]) -> CohortPlan:
    table, files, people = _plan_files(config)
    return _plan(people, files, table, has_series=True)


def _plan_fnc(config: Mapping[str, Any]) -> CohortPlan:
    section = config["cohort"]["fnc"]
    if section["table"] and section["stack"]:
        raise ConfigError("cohort.fnc: table and stack are both set; keep one of them")
    if not (section["table"] or section["stack"]):
        table, files, people = _plan_files(config)
        return _plan(people, files, table)
    table, people = _people(config)
    shared = Path(section["table"] or section["stack"]).expanduser()
    if section["table"]:
        read_rows(shared)
    elif not shared.is_file():
        raise ConfigError(f"cohort.fnc.stack: there is no file {shared}")
    return _plan(people, {person.id: [] for person in people}, table, shared)


def _plan(people: Sequence[Participant], files: Mapping[str, Iterable[str]], *tables: Path, **known: Any) -> CohortPlan:
    """Plan a cohort that is there, with those of its files that exist; the check says what is missing."""
    for who, theirs in files.items():
        if strange := [path for path in theirs if set(path) & set("<>{}\r\n")]:
            raise ConfigError(
                f"{who}: the file name {strange[0]!r} has < > {{ }} or a line break, which Snakemake cannot take; "
                "rename the file, or its folder"
            )
    there = {who: [path for path in theirs if Path(path).exists()] for who, theirs in files.items()}
    rows = [person.row for person in people]
    return CohortPlan([person.id for person in people], there, list(map(str, tables)), rows=rows, **known)


def _plan_files(config: Mapping[str, Any]) -> tuple[Path, dict[str, list[str]], list[Participant]]:
    """Plan a source whose table names one file a participant."""
    source = config["cohort"]["source"]
    column = config["cohort"][source]["file_column"]
    table, people = _people(config, required=[column])
    owner: dict[Path, str] = {}
    files: dict[str, list[str]] = {}
    for person in people:
        path = data_file(person, column, table)
        files[person.id] = [] if path is None else [str(path)]
        if path is not None and (other := owner.setdefault(path, person.id)) != person.id:
            raise ConfigError(f"{table}: {other} and {person.id} name the same file {path}; each needs its own")
    if not any(path.exists() for path in owner):
        raise ConfigError(
            f"{table}: none of the files in column {column!r} exists (the first is {next(iter(owner), 'n/a')}); paths "
            f"are relative to {table.parent}"
        )
    return table, files, people


def _people(config: Mapping[str, Any], required: Sequence[str] = ()) -> tuple[Path, list[Participant]]:
    table = participants_table(config["cohort"])
    people = read_participants(table, config["cohort"], required=required)
    require_group_sizes(
        {person.id: person.group for person in people},
        config["cohort"]["group"]["levels"],
        config["training"]["folds"],
        f"add participants to {table}, or lower training.folds",
    )
    return table, people
