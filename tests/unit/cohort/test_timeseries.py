"""Cohorts of time courses: what is used, what is left out, and the data set that comes of it."""

import time

import numpy as np
import pandas as pd
import pytest
from checking import examine_and_check
from makers import make_config, make_ids, make_participants, make_timeseries, save_array

from gradspec.cohort.timeseries import read_timecourses
from gradspec.errors import ConfigError

REGIONS = [f"region{number}" for number in range(6)]


def check(table, on_error="exclude", **section):
    config = make_config("timeseries", timeseries={"participants": str(table), **section})
    participants, runs = examine_and_check({**config, "on_error": on_error})
    return participants.set_index("participant_id"), runs, config["cohort"]


def series(n_volumes=50, n_regions=6):
    return np.random.default_rng(9).standard_normal((n_volumes, n_regions))


def put(folder, who, values, names=None):
    save_array(folder / f"series/{who}.1D", values, names or [f"region{number}" for number in range(values.shape[1])])


@pytest.mark.parametrize("suffix", [".1D", ".tsv", ".csv", ".npy", ".mat"])
def test_a_sound_cohort_becomes_a_data_set(tmp_path, suffix):
    table = make_timeseries(tmp_path / "Ümlaut und Leerzeichen", suffix=suffix)
    orientation = "volumes-in-rows" if suffix in (".npy", ".mat") else "auto"
    participants, runs, cohort = check(table, orientation=orientation)
    assert list(participants["status"]) == ["included"] * 4
    data = read_timecourses(participants.reset_index(), runs, cohort)
    assert data["timecourses"].dims == ("participant", "time", "component")
    assert data["timecourses"].shape == (4, 50, 6)
    assert data["timecourses"].dtype == np.float32
    assert list(data["participant"].values) == make_ids(4)
    assert list(data["run"].values) == [""] * 4
    np.testing.assert_allclose(data["time"], 2.0 * np.arange(50))
    assert data.attrs["repetition_time"] == 2.0
    expected = np.random.default_rng(2).standard_normal((50, 6))
    np.testing.assert_allclose(data["timecourses"].sel(participant="sub-03"), expected, rtol=1e-6)
    assert list(data["component"].values[:2]) == (
        ["region0", "region1"] if suffix in (".1D", ".tsv", ".csv") else ["region-01", "region-02"]
    )


def nan_values():
    values = series()
    values[3, 2] = np.nan
    return values


def flat_values():
    values = series()
    values[:, [1, 4]] = 7.3
    return values


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "series/sub-02.1D").unlink(), "is missing; correct the path"),
        (lambda folder: (folder / "series/sub-02.1D").write_text(""), "is empty"),
        (lambda folder: (folder / "series/sub-02.1D").write_text("#a\n1\nx\n"), "'x' in column 1, which is not a numb"),
        (
            lambda folder: put(folder, "sub-02", nan_values()),
            "NaN or infinite values, though not throughout, in region region2",
        ),
        (
            lambda folder: put(folder, "sub-02", series(50, 5)),
            "has 5 regions, but most of the cohort (5 of 6) has 6 re",
        ),
        (lambda folder: put(folder, "sub-02", series(39)), "has 39 volumes (rows), but cohort.min_volumes asks for 40"),
        (lambda folder: put(folder, "sub-02", flat_values()), "2 of 6 regions have no signal"),
        (
            lambda folder: put(folder, "sub-02", series(), REGIONS[::-1]),
            "has columns named region5, region4, region3, …, but most of the cohort (5 of 6) has columns named region0",
        ),
    ],
)
def test_a_participant_whose_series_cannot_be_used_is_excluded_with_file_and_reason(tmp_path, damage, reason):
    table = make_timeseries(tmp_path, 6)
    damage(tmp_path)
    participants, runs, _ = check(table)
    assert list(participants.index[participants["status"] == "excluded"]) == ["sub-02"]
    assert reason in participants.loc["sub-02", "reason"]
    assert "sub-02.1D: " in participants.loc["sub-02", "reason"]
    assert "sub-02" not in set(runs["participant_id"])
    with pytest.raises(ConfigError, match=r"(?s)on_error is 'stop'.*sub-02: .*sub-02.1D: "):
        check(table, on_error="stop")


def test_a_row_that_names_no_file_is_excluded(tmp_path):
    make_timeseries(tmp_path, 6)
    files = [f"series/{who}.1D" for who in make_ids(6)]
    table = make_participants(tmp_path / "participants.tsv", 6, timeseries=[files[0], None, *files[2:]])
    participants, _, _ = check(table)
    assert "names no file in column 'timeseries'" in participants.loc["sub-02", "reason"]


def test_a_few_regions_of_zero_variance_are_kept_as_zeros_and_named(tmp_path):
    table = make_timeseries(tmp_path)
    put(tmp_path, "sub-02", flat_values())
    participants, runs, cohort = check(table, max_constant=0.5)
    assert participants.loc["sub-02", "note"] == "no signal in region region1, region4, kept as zeros"
    courses = read_timecourses(participants.reset_index(), runs, cohort)["timecourses"].sel(participant="sub-02")
    assert (courses.isel(component=[1, 4]) == 0).all()
    assert (courses.isel(component=[0, 2, 3, 5]).std("time") > 0).all()


def test_longer_series_are_cut_and_the_cut_is_noted(tmp_path):
    table = make_timeseries(tmp_path)
    long = series(60)
    put(tmp_path, "sub-02", long)
    participants, runs, cohort = check(table)
    assert participants.loc["sub-02", "note"] == "cut from 60 to 50 volumes, the length of the shortest series (sub-01)"
    courses = read_timecourses(participants.reset_index(), runs, cohort)["timecourses"]
    assert courses.sizes["time"] == 50
    np.testing.assert_allclose(courses.sel(participant="sub-02"), long[:50], rtol=1e-6)


def test_only_participants_that_are_left_are_read(tmp_path):
    participants, runs, cohort = check(make_timeseries(tmp_path, 6))
    data = read_timecourses(participants.reset_index().iloc[1:4], runs, cohort)
    assert list(data["participant"].values) == ["sub-02", "sub-03", "sub-04"]


@pytest.mark.real_data
def test_the_real_cohort_is_read_within_seconds(test_data):
    config = make_config(
        "timeseries",
        group={"column": "diagnosis", "levels": ["control", "autism"]},
        covariates=["age", "sex", "mean_fd"],
        timeseries={"participants": str(test_data / "abide-nyu/participants.tsv")},
        folds=5,
    )
    start = time.process_time()
    participants, runs = examine_and_check(config)
    data = read_timecourses(participants, runs, config["cohort"])
    assert time.process_time() - start < 10
    assert (participants["status"] == "included").all()
    assert data["timecourses"].shape == (184, 176, 200)
    noted = participants[participants["note"].notna()]
    assert noted["note"].str.contains("no signal").all()
    first = noted.iloc[0]["participant_id"]
    file = runs.set_index("participant_id").loc[first, "file"]
    slow = pd.read_csv(file, sep="\t")
    constant = [name.strip("#") for name in slow if slow[name].min() == slow[name].max()]
    assert constant == noted.iloc[0]["note"].removeprefix("no signal in region ").split(", kept")[0].split(", ")
    np.testing.assert_allclose(data["timecourses"].sel(participant=first), slow.to_numpy(), rtol=1e-5, atol=1e-4)
