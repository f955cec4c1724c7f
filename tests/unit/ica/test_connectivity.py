"""Functional network connectivity."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import ledoit_wolf

from gradspec.errors import ParticipantError
from gradspec.ica.connectivity import cohort_fnc, fnc, partial_fnc


def dataset(timecourses):
    n, n_volumes, n_components = timecourses.shape
    return xr.Dataset(
        {"timecourses": (("participant", "time", "component"), timecourses.astype(np.float32))},
        coords={
            "participant": [f"sub-{k}" for k in range(n)],
            "run": ("participant", [""] * n),
            "component": [f"component-{k:02d}" for k in range(1, n_components + 1)],
            "time": np.arange(n_volumes) * 2.0,
        },
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3), offset=st.floats(-100, 100))
def test_it_is_fisher_z_of_pearson_correlation_with_a_zero_diagonal(seed, scale, offset):
    series = np.random.default_rng(seed).standard_normal((60, 5)) @ np.random.default_rng(1).standard_normal((5, 5))
    expected = np.arctanh(np.corrcoef(series.T) * (1 - np.eye(5)))
    np.testing.assert_allclose(fnc(series * scale + offset), expected, atol=1e-5)


def test_equal_series_stay_finite_and_symmetric():
    series = np.random.default_rng(0).standard_normal((50, 3))
    matrix = fnc(np.column_stack([series, -series]))
    assert np.isfinite(matrix).all()
    np.testing.assert_array_equal(matrix, matrix.T)
    assert matrix[0, 3] < -7


def test_a_constant_component_is_zero_and_logged(caplog):
    series = np.random.default_rng(0).standard_normal((2, 50, 3))
    series[1, :, 2] = 0.1
    connectivity = cohort_fnc(dataset(series))["fnc"].values
    assert not connectivity[1, 2].any()
    assert connectivity[1, 0, 1] != 0
    assert "sub-1: no variance over time in component-03; its connectivity is zero" in caplog.text


def test_the_cohort_has_a_matrix_each_participant_with_its_names():
    series = np.random.default_rng(0).standard_normal((3, 40, 4))
    result = cohort_fnc(dataset(series))
    assert result["fnc"].dims == ("participant", "component", "component_2")
    assert result["fnc"].dtype == np.float32
    assert list(result["participant"].values) == ["sub-0", "sub-1", "sub-2"]
    assert "run" in result.coords
    assert "time" not in result.coords
    np.testing.assert_allclose(result["fnc"][1].values, fnc(series[1]), atol=1e-5)


def plain_partial(series, covariance):
    """Correlate what is left of two components when all others are regressed out, from a covariance."""
    n = series.shape[1]
    found = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            pair, rest = [i, j], [k for k in range(n) if k not in (i, j)]
            left = covariance[np.ix_(pair, pair)] - covariance[np.ix_(pair, rest)] @ np.linalg.solve(
                covariance[np.ix_(rest, rest)], covariance[np.ix_(rest, pair)]
            )
            found[i, j] = found[j, i] = np.arctanh(left[0, 1] / np.sqrt(left[0, 0] * left[1, 1]))
    return found


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3))
def test_partial_correlation_is_that_of_the_shrunk_covariance(seed, scale):
    rng = np.random.default_rng(seed)
    series = rng.standard_normal((60, 5)) @ rng.standard_normal((5, 5))
    scaled = (series - series.mean(axis=0)) / series.std(axis=0)
    shrunk = ledoit_wolf(scaled, assume_centered=True)[0]
    np.testing.assert_allclose(partial_fnc(series * scale + 3), plain_partial(series, shrunk), atol=1e-6)


def test_partial_correlation_exists_for_more_components_than_volumes_and_for_copies():
    rng = np.random.default_rng(0)
    wide = partial_fnc(rng.standard_normal((20, 40)))
    assert np.isfinite(wide).all()
    np.testing.assert_array_equal(wide, wide.T)
    series = rng.standard_normal((50, 3))
    assert np.isfinite(partial_fnc(np.column_stack([series, series, np.full(50, 2.0)]))).all()


def test_partial_correlation_does_not_see_what_goes_through_a_third():
    rng = np.random.default_rng(1)
    middle = rng.standard_normal(5000)
    series = np.column_stack([middle + rng.standard_normal(5000), middle, middle + rng.standard_normal(5000)])
    assert fnc(series)[0, 2] > 0.4
    assert abs(partial_fnc(series)[0, 2]) < 0.05
    assert partial_fnc(series)[0, 1] > 0.4


def test_the_measure_is_written_down():
    series = np.random.default_rng(0).standard_normal((3, 40, 4))
    result = cohort_fnc(dataset(series), "partial")["fnc"]
    np.testing.assert_allclose(result[1].values, partial_fnc(series[1]), atol=1e-5)
    assert "partial" in result.attrs["measure"]


def test_values_that_are_not_finite_are_refused_with_the_participant():
    series = np.random.default_rng(0).standard_normal((3, 40, 4))
    series[2, 5, 1] = np.nan
    with pytest.raises(ParticipantError, match="sub-2: its time courses hold values that are not finite"):
        cohort_fnc(dataset(series))


@pytest.mark.real_data
def test_a_real_time_course_gives_the_correlations_of_numpy(test_data):
    file = next((test_data / "abide-nyu").rglob("*.1D"))
    series = np.loadtxt(file)
    varies = series.std(axis=0) > 0
    expected = np.arctanh(np.corrcoef(series[:, varies].T) * (1 - np.eye(varies.sum())))
    np.testing.assert_allclose(fnc(series)[np.ix_(varies, varies)], expected, atol=1e-6)
