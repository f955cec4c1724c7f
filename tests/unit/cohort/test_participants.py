"""What is refused in a participants table, and who takes part."""

import logging

import pytest
from makers import make_config, make_participants, make_table

from gradspec.cohort.participants import read_participants
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


def test_who_is_in_neither_group_is_left_out_and_logged(tmp_path, cohort, caplog):
    with caplog.at_level(logging.INFO):
        people = read(tmp_path, cohort, "participant_id\tgroup\n01\tcontrol\n02\tpatient\n03\tn/a\n04\tsibling\n")
    assert [person.id for person in people] == ["sub-01", "sub-02"]
    assert "sub-03, sub-04" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("participant_id\tgroup\n", "lists no participants"),
        ("participant_id,group\n01,control\n", "separated by commas"),
        ("id\tgroup\n01\tcontrol\n", "has no column 'participant_id'; its columns are id, group"),
        ("participant_id\tdiagnosis\n01\tcontrol\n", "has no column 'group', named by cohort.group.column"),
        ("participant_id\tgroup\n01\n", "row 2: has 1 cells, but the header has 2"),
        (
            "participant_id\tgroup\n01\tcontrol\n02\tHC\n",
            "nobody has group = 'patient'; its values are 'HC', 'control'",
        ),
        ("participant_id\tgroup\n01\tcontrol\nsub-01\tpatient\n", "sub-01 is listed twice, in rows 2 and 3"),
        ("participant_id\tgroup\nsub_01\tcontrol\n", "row 2: participant_id 'sub_01' is not a BIDS label"),
        ("participant_id\tgroup\n../../x\tcontrol\n", "is not a BIDS label"),
        ("participant_id\tgroup\nMüller\tcontrol\n", "'Müller' is not a BIDS label"),
    ],
)
def test_a_bad_table_is_refused_with_its_name(tmp_path, cohort, text, message):
    with pytest.raises(ConfigError, match=r"participants\.tsv: |participants\.tsv, row") as caught:
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
