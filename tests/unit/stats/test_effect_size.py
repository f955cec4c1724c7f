"""Intervals of the effect size against a root search on the noncentral t, and their coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from gradspec.stats.corrected_t import corrected_resampled_t_test
from gradspec.stats.effect_size import effect_interval


def interval_of(test, alpha=0.05):
    return effect_interval(test.effect_size, test.statistic, test.df, alpha)


@pytest.mark.parametrize("mean", [0.1, 0.4, 2.0])
@pytest.mark.parametrize("correlation", [0.0, 0.2])
def test_ends_are_the_roots_of_the_noncentral_distribution(mean, correlation):
    values = np.random.default_rng(0).normal(size=10)
    values += mean - values.mean()
    test = corrected_resampled_t_test(values, correlation)
    factor = np.sqrt(1 / 10 + correlation / (1 - correlation))
    centre, reach = float(test.effect_size), 2 + float(test.effect_size)
    roots = [
        optimize.brentq(lambda d, q=q: stats.nct.cdf(float(test.statistic), 9, d / factor) - q, *ends)
        for q, ends in ((0.975, (centre - reach, centre)), (0.025, (centre, centre + reach)))
    ]
    assert tuple(interval_of(test)) == pytest.approx(roots, rel=1e-4, abs=1e-5)
    low, high = interval_of(corrected_resampled_t_test(-values, correlation))
    assert (-high, -low) == pytest.approx(roots, rel=1e-4, abs=1e-5)


@given(st.integers(0, 10_000), st.floats(0.001, 0.3))
def test_it_holds_zero_exactly_where_the_test_does_not_reject(seed, alpha):
    values = np.random.default_rng(seed).normal(0.5, 1.0, size=(7, 5))
    test = corrected_resampled_t_test(values, 0.2, alpha)
    low, high = interval_of(test, alpha)
    clear = np.abs(test.p_value - alpha) > 1e-6
    np.testing.assert_array_equal(((low <= 0) & (high >= 0))[clear], (test.p_value > alpha)[clear])
    assert ((low < test.effect_size) & (test.effect_size < high)).all()


def test_it_covers_the_true_effect():
    n = 4000
    values = np.random.default_rng(1).normal(0.6, 1.0, size=(9, n))
    low, high = interval_of(corrected_resampled_t_test(values, 0.0))
    at_least, at_most = stats.binom(n, 0.95).ppf([0.0005, 0.9995]) / n
    assert at_least <= ((low <= 0.6) & (high >= 0.6)).mean() <= at_most


def test_what_was_not_tested_has_no_interval():
    assert np.isnan(interval_of(corrected_resampled_t_test(np.ones((4, 2)), 0.0))).all()
