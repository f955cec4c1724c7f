"""Reading the cohort, and scaling it without a look at the test participants."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gradspec.errors import ConfigError
from gradspec.training.samples import Samples, load_samples
from gradspec.training.scaling import scale, standardize_features, standardize_timecourses

LEVELS = ["patient", "control"]  # not in alphabetical order: the config decides
IDS = ["sub-03", "sub-01", "sub-01", "sub-02"]
RUNS = ["", "run-1", "run-2", ""]


@pytest.fixture
def participants():
    return pd.DataFrame({"participant_id": ["sub-01", "sub-02", "sub-03"], "group": ["control", "patient", "patient"]})


@pytest.fixture
def write(tmp_path):
    def write(values, name="timecourses", ids=IDS):
        dims = {
            "timecourses": ("participant", "time", "component"),
            "fnc": ("participant", "component", "component_2"),
            "features": ("participant", "feature"),
        }.get(name, ("participant", "x", "y"))
        coords = {"participant": list(ids), "run": ("participant", RUNS[: len(ids)])}
        path = tmp_path / f"daten für {name}.nc"
        xr.Dataset({name: (dims, values.astype(np.float32))}, coords).to_netcdf(path, engine="h5netcdf")
        return path

    return write


def test_time_courses_are_one_sample_a_run_with_labels_in_the_order_of_the_levels(write, participants):
    values = np.random.default_rng(0).standard_normal((4, 6, 3))
    samples = load_samples(write(values), participants, LEVELS)
    assert samples.kind == "timecourses"
    np.testing.assert_array_equal(samples.values, values.astype(np.float32))
    assert samples.participants.tolist() == IDS and samples.runs.tolist() == RUNS
    assert samples.groups.tolist() == [0, 1, 1, 0]


def test_connectivity_becomes_its_upper_triangle(write, participants):
    matrices = np.random.default_rng(0).standard_normal((4, 5, 5))
    samples = load_samples(write(matrices, "fnc"), participants, LEVELS)
    naive = [[matrix[i, j] for i in range(5) for j in range(i + 1, 5)] for matrix in matrices]
    np.testing.assert_array_equal(samples.values, np.array(naive, np.float32))


def test_feature_vectors_are_taken_as_they_are(write, participants):
    vectors = np.arange(8.0).reshape(4, 2)
    samples = load_samples(write(vectors, "features"), participants, LEVELS)
    assert samples.kind == "features"
    np.testing.assert_array_equal(samples.values, vectors)


def test_data_and_table_must_be_about_the_same_participants(write, participants):
    values = np.zeros((2, 6, 3))
    with pytest.raises(ConfigError, match=r"no data of sub-02, listed.*has data of sub-99, not listed"):
        load_samples(write(values, ids=["sub-03", "sub-99"]), participants[1:], LEVELS)


def test_missing_values_name_the_participants(write, participants):
    values = np.zeros((4, 6, 3))
    values[1, 2, 0], values[3, 0, 0] = np.nan, np.inf
    with pytest.raises(ConfigError, match=r"missing or infinite values in timecourses of sub-01, sub-02;"):
        load_samples(write(values), participants, LEVELS)


def test_unknown_groups_and_variables_are_refused(write, participants):
    with pytest.raises(ConfigError, match=r"has group patient, but cohort\.group\.levels are control, case"):
        load_samples(write(np.zeros((4, 6, 3))), participants, ["control", "case"])
    with pytest.raises(ConfigError, match=r"expected a variable timecourses, fnc, features, maps, found \['alff'\]"):
        load_samples(write(np.zeros((4, 6, 3)), "alff"), participants, LEVELS)


def test_time_courses_are_standardised_run_by_run():
    values = np.random.default_rng(0).normal(100, 5, (3, 20, 4)).astype(np.float32)
    values[1, :, 2] = 1234.567
    scaled = standardize_timecourses(values)
    for run in range(3):
        for component in range(4):
            course = values[run, :, component].astype(float)
            constant = (run, component) == (1, 2)
            expected = np.zeros(20) if constant else (course - course.mean()) / course.std()
            np.testing.assert_allclose(scaled[run, :, component], expected, atol=1e-5)


def test_features_are_standardised_with_the_training_samples():
    rng = np.random.default_rng(0)
    values = rng.normal(3, 2, (10, 4)).astype(np.float32)
    values[:7, 1] = 0.1  # constant in training only
    train = np.arange(10) < 7
    scaled, n_constant = standardize_features(values, train)
    expected = (values - values[:7].mean(0)) / np.where(np.arange(4) == 1, 1, values[:7].std(0))
    expected[:, 1] = 0
    assert n_constant == 1
    np.testing.assert_allclose(scaled, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["timecourses", "fnc", "features"])
def test_test_participants_have_no_say_in_the_scaling(kind):
    rng = np.random.default_rng(0)
    values = rng.standard_normal((8, 9, 3) if kind == "timecourses" else (8, 5)).astype(np.float32)
    train = np.arange(8) % 4 != 0
    samples = Samples(kind, values, np.arange(8).astype(str), np.full(8, ""), np.arange(8) % 2)
    changed = values.copy()
    changed[~train] = 1e3 * changed[~train] + 7
    before, _ = scale(samples, train)
    after, _ = scale(replace(samples, values=changed), train)
    np.testing.assert_array_equal(before[train], after[train])
    assert np.isfinite(after).all()
