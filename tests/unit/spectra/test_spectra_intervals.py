"""Intervals of features contain the features of the whole spectrum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradspec.spectra.features import FEATURES
from gradspec.spectra.intervals import BOUNDED, EXACT, UNDEFINED, feature_intervals


def known_of(spectrum: np.ndarray, count: int, error: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Leading values, each off by as much as its bound allows, either way."""
    bounds = np.full(count, error * spectrum[0])
    off = np.random.default_rng(seed).uniform(-1, 1, count) * bounds
    return np.maximum(spectrum[:count] + off, 0.0), bounds


def test_every_feature_is_exact_or_bounded_or_undefined() -> None:
    assert sorted([*EXACT, *BOUNDED, *UNDEFINED]) == sorted(FEATURES)


@settings(max_examples=300, deadline=None)
@given(
    rank=st.integers(4, 200),
    count=st.integers(2, 20),
    exponent=st.floats(0, 4),
    last=st.integers(1, 200),
    error=st.sampled_from([0.0, 1e-9, 1e-5, 1e-3, 0.1, 0.7]),
    size=st.sampled_from([1e-12, 1.0, 1e9]),
    seed=st.integers(0, 1000),
)
def test_intervals_contain_the_features(
    rank: int, count: int, exponent: float, last: int, error: float, size: float, seed: int
) -> None:
    count = min(count, rank)
    index = np.arange(rank)
    noise = np.random.default_rng(seed).uniform(0.5, 1, rank)
    spectrum = size * np.sort(np.where(index < last, noise * (index + 1.0) ** -exponent, 0.0))[::-1]
    values, bounds = known_of(spectrum, count, error, seed)
    intervals = feature_intervals(values, bounds, np.linalg.norm(spectrum), rank)
    assert set(intervals) == {*EXACT, *BOUNDED}
    for name, interval in intervals.items():
        exact = FEATURES[name].function(spectrum)
        slack = 1e-9 * abs(exact)
        assert interval.lower - slack <= exact <= interval.upper + slack, name


def test_with_all_values_intervals_are_points() -> None:
    spectrum = 0.8 ** np.arange(12)
    for name, interval in feature_intervals(spectrum, np.zeros(12), np.linalg.norm(spectrum), 12).items():
        exact = FEATURES[name].function(spectrum)
        assert float(interval.lower) == pytest.approx(exact, rel=1e-9)
        assert float(interval.upper) == pytest.approx(exact, rel=1e-9)


def test_exact_features_are_as_narrow_as_the_bounds_whatever_the_tail() -> None:
    spectrum = 1 / (1 + np.arange(500.0))
    values, bounds = known_of(spectrum, 16, 1e-5)
    intervals = feature_intervals(values, bounds, np.linalg.norm(spectrum), 500)
    for name in EXACT:
        assert intervals[name].upper - intervals[name].lower <= 1e-4 * intervals[name].upper
    for name in BOUNDED:
        assert intervals[name].upper > intervals[name].lower


def test_a_group_of_few_samples_is_known_as_a_whole_and_one_without_is_not() -> None:
    spectrum = np.array([[3.0, 1.0, 0.5, np.nan], [np.nan] * 4])
    norms = np.array([np.sqrt(10.25), np.nan])
    intervals = feature_intervals(spectrum, np.where(np.isnan(spectrum), np.nan, 0.0), norms, 100)
    for name, interval in intervals.items():
        exact = FEATURES[name].function(spectrum)
        np.testing.assert_allclose(interval.lower, exact, rtol=1e-9)
        np.testing.assert_allclose(interval.upper, exact, rtol=1e-9)


def test_more_values_than_the_rank_are_refused() -> None:
    with pytest.raises(ValueError, match="5 leading values, but at least 2 are needed, and at most the rank, 4"):
        feature_intervals(np.ones(5), np.zeros(5), np.array(2.2), 4)
