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


def check(people, on_error="exclude", n_volumes=None, **section):
    config = make_config("timeseries", n_volumes=n_volumes, timeseries={"participants": str(people), **section})
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


def write(folder, texts):
    """Write a text file each; return the participants table."""
    (folder / "series").mkdir(exist_ok=True)
    files = [f"series/sub-{number:02d}.tsv" for number in range(1, len(texts) + 1)]
    for file, text in zip(files, texts, strict=True):
        (folder / file).write_text(text)
    return make_participants(folder / "participants.tsv", len(texts), timeseries=files)


def table(values, names=None, **options):
    return pd.DataFrame(values, columns=names).to_csv(sep="\t", index=False, **options)


def smooth(n_volumes, n_regions=6, seed=0):
    """Draw series that are smooth in time, as those of the brain."""
    noise = np.random.default_rng(seed).standard_normal((n_volumes + 4, n_regions))
    return sum(noise[at : at + n_volumes] for at in range(5))


def test_series_are_cut_to_the_shortest_and_who_moved_stays(tmp_path):
    """Censoring leaves most people fewer volumes than the most frequent length."""
    lengths = [50, 50, 50, 44, 47, 41, 30]
    people = write(tmp_path, [table(series(length), REGIONS) for length in lengths])
    participants, runs, cohort = check(people)
    assert list(participants.index[participants["status"] == "excluded"]) == ["sub-07"]
    assert "has 30 volumes (rows), but cohort.min_volumes asks for 40" in participants.loc["sub-07", "reason"]
    for who, length in zip(participants.index[:5], lengths, strict=False):
        assert (
            participants.loc[who, "note"]
            == f"cut from {length} to 41 volumes, the length of the shortest series (sub-06)"
        )
    assert read_timecourses(participants.reset_index(), runs, cohort)["timecourses"].shape == (6, 41, 6)


def test_a_length_that_is_asked_for_leaves_out_who_is_shorter(tmp_path):
    people = write(tmp_path, [table(series(length), REGIONS) for length in (50, 50, 50, 50, 44, 47)])
    participants, runs, cohort = check(people, n_volumes=46)
    assert list(participants.index[participants["status"] == "excluded"]) == ["sub-05"]
    assert "has 44 volumes, fewer than cohort.n_volumes = 46" in participants.loc["sub-05", "reason"]
    assert participants.loc["sub-06", "note"] == "cut from 47 to 46 volumes, cohort.n_volumes"
    assert read_timecourses(participants.reset_index(), runs, cohort)["timecourses"].shape == (5, 46, 6)


@pytest.mark.parametrize(
    ("names", "column"),
    [
        (["Unnamed: 0", *REGIONS], np.arange(50)),
        (["volume", *REGIONS], np.arange(1, 51)),
        (["time", *REGIONS], 2.0 * np.arange(50)),
        (["time", *REGIONS], 2000 * np.arange(50)),  # ms
        (["frame", *REGIONS], np.flatnonzero(np.arange(60) % 6)),  # of a series that was censored
        (["subject", *REGIONS], np.full(50, 50952)),
        (["nameless", *REGIONS], 0.5 + np.arange(50) / 3),
    ],
)
def test_columns_that_count_the_volumes_are_left_out_and_named(tmp_path, names, column):
    people = write(tmp_path, [table(np.column_stack([column, series()]), names)] * 4)
    participants, runs, cohort = check(people)
    assert participants["note"].str.startswith(f"column {names[0]!r} left out: ").all()
    data = read_timecourses(participants.reset_index(), runs, cohort)
    assert list(data["component"].values) == REGIONS
    np.testing.assert_allclose(data["timecourses"][0], series(), rtol=1e-6)


def test_a_region_that_is_named_like_an_index_and_is_none_is_refused(tmp_path):
    people = write(tmp_path, [table(series(), ["T", *REGIONS[1:]])] + [table(series(), REGIONS)] * 5)
    assert (
        "has a column 'T', named like an index of the volumes, which does not go up"
        in check(people)[0].iloc[0]["reason"]
    )


def test_a_time_column_that_contradicts_the_repetition_time_is_refused(tmp_path):
    columns = [np.column_stack([step * np.arange(50), series()]) for step in (2.004, 2.0, 2.0, 2.0, 2.5, 2.0)]
    people = write(tmp_path, [table(values, ["time", *REGIONS]) for values in columns])
    participants, _, _ = check(people)
    assert list(participants.index[participants["status"] == "excluded"]) == ["sub-05"]
    assert "has a volume every 2.5 (seconds or milliseconds) by itself" in participants.loc["sub-05", "reason"]


