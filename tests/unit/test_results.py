"""A folder of results opens in pandas and xarray: names are text, what is missing is so, errors are in words."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import gradspec
from gradspec.errors import ConfigError
from gradspec.files import write_json, write_table

MODELS = ("mlp", "lstm")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of results of two networks, of which one has finished."""
    results = tmp_path / "results"
    write_json(
        {"results": "elsewhere", "training": {"models": {model: {} for model in MODELS}}},
        _make(results / "config.json"),
    )
    people = pd.DataFrame(
        {"participant_id": ["0051", "0052"], "group": ["1", "2"], "age": [31, None], "scanner": ["01", "02"]}
    )
    people = people.assign(handedness=[1, 2], used=[True, False], n=[3, 4])
    columns: dict[str, object] = dict.fromkeys(people.columns, "made up")
    columns |= {"age": {"Description": "age", "Units": "year"}}
    columns |= {"handedness": {"Description": "hand", "Levels": {"1": "right", "2": "left"}}}
    write_table(people, _make(results / "cohort" / "participants.tsv"), columns)  # type: ignore[arg-type]
    for stage in ("stats", "figures"):
        write_table(pd.DataFrame({"p": [0.1]}), _make(results / stage / "tests.tsv"), {"p": "p"})
    for ignored in ("logs/x.tsv", "bids/participants.tsv", "stats/.partial-x.tsv"):
        _make(results / ignored).write_text("a\n1\n")
    root = xr.Dataset(
        {"n": (("step", "group"), np.ones((2, 3))), "epoch": ("step", [0, 1])},
        {"step": [0, 1], "group": ["a", "b", "pooled"]},
        {"model": "mlp", "loss_reduction": "mean"},
    )
    layer = xr.Dataset({"gradient": (("step", "group", "index"), np.ones((2, 3, 4)))}, attrs={"shape": [4, 5]})
    tree = xr.DataTree.from_dict({"/": root, "/0.weight": layer})
    for file in ("spectra/mlp.nc", "training/mlp/repeat-0_fold-1/spectra.nc"):
        tree.to_netcdf(_make(results / file), engine="h5netcdf")
    return results


def _make(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_names_are_text_and_numbers_are_numbers(folder: Path) -> None:
    table = gradspec.open_results(folder).tables["cohort/participants"]
    assert list(table["participant_id"]) == ["0051", "0052"]
    assert list(table["group"]) == ["1", "2"]
    assert list(table["scanner"]) == ["01", "02"]  # a number has no leading zeros
    assert list(table["handedness"]) == ["1", "2"]  # its sidecar gives levels
    assert table["age"].dtype == float
    assert table["age"].isna().tolist() == [False, True]
    assert table["n"].dtype == int
    assert table["used"].dtype == bool
    assert table.attrs["columns"]["age"]["Units"] == "year"


def test_a_truth_value_may_be_missing_and_nothing_but_n_a_is(folder: Path) -> None:
    (folder / "stats" / "more.tsv").write_text("sure\tsaid\tempty\nTrue\tNA\tn/a\nn/a\tNone\tn/a\n")
    table = gradspec.open_results(folder).tables["more"]
    assert table["sure"].isna().tolist() == [False, True]
    assert table["sure"].dtype == "boolean"
    assert list(table["said"]) == ["NA", "None"]
    assert table["empty"].isna().all()


@pytest.mark.parametrize("value", ["0.1234567891", "1e-300", "-3", "inf", "5e-324", "0.30000000000000004"])
def test_numbers_are_read_to_the_last_bit(folder: Path, value: str) -> None:
    (folder / "stats" / "one.tsv").write_text(f"x\n{value}\n")
    assert gradspec.open_results(folder).tables["one"]["x"][0] == float(value)


def test_what_is_there_can_be_listed_and_is_said(folder: Path) -> None:
    results = gradspec.open_results(folder)
    assert list(results.tables) == ["cohort/participants", "figures/tests", "stats/tests"]
    assert results.models == MODELS
    assert list(results.spectra) == ["mlp"]
    assert results.runs("mlp") == [(0, 1)]
    assert results.runs("lstm") == []
    for word in (str(folder), "mlp, lstm", "cohort/ participants"):
        assert word in repr(results)


def test_a_short_name_will_do_where_it_is_the_only_one(folder: Path) -> None:
    tables = gradspec.open_results(folder).tables
    assert "participants" in tables
    assert len(tables["participants"]) == 2
    assert "tests" not in tables
    with pytest.raises(ConfigError, match=r"figures/tests, stats/tests; write which"):
        tables["tests"]


def test_spectra_are_closed_with_the_results_and_open_again(folder: Path) -> None:
    with gradspec.open_results(folder) as results:
        tree = results.spectra["mlp"]
        assert results.spectra["mlp"] is tree
        assert results.run("mlp", 0, 1)["0.weight/gradient"].sel(group="pooled").shape == (2, 4)
        assert not tree["0.weight"].to_dataset()["gradient"].variable._in_memory
        (folder / "spectra" / "mlp.nc").rename(folder / "spectra" / "lstm.nc")
    open_files = [link.resolve() for link in Path("/proc/self/fd").iterdir()] if Path("/proc/self/fd").is_dir() else []
    assert not [file for file in open_files if folder in file.parents]
    assert results.spectra["lstm"]["0.weight/gradient"].shape == (2, 3, 4)
    results.close()


def test_what_is_missing_is_said_in_words(folder: Path, tmp_path: Path) -> None:
    results = gradspec.open_results(folder)
    with pytest.raises(ConfigError, match="'participant' is not there; there are cohort/participants"):
        results.tables["participant"]
    with pytest.raises(ConfigError, match="is not there"):
        results.tables["../results/cohort/participants"]
    with pytest.raises(ConfigError, match="spectra of a network 'lstm' is not there; there are mlp"):
        results.spectra["lstm"]
    with pytest.raises(ConfigError, match=r"no run of repeat 3, fold 1; \(repeat, fold\) with spectra: \(0, 1\)"):
        results.run("mlp", 3, 1)
    with pytest.raises(ConfigError, match="no network 'gru'; there are mlp, lstm"):
        results.runs("gru")
    with pytest.raises(ConfigError, match="no such folder"):
        gradspec.open_results(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="no folder of results"):
        gradspec.open_results(tmp_path)
    (folder / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="not a configuration of gradspec"):
        _ = results.config


def test_results_of_a_run_that_has_not_ended_open_without_their_configuration(folder: Path) -> None:
    (folder / "config.json").unlink()
    results = gradspec.open_results(folder)
    assert results.models == ("mlp",)
    assert results.runs("mlp") == [(0, 1)]
    with pytest.raises(ConfigError, match="a run writes it at its end"):
        _ = results.config
