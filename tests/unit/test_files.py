"""Files that are there whole or not at all, tables with sidecars, names that are safe."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from gradspec.errors import ConfigError, ParticipantError
from gradspec.files import (
    atomic_path,
    bids_label,
    participant_id,
    read_json,
    read_table,
    remove_partial,
    scratch_folder,
    write_dataset,
    write_json,
    write_table,
)


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path) -> None:
    target = tmp_path / "deep" / "table.txt"
    with atomic_path(target) as partial:
        partial.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(target) as partial:
        partial.write_text("half of the n")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [path.name for path in target.parent.iterdir()] == ["table.txt"]


def test_a_folder_is_replaced_as_a_whole(tmp_path) -> None:
    for name in ("first", "second"):
        with atomic_path(tmp_path / "folder") as partial:
            partial.mkdir()
            (partial / name).touch()
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["second"]


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path) -> None:
    left = {}
    for name in ("sub-1", "sub-10"):
        writer = atomic_path(tmp_path / name)
        left[name] = writer.__enter__()  # never comes to its end
        left[name].mkdir()
    remove_partial(tmp_path / "sub-1")
    assert not left["sub-1"].parent.exists()
    assert left["sub-10"].exists()
    remove_partial(tmp_path)
    assert not list(tmp_path.iterdir())
    remove_partial(tmp_path / "nowhere" / "sub-1")


def test_a_temporary_name_keeps_the_suffix_that_writers_go_by(tmp_path) -> None:
    with atomic_path(tmp_path / "bold.nii.gz") as partial:
        assert partial.name == "bold.nii.gz"
        partial.touch()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1), min_size=1))
def test_notes_stay_rows_of_their_own_whatever_they_hold(tmp_path_factory, notes) -> None:
    path = tmp_path_factory.mktemp("notes") / "t.tsv"
    table = pd.DataFrame({"participant_id": [f"sub-{i}" for i in range(len(notes))], "group": notes})
    write_table(table, path, {"participant_id": "Id", "group": "Any text"})
    back = read_table(path)
    assert list(back["participant_id"]) == list(table["participant_id"])
    flat = [re.sub(r"[\t\r\n]+", " ", note) for note in notes]
    assert back["group"].fillna("n/a").tolist() == flat


def test_tables_survive_a_round_trip_with_missing_values_and_leading_zeros(tmp_path) -> None:
    table = pd.DataFrame({"participant_id": ["sub-01", "sub-02"], "session": ["01", None], "fd": [0.25, np.nan]})
    write_table(
        table,
        tmp_path / "t.tsv",
        {"participant_id": "Id", "session": "Session", "fd": {"Description": "FD", "Units": "mm"}},
    )
    back = read_table(tmp_path / "t.tsv")
    assert (tmp_path / "t.tsv").read_text().splitlines()[2] == "sub-02\tn/a\tn/a"
    assert back["session"].iloc[0] == "01"
    assert back["fd"].isna().tolist() == [False, True]
    assert read_json(tmp_path / "t.json")["fd"] == {"Description": "FD", "Units": "mm"}


def test_a_column_without_description_is_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"no description of column.* mystery"):
        write_table(pd.DataFrame({"mystery": [1]}), tmp_path / "t.tsv", {})


def test_a_binary_file_is_not_taken_for_a_table(tmp_path) -> None:
    (tmp_path / "t.tsv").write_bytes(b"\x1f\x8b\x08\xff\xfe")
    with pytest.raises(ConfigError, match=r"t\.tsv: not a tab-separated table in UTF-8"):
        read_table(tmp_path / "t.tsv")


def test_json_refuses_what_is_not_json(tmp_path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        write_json({"a": float("nan")}, tmp_path / "a.json")
    assert not (tmp_path / "a.json").exists()


def test_datasets_and_trees_are_written_with_all_their_values(tmp_path) -> None:
    dataset = xr.Dataset({"x": (("row",), np.arange(4.0))}, coords={"row": list("abcd")}, attrs={"unit": "s"})
    write_dataset(dataset, tmp_path / "d.nc")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "d.nc", engine="h5netcdf"), dataset)
    tree = xr.DataTree.from_dict({"/": dataset, "/layer.weight": dataset * 2})
    write_dataset(tree, tmp_path / "t.nc")
    with xr.open_datatree(tmp_path / "t.nc", engine="h5netcdf") as back:
        np.testing.assert_array_equal(back["layer.weight"]["x"], [0, 2, 4, 6])


@pytest.mark.parametrize("value", ["", "a b", "a_b", "a-b", "../a", "ä", "a;b", "a\n"])
def test_labels_that_are_not_bids_are_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="not a BIDS label"):
        bids_label(value)


@given(st.text(alphabet="abcXYZ0189", min_size=1))
def test_participant_ids_get_the_prefix_once(label: str) -> None:
    assert participant_id(label) == participant_id(f"sub-{label}") == f"sub-{label.removeprefix('sub-')}"


def test_a_participant_error_names_participant_and_file() -> None:
    error = ParticipantError("cut short", participant="sub-01", file="bold.nii.gz")
    assert str(error) == "sub-01: bold.nii.gz: cut short"


def test_a_scratch_folder_goes_away_and_takes_what_a_killed_job_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch_folder("results/sub-01") as folder:
        left = Path(shutil.copytree(folder, f"{folder}-left"))  # as a job that was killed leaves it
    assert not folder.exists()
    with scratch_folder("results/sub-01") as again, scratch_folder("elsewhere/sub-01") as other:
        assert not left.exists()
        assert sorted(tmp_path.iterdir()) == sorted([again, other])
    with pytest.raises(ValueError), scratch_folder("results/sub-01"):
        raise ValueError("a fault")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [None, {"a": 1}, ["patient"], ("control", "patient")])
def test_an_attribute_that_netcdf_does_not_keep_is_refused_by_name(tmp_path: Path, value: object) -> None:
    tree = xr.DataTree.from_dict({"/": xr.Dataset(), "/hidden.0.weight": xr.Dataset({"gradient": ("index", [1.0])})})
    tree["hidden.0.weight"]["gradient"].attrs["groups"] = value
    with pytest.raises(TypeError, match=r"a\.nc: the attribute 'groups' of hidden\.0\.weight/gradient is"):
        write_dataset(tree, tmp_path / "a.nc")
    assert list(tmp_path.iterdir()) == []
