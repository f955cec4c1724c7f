"""Tables are read line by line, and what is missing is told by one rule."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradspec.cohort.tables import MISSING, read_rows, same_value
from gradspec.errors import ConfigError


def write(folder, text, name="participants.tsv", encoding="utf-8", sidecar=None):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    if sidecar is not None:
        path.with_suffix(".json").write_text(json.dumps(sidecar))
    return path


def cells(table, column):
    return [row[column] for row in table.rows]


def test_a_note_that_opens_with_a_quote_swallows_no_rows(tmp_path):
    notes = ['"left early', "", "", 'said "no"', '"']
    text = "participant_id\tnote\tgroup\n" + "".join(f"{i:02d}\t{note}\tcontrol\n" for i, note in enumerate(notes))
    table = read_rows(write(tmp_path, text))
    assert cells(table, "note") == ['"left early', "n/a", "n/a", 'said "no"', '"']
    assert table.lines == [2, 3, 4, 5, 6]


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\t\r\n\x00", exclude_categories=["Cs"]), max_size=5),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_every_line_is_a_row_whatever_its_cells_hold(tmp_path_factory, notes, newline):
    lines = ["participant_id\tnote", *(f"{index}\t{note}" for index, note in enumerate(notes))]
    table = read_rows(write(tmp_path_factory.mktemp("table"), newline.join(lines)))
    assert [row["participant_id"] for row in table.rows] == [str(index) for index in range(len(notes))]
    assert cells(table, "note") == ["n/a" if note.strip() in MISSING else note.strip() for note in notes]


def test_quotes_around_everything_are_those_of_r_and_come_off(tmp_path):
    table = read_rows(write(tmp_path, '"participant_id"\t"group"\t"age"\n"01"\t"control"\t23\n"02"\tNA\t24\n'))
    assert table.rows == [
        {"participant_id": "01", "group": "control", "age": "23"},
        {"participant_id": "02", "group": "n/a", "age": "24"},
    ]
    with pytest.raises(ConfigError, match=r"line 2: has 3 cells, but the header has 2; R writes names of rows so"):
        read_rows(write(tmp_path, '"participant_id"\t"group"\n"1"\t"01"\t"control"\n'))


def test_a_csv_may_quote_within_a_line_only(tmp_path):
    table = read_rows(write(tmp_path, 'participant_id,note\n01,"one, ""two"""\n02,\n', "people.csv"))
    assert cells(table, "note") == ['one, "two"', "n/a"]
    with pytest.raises(ConfigError, match=r"people.csv, line 2: has a quote that does not end in the line"):
        read_rows(write(tmp_path, 'participant_id,note\n01,"left\nearly"\n02,\n', "people.csv"))


@pytest.mark.parametrize("spelling", sorted(MISSING))
def test_every_spelling_of_missing_is_one(tmp_path, spelling):
    table = read_rows(write(tmp_path, f"participant_id\tage\tgroup\n01\t{spelling}\tcontrol\n02\t30\tpatient\n"))
    assert cells(table, "age") == ["n/a", "30"]
    ((found),) = table.missing
    assert (found.column, found.spelling, found.rule, found.n_rows) == ("age", spelling, MISSING[spelling], 1)


def test_codes_of_missing_come_from_the_config_and_the_sidecar(tmp_path):
    about = {
        "age": {"Levels": {"-1": {"Description": "Not recorded"}}},
        "iq": {"MissingValues": [-4, "unknown"]},
        "drug": {"Levels": {"None": "takes no drug", "a": "takes a"}},
    }
    text = "participant_id\tage\tiq\tdrug\n01\t-9999.0\t-4\tNone\n02\t-1\tunknown\ta\n03\t30\t-1\tn/a\n99\t31\t99\ta\n"
    table = read_rows(write(tmp_path, text, sidecar=about), missing_values=[-9999, 99])
    assert cells(table, "age") == ["n/a", "n/a", "30", "31"]
    assert cells(table, "iq") == ["n/a", "n/a", "-1", "n/a"]
    assert cells(table, "drug") == ["None", "a", "n/a", "a"]
    assert cells(table, "participant_id") == ["01", "02", "03", "99"]
    assert sorted((found.column, found.spelling, found.rule) for found in table.missing) == [
        ("age", "-1", "sidecar"),
        ("age", "-9999.0", "cohort.missing_values"),
        ("drug", "n/a", "BIDS"),
        ("iq", "-4", "sidecar"),
        ("iq", "99", "cohort.missing_values"),
        ("iq", "unknown", "sidecar"),
    ]


def test_a_value_that_the_config_names_is_not_missing(tmp_path):
    path = write(tmp_path, "participant_id\tdrug\n01\tNone\n02\tNA\n")
    assert cells(read_rows(path, keep={"drug": ["None"]}), "drug") == ["None", "n/a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("participant_id\tgroup\tgroup\n01\tcontrol\tpatient\n", "has 'group' more than once in its header"),
        ("participant_id\tgroup\tparticipant_id \n01\tcontrol\t02\n", "has 'participant_id' more than once"),
        ("Participant_ID\tgroup\n01\tcontrol\n", "has no column 'participant_id' (rename 'Participant_ID')"),
        ("participant_id;group\n01;control\n", "is it separated by semicolons? tabs are expected"),
        ("participant_id\tgroup\n01\tcontrol\n02\tcontrol\tx\n", "line 3: has 3 cells, but the header has 2"),
    ],
)
def test_a_table_that_can_be_read_in_two_ways_is_refused(tmp_path, text, message):
    with pytest.raises(ConfigError) as caught:
        read_rows(write(tmp_path, text))
    assert message in str(caught.value)


def test_blank_columns_at_the_end_and_numbers_of_rows_are_no_columns(tmp_path):
    text = "\tUnnamed: 0\tparticipant_id\tage\t\t\n1\t0\t01\t30\t\t\n2\t1\t02\t31\n\t\n3\t2\t03\t32\t\n"
    table = read_rows(write(tmp_path, text))
    assert table.columns == ["participant_id", "age"]
    assert table.lines == [2, 3, 5]


@pytest.mark.parametrize(("text", "message"), [("{", "is not valid JSON"), ("[]", "holds no JSON object")])
def test_a_sidecar_that_cannot_be_read_is_refused(tmp_path, text, message):
    path = write(tmp_path, "participant_id\n01\n")
    path.with_suffix(".json").write_text(text)
    with pytest.raises(ConfigError, match=rf"participants.json: {message}"):
        read_rows(path)


def test_values_are_the_same_as_text_or_as_numbers():
    assert same_value("1.0", "1")
    assert same_value("01", "1")
    assert not same_value("1", "2")
    assert not same_value("control", "Control")
