"""The corrected t-test: by hand, at its limits, and whether it keeps its level where folds share participants."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from gradspec.stats.corrected_t import corrected_resampled_t_test, mean_overlap
from gradspec.stats.noise_corrected_jackknife import noise_corrected_jackknife_t_test, within_df

N_COHORTS = 4000
FOLDS, REPEATS, N_PEOPLE = 5, 2, 40
RHO = 1 / FOLDS  # n_test / (n_train + n_test), the correlation of test errors

differences = hnp.arrays(float, st.integers(3, 20), elements=st.integers(-50, 50).map(lambda value: value / 10))
training_sets = hnp.arrays(bool, st.tuples(st.integers(2, 6), st.integers(1, 12))).map(
    lambda sets: np.column_stack([sets, np.ones(len(sets), dtype=bool)])
)


def simulate_runs(effect=0.0):
    """Differences (run, cohort) that correlate by ρ between any two runs of a cohort."""
    rng = np.random.default_rng(1)
    shared = rng.normal(size=N_COHORTS)
    own = rng.normal(size=(FOLDS * REPEATS, N_COHORTS))
    return effect + np.sqrt(RHO) * shared + np.sqrt(1 - RHO) * own


def draw_training_sets(rng, repeats=REPEATS):
    folds = [rng.permutation(np.arange(N_PEOPLE) % FOLDS) for _ in range(repeats)]
    return np.array([of_repeat != fold for of_repeat in folds for fold in range(FOLDS)])


def average_people(rng, is_training, noise):
    """Differences (run, cohort) that are the mean effect of the people who trained the run, and noise."""
    people = rng.normal(size=(N_PEOPLE, N_COHORTS))
    means = is_training @ people / is_training.sum(axis=1, keepdims=True)
    return means + noise * rng.normal(size=means.shape)


def share_rejected(values, correlation, df=None):
    return float((corrected_resampled_t_test(values, correlation, df=df).p_value < 0.05).mean())


def test_hand_computation():
    found = corrected_resampled_t_test(np.array([1.0, 2.0, 3.0, 6.0]), 0.2)
    # mean 3, s² = (4 + 1 + 0 + 9) / 3 = 14/3, variance of the mean (1/4 + 0.2/0.8) · 14/3 = 7/3
    assert found.difference == pytest.approx(3)
    assert found.standard_error == pytest.approx((7 / 3) ** 0.5)
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


@given(differences, st.floats(0, 0.9), st.floats(0.001, 0.2))
def test_interval_holds_zero_exactly_where_the_test_does_not_reject(values, correlation, alpha):
    found = corrected_resampled_t_test(values, correlation, alpha)
    if np.isfinite(found.p_value) and abs(found.p_value - alpha) > 1e-9:
        assert (found.ci_low <= 0 <= found.ci_high) == (found.p_value > alpha)


@given(differences, st.floats(0, 0.5), st.floats(0.01, 0.4))
def test_more_shared_participants_never_make_a_result_surer(values, correlation, more):
    less, greater = (corrected_resampled_t_test(values, each).p_value for each in (correlation, correlation + more))
    assert np.isnan(less) or greater >= less


def test_no_variation_gives_no_statistic():
    found = corrected_resampled_t_test(np.full((4, 1), 2.0), 0.2)
    assert found.difference == 2
    assert np.isnan([found.statistic, found.p_value, found.ci_low, found.ci_high, found.effect_size]).all()


@pytest.mark.parametrize(("n_runs", "correlation"), [(1, 0.2), (3, 1.0), (3, -0.1)])
def test_one_run_or_an_impossible_correlation_is_refused(n_runs, correlation):
    with pytest.raises(ValueError, match="at least two runs and a correlation in"):
        corrected_resampled_t_test(np.ones((n_runs, 3)), correlation)


def test_level_is_kept_where_the_ordinary_test_rejects_far_more():
    """Exact for equally correlated runs: the share of false rejections lies in the binomial interval of 5 %."""
    null = simulate_runs()
    low, high = stats.binom(N_COHORTS, 0.05).ppf([0.0005, 0.9995]) / N_COHORTS
    assert low <= share_rejected(null, RHO) <= high
    assert share_rejected(null, 0.0) > 0.2


def test_interval_covers_the_true_difference_as_often_as_it_says():
    found = corrected_resampled_t_test(simulate_runs(effect=0.7), RHO)
    low, high = stats.binom(N_COHORTS, 0.95).ppf([0.0005, 0.9995]) / N_COHORTS
    assert low <= np.mean((found.ci_low <= 0.7) & (found.ci_high >= 0.7)) <= high


def test_power_rises_with_the_difference():
    power = [share_rejected(simulate_runs(effect), RHO) for effect in (0.0, 0.7, 1.2, 2.0)]
    assert all(np.diff(power) > 0.1)
    assert power[-1] > 0.8


@given(training_sets)
def test_overlap_is_the_mean_over_all_pairs_of_runs(is_training):
    sets = [set(np.flatnonzero(run)) for run in is_training]
    shares = [len(a & b) / np.sqrt(len(a) * len(b)) for a, b in combinations(sets, 2)]
    assert mean_overlap(is_training) == pytest.approx(np.mean(shares))


@pytest.mark.parametrize("repeats", [1, 2, 4])
def test_overlap_of_folds_is_far_above_the_correlation_of_test_errors(repeats):
    overlap = mean_overlap(draw_training_sets(np.random.default_rng(0), repeats))
    assert overlap / (1 - overlap) == pytest.approx(FOLDS - 1 - 1 / repeats)
    assert overlap > 3 * RHO


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_what_follows_from_the_training_set_needs_the_overlap_for_its_level(noise):
    rng = np.random.default_rng(2)
    is_training = draw_training_sets(rng)
    null = average_people(rng, is_training, noise)
    df = within_df(REPEATS, FOLDS, N_PEOPLE)
    most = stats.binom(N_COHORTS, 0.05).ppf(0.9995) / N_COHORTS
    assert share_rejected(null, mean_overlap(is_training), df) <= most
    assert share_rejected(null, RHO) > 0.15


def test_where_repeats_do_not_differ_it_is_the_jackknife():
    rng = np.random.default_rng(3)
    is_training = draw_training_sets(rng)
    runs = average_people(rng, is_training, noise=0.0)[:, :50]
    found = corrected_resampled_t_test(runs, mean_overlap(is_training), df=within_df(REPEATS, FOLDS, N_PEOPLE))
    expected = noise_corrected_jackknife_t_test(runs.reshape(REPEATS, FOLDS, -1), N_PEOPLE)
    np.testing.assert_allclose(found.p_value, expected.p_value, rtol=1e-6)


@pytest.mark.parametrize("n_runs", range(3, 12))
def test_equal_differences_have_no_statistic_whatever_rounding_makes_of_their_mean(n_runs):
    values = np.array([0.1, 1 / 3, 20.3, 1e-9])
    found = corrected_resampled_t_test(np.tile(values, (n_runs, 1)), 0.2)
    assert np.isnan(found.statistic).all() and np.isnan(found.ci_low).all()
    np.testing.assert_allclose(found.difference, values)
