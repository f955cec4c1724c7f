"""Confounds are read however they were saved, and what cannot be read says so."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gradspec.cohort.confounds import MISSING, read_confounds, read_metadata
from gradspec.errors import ParticipantError

TABLE = pd.DataFrame({"csf": [1.5, 2.0, -3e-5], "csf_derivative1": [np.nan, 0.5, -2.00003], "note": ["a", "b", "c"]})
NAME = "sub-01_task-rest_desc-confounds_timeseries.tsv"


def refuse(path: Path) -> str:
    with pytest.raises(ParticipantError) as caught:
        read_confounds(path)
    assert caught.value.file is not None
    return caught.value.reason


@pytest.mark.parametrize("missing", sorted(MISSING))
def test_every_spelling_of_a_missing_value_is_read(tmp_path: Path, missing: str) -> None:
    TABLE.to_csv(tmp_path / NAME, sep="\t", index=False, na_rep=missing)
    found = read_confounds(tmp_path / NAME)
    pd.testing.assert_frame_equal(found[["csf", "csf_derivative1"]], TABLE[["csf", "csf_derivative1"]])
    assert found["note"].tolist() == ["a", "b", "c"]


SAVED = {
    "pandas with its index": "\tcsf\tcsf_derivative1\n0\t1.5\t\n1\t2.0\t0.5\n2\t-3e-05\t-2.00003\n",
    "write.table of R": '"csf"\t"csf_derivative1"\n"1"\t1.5\tNA\n"2"\t2\t0.5\n"3"\t-3e-05\t-2.00003\n',
    "write.table without names of rows": '"csf"\t"csf_derivative1"\n1.5\tNA\n2\t0.5\n-3e-05\t-2.00003\n',
    "a tab at the end of each row": "csf\tcsf_derivative1\n1.5\tn/a\t\n2\t0.5\t\n-3e-05\t-2.00003\t\n",
    "Windows": "\ufeffcsf\tcsf_derivative1\r\n1.5\tn/a\r\n2\t0.5\r\n-3e-05\t-2.00003\r\n",
    "blanks around": "csf\tcsf_derivative1 \n 1.5\t n/a\n2 \t0.5\n-3e-05\t-2.00003\n\n",
}


@pytest.mark.parametrize("text", SAVED.values(), ids=SAVED)
def test_tables_that_were_saved_again_are_read(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_bytes(text.encode())
    found = read_confounds(tmp_path / NAME)
    pd.testing.assert_frame_equal(found[["csf", "csf_derivative1"]], TABLE[["csf", "csf_derivative1"]])


def test_what_is_no_number_stays_text(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("csf\ttrans_x\n0,5\t1_0\n0,7\t2\n")
    found = read_confounds(tmp_path / NAME)
    assert found["csf"].tolist() == ["0,5", "0,7"]
    assert found["trans_x"].tolist() == ["1_0", "2"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "its first line is empty"),
        (b"csf\tcsf\n1\t2\n", "name the column 'csf' 2 times"),
        (b"csf,white_matter\n1,2\n", "no tab, but commas"),
        (b"0.1\t0.2\n0.3\t0.4\n", r"its first line holds numbers (0.1, 0.2, …)"),
        (b"csf\twhite_matter\n1\t2\n1\n", "row 2 has 1 cells, but the first line names 2"),
        (b"csf\twhite_matter\n5\t2\t3\n", "row 1 has 3 cells"),
        ("csf\twhite_matter\n1\t2\n".encode("utf-16"), "cannot be read"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / NAME).write_bytes(content)
    assert said in refuse(tmp_path / NAME)


def test_a_folder_in_place_of_the_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    assert "cannot be read" in refuse(tmp_path / NAME)


def test_the_sidecar_is_an_object_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / NAME
    assert read_metadata(path) == {}
    sidecar = path.with_suffix(".json")
    for content, said in ((b"{", "is not valid JSON"), (b"[1]", "no JSON object"), (b"\xff\xfe", "is not valid JSON")):
        sidecar.write_bytes(content)
        with pytest.raises(ParticipantError, match=said) as caught:
            read_metadata(path)
        assert caught.value.file == str(sidecar)
