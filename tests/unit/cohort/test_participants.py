"""What is refused in a participants table, and who takes part."""

import pytest
from makers import GROUPS, make_bids, make_config, make_participants, make_table

from gradspec.cohort.participants import read_participants, read_roster
from gradspec.errors import ConfigError


@pytest.fixture
def cohort():
    return make_config("timeseries")["cohort"]


def read(tmp_path, cohort, text, encoding="utf-8"):
    table = tmp_path / "participants.tsv"
    table.write_text(text, encoding=encoding)
    return read_participants(table, cohort)


def test_participants_are_sorted_and_prefixed(tmp_path, cohort):
    people = read(tmp_path, cohort, "participant_id\tgroup\nb2\tpatient\nsub-a1\tcontrol\n")
    assert [(person.id, person.group) for person in people] == [("sub-a1", "control"), ("sub-b2", "patient")]


def test_a_byte_order_mark_and_blank_lines_are_accepted(tmp_path, cohort):
    text = "participant_id\tgroup\n01\tcontrol\n\n02\tpatient\n\n"
    assert len(read(tmp_path, cohort, text, "utf-8-sig")) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("participant_id\tgroup\n", "has a header only"),
        ("participant_id,group\n01,control\n", "separated by commas"),
        ("id\tgroup\n01\tcontrol\n", "has no column 'participant_id'; its columns are id, group"),
        ("participant_id\tdiagnosis\n01\tcontrol\n", "has no column 'group', named by cohort.group.column"),
        ("participant_id\tgroup\n01\n", "line 2: has 1 cells, but the header has 2"),
        (
            "participant_id\tgroup\n01\tcontrol\n02\tHC\n",
            "nobody has group = 'patient'; its values are 'HC' (1), 'control' (1)",
        ),
        ("participant_id\tgroup\n01\tcontrol\nsub-01\tpatient\n", "sub-01 is listed twice, in lines 2 and 3"),
        ("participant_id\tgroup\nsub-01_ses-1\tcontrol\n", "line 2: participant_id 'sub-01_ses-1' names more than"),
        ("participant_id\tgroup\nNA\tcontrol\n", "line 2: participant_id 'NA' is no id"),
        ("participant_id\tgroup\n\tcontrol\n", "line 2: participant_id '' is no id"),
        ("participant_id\tgroup\n../../x\tcontrol\n", "is not a BIDS label"),
        ("participant_id\tgroup\nMüller\tcontrol\n", "'Müller' is not a BIDS label"),
    ],
)
def test_a_bad_table_is_refused_with_its_name(tmp_path, cohort, text, message):
    with pytest.raises(ConfigError, match=r"participants\.tsv: |participants\.tsv, line") as caught:
        read(tmp_path, cohort, text)
    assert message in str(caught.value)


def test_a_table_that_is_not_utf8_is_refused(tmp_path, cohort):
    with pytest.raises(ConfigError, match=r"participants.tsv: is not encoded in UTF-8"):
        read(tmp_path, cohort, "participant_id\tgroup\nMüller\tcontrol\n", "latin-1")


def test_covariates_must_be_there_and_have_their_own_names(tmp_path, cohort):
    table = make_participants(tmp_path / "participants.tsv", 4)
    assert read_participants(table, {**cohort, "covariates": ["age"]})[0].row["age"] == "20"
    with pytest.raises(ConfigError, match=r"no column 'iq', named by cohort.covariates"):
        read_participants(table, {**cohort, "covariates": ["age", "iq"]})
    with pytest.raises(ConfigError, match=r"no column 'mean_fd'"):
        read_participants(table, {**cohort, "covariates": ["mean_fd"]})
    read_participants(table, {**cohort, "source": "fmriprep", "covariates": ["mean_fd"]})  # is measured
    make_table(table, {"participant_id": ["01", "02"], "group": ["control", "patient"], "status": [1, 2]})
    with pytest.raises(ConfigError, match=r"cohort.covariates: status is a column of the cohort's own tables"):
        read_participants(table, {**cohort, "covariates": ["status"]})


def people_of(tmp_path, cohort, *lines, **changes):
    table = tmp_path / "participants.tsv"
    table.write_text("\n".join(lines) + "\n")
    return read_roster(table, {**cohort, **changes})