def test_repetition_times_come_from_the_table_where_sites_differ_by_rounding(tmp_path):
    write(tmp_path, [table(series(), REGIONS)] * 6)
    files = [f"series/sub-{number:02d}.tsv" for number in range(1, 7)]
    times = [1.667, 1.667, 1.667, 1.667, 1.667, "unknown"]
    people = make_participants(tmp_path / "participants.tsv", 6, timeseries=files, tr=times)
    participants, runs, cohort = check(people, repetition_time="tr")
    assert list(participants.index[participants["status"] == "excluded"]) == ["sub-06"]
    assert "column 'tr' of the participants table is 'unknown'" in participants.loc["sub-06", "reason"]
    assert read_timecourses(participants.reset_index(), runs, cohort).attrs["repetition_time"] == 1.667
    with pytest.raises(ConfigError, match="has no column 'TR'; name one, or give seconds"):
        check(people, repetition_time="TR")


@pytest.mark.parametrize("shape", [(50, 90), (90, 50)])
def test_files_that_do_not_say_what_their_rows_are_are_refused_with_a_hint(tmp_path, shape):
    """Neither names nor lengths tell; which of the two is smooth is a hint, no proof."""
    files = [smooth(*sorted(shape, reverse=shape[0] > shape[1]), seed=seed) for seed in range(4)]
    values = [file if shape[0] > shape[1] else smooth(90, 50, seed).T for seed, file in enumerate(files)]
    people = write(tmp_path, [table(each, header=False) for each in values])
    suggested = "volumes-in-rows" if shape[0] > shape[1] else "regions-in-rows"
    with pytest.raises(ConfigError, match=rf"(?s)its {shape[0]} rows are volumes or regions.*suggests {suggested}"):
        check(people)
    participants, runs, cohort = check(people, orientation=suggested)
    data = read_timecourses(participants.reset_index(), runs, cohort)["timecourses"]
    assert data.shape == (4, 90, 50)
    np.testing.assert_allclose(data[2], values[2] if shape[0] > shape[1] else values[2].T, rtol=1e-5)


def test_the_number_of_volumes_of_the_table_turns_a_file(tmp_path):
    write(tmp_path, [table(series(50, 90), header=False)] * 4)
    files = [f"series/sub-{number:02d}.tsv" for number in range(1, 5)]
    people = make_participants(tmp_path / "participants.tsv", 4, timeseries=files, n_volumes=[90] * 4)
    participants, runs, cohort = check(people)
    assert (participants["note"] == "read with regions in rows").all()
    data = read_timecourses(participants.reset_index(), runs, cohort)["timecourses"]
    np.testing.assert_allclose(data[0], series(50, 90).T, rtol=1e-5)


def test_labels_of_the_rows_that_are_regions_turn_a_file(tmp_path):
    """A square table too: its lengths say nothing."""
    values = series(44, 44)
    text = pd.DataFrame(values, [f"Region {at}" for at in range(44)]).to_csv(sep="\t")
    participants, runs, cohort = check(write(tmp_path, [text] * 4))
    assert participants["note"].str.contains("read with regions in rows: its rows are named like regions").all()
    data = read_timecourses(participants.reset_index(), runs, cohort)
    np.testing.assert_allclose(data["timecourses"][0], values.T, rtol=1e-5)
    assert data["component"].values[3] == "Region 3"


def test_one_turned_file_with_the_regions_of_the_others_is_turned_back(tmp_path):
    texts = [table(series(), REGIONS)] * 5 + [pd.DataFrame(series().T, REGIONS).to_csv(sep="\t")]
    participants, runs, cohort = check(write(tmp_path, texts))
    assert participants["note"].isna().sum() == 5
    data = read_timecourses(participants.reset_index(), runs, cohort)["timecourses"]
    np.testing.assert_allclose(data.sel(participant="sub-06"), data.sel(participant="sub-01"))


@pytest.mark.parametrize("turned", [False, True])
def test_lengths_that_differ_tell_the_axis_of_smooth_series(tmp_path, turned):
    values = [smooth(length, 45, seed) for seed, length in enumerate((60, 70, 60, 80))]
    people = write(tmp_path, [table(each.T if turned else each, header=False) for each in values])
    participants, runs, cohort = check(people)
    data = read_timecourses(participants.reset_index(), runs, cohort)["timecourses"]
    assert data.shape == (4, 60, 45)
    np.testing.assert_allclose(data[3], values[3][:60], rtol=1e-5)


@pytest.mark.parametrize("spelled", ["n/a", "NaN", "", "0"])
def test_a_region_without_coverage_is_kept_as_zeros_however_it_is_spelled(tmp_path, spelled):
    texts = [table(series(), REGIONS)] * 6
    lost = pd.DataFrame(series(), columns=REGIONS).astype(object)
    lost["region2"] = spelled
    texts[1] = lost.to_csv(sep="\t", index=False)
    lost["region4"] = spelled
    texts[2] = lost.to_csv(sep="\t", index=False)
    participants, runs, cohort = check(write(tmp_path, texts), max_constant=0.2)
    assert participants.loc["sub-02", "note"] == "no signal in region region2, kept as zeros"
    assert "2 of 6 regions have no signal" in participants.loc["sub-03", "reason"]
    courses = read_timecourses(participants.reset_index(), runs, cohort)["timecourses"].sel(participant="sub-02")
    assert (courses.sel(component="region2") == 0).all()
    assert np.isfinite(courses).all()


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
