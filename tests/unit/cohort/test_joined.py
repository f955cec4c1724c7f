"""The group and covariates may stand in other tables: phenotypes, sessions.tsv, scans.tsv."""

import pytest
from makers import make_bids, make_config, make_ids, make_json, make_table, make_timeseries

from gradspec.cohort.participants import find_tables, read_participants, read_roster
from gradspec.errors import ConfigError

GROUPS = ["control", "patient"] * 2


@pytest.fixture
def table(tmp_path):
    """Four participants of a table without groups."""
    path = make_timeseries(tmp_path, 4)
    make_table(path, {"participant_id": make_ids(4), "timeseries": [f"{i}.1D" for i in range(4)]})
    return path


def cohort(table, *tables, source="timeseries", **more):
    named = {"root": str(table.parent)} if source == "bids" else {"participants": str(table)}
    return make_config(
        source, tables=[str(path) for path in tables], **{source: {**named, **more.pop("section", {})}, **more}
    )["cohort"]


def groups(table, cohort):
    return {person.id: person.group for person in read_participants(table, cohort)}


def test_a_phenotype_table_gives_group_and_covariates_by_id(table, tmp_path):
    ids = ["4", "sub-01", "2", "03", "77"]
    columns = {"participant_id": ids, "group": ["patient", "control", "patient", "control", "patient"]}
    phenotype = make_table(tmp_path / "phenotype" / "demo.tsv", {**columns, "age": [24, -9, 22, 23, 99]})
    make_json(phenotype.with_suffix(".json"), {"age": {"MissingValues": -9}})
    settings = cohort(table, phenotype, covariates=["age"])
    people = read_participants(table, settings)
    assert {person.id: (person.group, person.row["age"]) for person in people} == {
        "sub-01": ("control", "n/a"),
        "sub-02": ("patient", "22"),
        "sub-03": ("control", "23"),
        "sub-04": ("patient", "24"),
    }
    assert people[3].notes == ("is '4' in demo.tsv",)
    assert find_tables(settings, []) == [str(table), str(phenotype), str(phenotype.with_suffix(".json"))]


def test_a_person_without_a_row_has_no_value(table, tmp_path):
    phenotype = make_table(tmp_path / "demo.tsv", {"participant_id": make_ids(3), "group": GROUPS[:3]})
    roster = read_roster(table, cohort(table, phenotype))
    assert [(person.value, person.group) for person in roster.people][-1] == ("n/a", None)


def test_a_column_of_two_tables_must_say_the_same(table, tmp_path):
    one = make_table(tmp_path / "one.tsv", {"participant_id": make_ids(4), "group": [None, *GROUPS[1:]]})
    two = make_table(tmp_path / "two.tsv", {"participant_id": make_ids(4), "group": [*GROUPS[:3], None]})
    assert groups(table, cohort(table, one, two)) == dict(zip(make_ids(4), GROUPS, strict=True))
    make_table(two, {"participant_id": make_ids(4), "group": GROUPS[::-1]})
    with pytest.raises(
        ConfigError, match=r"sub-02: column 'group' has 'patient' \(.*one.tsv\) and 'control' \(.*two.tsv\)"
    ):
        groups(table, cohort(table, one, two))


def make_sessions(root, ages):
    for who, group, (first, second) in zip(make_ids(4), GROUPS, ages, strict=True):
        columns = {"session_id": ["ses-1", "ses-2"], "group": [group] * 2, "age": [first, second]}
        make_table(root / who / f"{who}_sessions.tsv", columns)


def test_tables_of_sessions_give_what_does_not_differ(tmp_path):
    root = make_bids(tmp_path, 4, sessions=("1", "2"))
    table = make_table(root / "participants.tsv", {"participant_id": make_ids(4)})
    make_sessions(root, [(20, 21), (30, 31), (40, 41), (50, 51)])
    make_json(root / "sessions.json", {"age": {"Levels": {"51": "missing"}}})
    assert groups(table, cohort(table, "sessions.tsv", source="bids")) == dict(zip(make_ids(4), GROUPS, strict=True))
    with pytest.raises(ConfigError, match=r"sub-01: column 'age' has '20' .* and '21' .*choose a session"):
        groups(table, cohort(table, "sessions.tsv", source="bids", covariates=["age"]))
    second = cohort(table, "sessions.tsv", source="bids", covariates=["age"], section={"sessions": [2]})
    assert [person.row["age"] for person in read_participants(table, second)] == ["21", "31", "41", "n/a"]
    assert str(root / "sub-01" / "sub-01_sessions.tsv") in find_tables(second, make_ids(4))


def test_tables_of_scans_give_what_the_runs_that_are_asked_for_have(tmp_path):
    root = make_bids(tmp_path, 4, runs=("1", "2"))
    table = make_table(root / "participants.tsv", {"participant_id": make_ids(4)})
    for who, group in zip(make_ids(4), GROUPS, strict=True):
        names = [f"anat/{who}_T1w.nii.gz", *(f"func/{who}_task-rest_run-{run}_bold.nii.gz" for run in "12")]
        make_table(root / who / f"{who}_scans.tsv", {"filename": names, "group": ["x", group, "y"]})
    runs = cohort(table, "scans.tsv", source="bids", section={"runs": [1]})
    assert groups(table, runs) == dict(zip(make_ids(4), GROUPS, strict=True))


def test_tables_that_nobody_has_are_refused(tmp_path):
    root = make_bids(tmp_path, 4)
    table = root / "participants.tsv"
    with pytest.raises(ConfigError, match=r"cohort.tables: none of the 4 participants has a table \*_sessions.tsv"):
        groups(table, cohort(table, "sessions.tsv", source="bids"))
    with pytest.raises(ConfigError, match=r"nowhere.tsv: there is no"):
        groups(table, cohort(table, tmp_path / "nowhere.tsv", source="bids"))