def test_everybody_is_listed_whether_in_a_group_or_not(tmp_path, cohort):
    rows = ["participant_id\tgroup", "03\tcontrol", "01\tControl", "02\tpatient", "05\tHC", "04\t"]
    roster = people_of(tmp_path, cohort, *rows, participants=["01", "02", "03"])
    listed = [(person.line, person.id, person.value, person.group, person.takes_part) for person in roster.people]
    assert listed == [
        (2, "sub-03", "control", "control", True),
        (3, "sub-01", "Control", None, False),
        (4, "sub-02", "patient", "patient", True),
        (5, "sub-05", "HC", None, False),
        (6, "sub-04", "n/a", None, False),
    ]
    (warning,) = roster.warnings
    assert "1 rows have group = 'Control', which differs from 'control' by case, blanks or punctuation only" in warning
    assert [(cells.column, cells.spelling, cells.n_rows) for cells in roster.missing] == [("group", "", 1)]
    assert roster.remarks[0] == warning
    assert "rows are of neither group and take no part" in roster.remarks[1]
    assert "'Control' (1)" in roster.remarks[1]
    assert "'HC' (1)" in roster.remarks[1]
    assert "taken as missing, with the number of rows: group '' (1)" in roster.remarks[2]


def test_spellings_of_missing_leave_a_covariate_a_number(tmp_path, cohort):
    ages = ["23", "NA", "", "NaN", "-9999", "31.5"]
    rows = [f"{index:02d}\t{('control', 'patient')[index % 2]}\t{age}" for index, age in enumerate(ages)]
    with pytest.raises(ConfigError, match=r"column 'age' has -9999 for sub-04, far from all others"):
        people_of(tmp_path, cohort, "participant_id\tgroup\tage", *rows, covariates=["age"])
    roster = people_of(
        tmp_path, cohort, "participant_id\tgroup\tage", *rows, covariates=["age"], missing_values=[-9999]
    )
    assert [person.row["age"] for person in roster.people] == ["23", "n/a", "n/a", "n/a", "n/a", "31.5"]


def test_ids_that_become_one_are_refused_with_both_spellings(tmp_path, cohort):
    with pytest.raises(ConfigError, match=r"sub-ab is listed twice, in lines 2 and 3 \(as 'a_b' and 'ab'\)"):
        people_of(tmp_path, cohort, "participant_id\tgroup", "a_b\tcontrol", "ab\tpatient")


@pytest.mark.parametrize("wanted", [["002_S_0413", "011_S_0002"], ["sub-002S0413", "011S0002"]])
def test_ids_of_files_are_joined_and_said(tmp_path, cohort, wanted):
    rows = ["participant_id\tgroup", "002_S_0413\tcontrol", "011_S_0002\tpatient", "x\tpatient"]
    roster = people_of(tmp_path, cohort, *rows, participants=wanted)
    taking_part = [person for person in roster.people if person.takes_part]
    assert [person.id for person in taking_part] == ["sub-002S0413", "sub-011S0002"]
    assert taking_part[0].notes == ("is '002_S_0413' in participants.tsv",)


def test_ids_without_their_zeros_find_their_folders(tmp_path):
    root = make_bids(tmp_path, 4)
    make_table(root / "participants.tsv", {"participant_id": [1, 2, 3, 4], "group": GROUPS * 2})
    cohort = make_config("bids", bids={"root": str(root)}, participants=[1, "sub-02", "3"])["cohort"]
    people = read_participants(root / "participants.tsv", cohort)
    assert [(person.id, *person.notes) for person in people] == [
        (f"sub-0{number}", f"is '{number}' in participants.tsv") for number in (1, 2, 3)
    ]


def test_a_table_without_any_id_of_the_folders_shows_both_spellings(tmp_path):
    root = make_bids(tmp_path, 2)
    make_table(root / "participants.tsv", {"participant_id": ["A1", "B1"], "group": GROUPS})
    with pytest.raises(ConfigError, match=r"the table has 'A1', 'B1', the folders are 'sub-01', 'sub-02'"):
        read_participants(root / "participants.tsv", make_config("bids", bids={"root": str(root)})["cohort"])
