"""The corrected t-test: by hand, at its limits, and whether it keeps its level where folds share participants."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from gradspec.stats.corrected_t import corrected_resampled_t_test

N_COHORTS = 4000
FOLDS, REPEATS = 5, 2
RATIO = 1 / (FOLDS - 1)  # n_test / n_train of five folds

differences = hnp.arrays(float, st.integers(3, 20), elements=st.integers(-50, 50).map(lambda value: value / 10))


def simulate_runs(effect=0.0):
    """Differences (run, cohort) that correlate by ρ = n_test / (n_train + n_test) between any two runs of a cohort."""
    rng = np.random.default_rng(1)
    rho = RATIO / (1 + RATIO)
    shared = rng.normal(size=N_COHORTS)
    own = rng.normal(size=(FOLDS * REPEATS, N_COHORTS))
    return effect + np.sqrt(rho) * shared + np.sqrt(1 - rho) * own


def share_rejected(values, ratio):
    return float((corrected_resampled_t_test(values, ratio).p_value < 0.05).mean())


def test_hand_computation():
    found = corrected_resampled_t_test(np.array([1.0, 2.0, 3.0, 6.0]), 0.25)
    # mean 3, s² = (4 + 1 + 0 + 9) / 3 = 14/3, variance of the mean (1/4 + 1/4) · 14/3 = 7/3
    assert found.difference == pytest.approx(3)
    assert found.statistic == pytest.approx(3 / (7 / 3) ** 0.5)
    assert found.effect_size == pytest.approx(3 / (14 / 3) ** 0.5)
    assert found.df == 3
    assert found.p_value == pytest.approx(2 * stats.t(3).sf(3 / (7 / 3) ** 0.5))
    margin = stats.t(3).ppf(0.975) * (7 / 3) ** 0.5
    assert (found.ci_low, found.ci_high) == (pytest.approx(3 - margin), pytest.approx(3 + margin))


def test_without_shared_participants_it_is_the_ordinary_paired_t_test():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 12, 7))
    found = corrected_resampled_t_test(one - other, 0.0, alpha=0.1)
    expected = stats.ttest_rel(one, other)
    interval = expected.confidence_interval(0.9)
    np.testing.assert_allclose(found.statistic, expected.statistic)
    np.testing.assert_allclose(found.p_value, expected.pvalue)
    np.testing.assert_allclose([found.ci_low, found.ci_high], [interval.low, interval.high])


@given(differences, st.floats(0, 1), st.floats(0.001, 0.2))
def test_interval_holds_zero_exactly_where_the_test_does_not_reject(values, ratio, alpha):
    found = corrected_resampled_t_test(values, ratio, alpha)
    if np.isfinite(found.p_value) and abs(found.p_value - alpha) > 1e-9:
        assert (found.ci_low <= 0 <= found.ci_high) == (found.p_value > alpha)


@given(differences, st.floats(0, 1), st.floats(0.01, 1))
def test_more_shared_participants_never_make_a_result_surer(values, ratio, more):
    less, greater = (corrected_resampled_t_test(values, each).p_value for each in (ratio, ratio + more))
    assert np.isnan(less) or greater >= less


def test_no_variation_gives_no_statistic():
    found = corrected_resampled_t_test(np.full((4, 1), 2.0), 0.25)
    assert found.difference == 2
    assert np.isnan([found.statistic, found.p_value, found.ci_low, found.ci_high, found.effect_size]).all()


def test_one_run_is_refused():
    with pytest.raises(ValueError, match="at least two runs"):
        corrected_resampled_t_test(np.ones((1, 3)), 0.25)


def test_level_is_kept_where_the_ordinary_test_rejects_far_more():
    """Exact for equally correlated runs: the share of false rejections lies in the binomial interval of 5 %."""
    null = simulate_runs()
    low, high = stats.binom(N_COHORTS, 0.05).ppf([0.0005, 0.9995]) / N_COHORTS
    assert low <= share_rejected(null, RATIO) <= high
    assert share_rejected(null, 0.0) > 0.2


def test_interval_covers_the_true_difference_as_often_as_it_says():
    found = corrected_resampled_t_test(simulate_runs(effect=0.7), RATIO)
    low, high = stats.binom(N_COHORTS, 0.95).ppf([0.0005, 0.9995]) / N_COHORTS
    assert low <= np.mean((found.ci_low <= 0.7) & (found.ci_high >= 0.7)) <= high


def test_power_rises_with_the_difference():
    power = [share_rejected(simulate_runs(effect), RATIO) for effect in (0.0, 0.7, 1.2, 2.0)]
    assert all(np.diff(power) > 0.1)
    assert power[-1] > 0.8
