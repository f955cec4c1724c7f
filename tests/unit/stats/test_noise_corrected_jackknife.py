"""The noise-corrected jackknife: by hand, as a posterior by simulation, its symmetries, and its level and power."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from gradspec.stats.noise_corrected_jackknife import noise_corrected_jackknife_t_test as jackknife_test

N_COHORTS, N_PARTICIPANTS = 3000, 40

differences = hnp.arrays(
    float,
    st.tuples(st.integers(1, 5), st.integers(2, 6)).filter(lambda shape: shape[0] * shape[1] > 2),
    elements=st.integers(-50, 50).map(lambda value: value / 10),
)


def simulate_cohorts(repeats, folds, noise_share, effect=0.0, seed=0):
    """Differences (repeat, fold, cohort): mean effect of the training participants, plus noise.

    `noise_share` is that of noise in the variance within repeats; `effect` is in standard errors of the mean.
    """
    rng = np.random.default_rng([seed, repeats, folds])
    spread = np.sqrt((1 - noise_share) * (folds - 1) ** 2 * N_PARTICIPANTS / folds)
    people = spread * rng.normal(size=(N_PARTICIPANTS, N_COHORTS))
    runs = []
    for _ in range(repeats):
        left_out = np.array_split(rng.permutation(N_PARTICIPANTS), folds)
        runs.append([np.delete(people, members, axis=0).mean(axis=0) for members in left_out])
    noise = np.sqrt(noise_share) * rng.normal(size=(repeats, folds, N_COHORTS))
    true_error = np.sqrt(spread**2 / N_PARTICIPANTS + noise_share / (repeats * folds))
    return np.array(runs) + noise + effect * true_error


def share_rejected(values):
    return float((jackknife_test(values, N_PARTICIPANTS).p_value < 0.05).mean())


def plain_jackknife_p(values):
    """P-values of c W with the same degrees of freedom, the noise not taken off."""
    folds = values.shape[1]
    variance = (folds - 1) ** 2 / folds * values.var(axis=1, ddof=1).mean(axis=0)
    df = jackknife_test(values, N_PARTICIPANTS).df
    return 2 * stats.t(df).sf(np.abs(values.mean(axis=(0, 1))) / np.sqrt(variance))


def test_hand_computation_with_one_repeat_is_the_delete_fold_jackknife():
    found = jackknife_test(np.array([[1.0, 2.0, 6.0]]), 12)
    # mean 3, W = (4 + 1 + 9) / 2 = 7, variance of the mean 4/3 · 7, 2 degrees of freedom
    error = (28 / 3) ** 0.5
    assert found.difference == pytest.approx(3)
    assert found.df == pytest.approx(2)
    assert found.statistic == pytest.approx(3 / error)
    assert found.p_value == pytest.approx(2 * stats.t(2).sf(3 / error))
    margin = stats.t(2).ppf(0.975) * error
    assert (found.ci_low, found.ci_high) == (pytest.approx(3 - margin), pytest.approx(3 + margin))
    assert found.effect_size == pytest.approx(3 / 7**0.5)


def test_hand_computation_with_two_repeats():
    """The posterior means of the docstring, by summing over the density of u on a fine grid."""
    values = np.array([[1.0, 2.0, 6.0], [5.0, 3.0, 7.0]])
    # repeat means 3 and 5; W = (14 + 8) / 4 = 5.5; B = 3 · 2 = 6; 1/df = 1/8 + (1/2 - 1/8) / 2 = 5/16
    found = jackknife_test(values, 10)
    assert found.df == pytest.approx(3.2)
    sum_within, sum_between = 3.2 * 5.5, 1 * 6.0
    edge = sum_within / (sum_within + sum_between)
    u = (np.arange(1_000_000) + 0.5) / 1_000_000 * edge
    weight = u ** (5.2 / 2 - 1) * (1 - u) ** (3 / 2 - 1)
    weight /= weight.sum()
    scale = 3.2 + 1 + 2  # 1 / χ² of ν + 4 degrees of freedom has the mean 1 / (ν + 2)
    within, noise = (weight / u).sum() * sum_within / scale, (weight / (1 - u)).sum() * sum_between / scale
    variance = 4 / 3 * (within - noise) + noise / 6
    assert 0 < noise < within
    assert found.statistic == pytest.approx(4 / variance**0.5, rel=1e-6)


def test_variances_are_the_means_of_draws_in_which_noise_is_no_larger():
    """The posterior of Tiao and Tan by rejection sampling."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4, 5)) + 0.4
    within = values.var(axis=1, ddof=1).mean()
    between = 5 * values.mean(axis=1).var(ddof=1)
    df = jackknife_test(values, 40).df
    draws_within = df * within / rng.chisquare(df + 2, size=400_000)
    draws_between = 3 * between / rng.chisquare(5, size=400_000)
    kept = draws_between <= draws_within
    variance = (16 / 5 * (draws_within - draws_between) + draws_between / 20)[kept].mean()
    assert 0.1 < kept.mean() < 0.99
    assert jackknife_test(values, 40).statistic == pytest.approx(values.mean() / np.sqrt(variance), rel=0.01)


def test_degrees_of_freedom_are_those_of_a_mean_square_over_random_partitions():
    """2 (mean)² / variance of W over cohorts and partitions of participants without noise, here without groups."""
    rng = np.random.default_rng(3)
    people = rng.normal(size=(20_000, 12))
    squares = [
        rng.permuted(people, axis=1).reshape(-1, 4, 3).mean(axis=2).var(axis=1, ddof=1) for _ in range(6)
    ]  # six repeats of four folds
    mean_square = np.mean(squares, axis=0)
    expected = jackknife_test(rng.normal(size=(6, 4)), 13).df  # 13 - 2 = 11 = 12 - 1
    assert 2 * mean_square.mean() ** 2 / mean_square.var() == pytest.approx(expected, rel=0.05)
    assert expected < 11 < 6 * 3


def test_repeats_without_noise_give_the_plain_jackknife():
    values = np.array([[1.0, 2.0, 6.0, 4.0], [6.0, 1.0, 2.0, 4.0], [4.0, 2.0, 1.0, 6.0]])  # equal repeat means
    assert jackknife_test(values, N_PARTICIPANTS).p_value == pytest.approx(plain_jackknife_p(values))


@given(differences, st.sampled_from([-8.0, -1.0, 0.25, 4.0]), st.integers(-5, 5))
def test_scale_and_shift(values, factor, shift):
    found, scaled = jackknife_test(values, 20), jackknife_test(factor * values, 20)
    np.testing.assert_allclose(scaled.statistic, np.sign(factor) * found.statistic, rtol=1e-7, atol=1e-7)
    moved = jackknife_test(values + shift, 20)
    width = found.ci_high - found.ci_low
    if np.ptp(values) > 0:
        np.testing.assert_allclose(moved.difference, found.difference + shift, atol=1e-9)
        np.testing.assert_allclose(moved.ci_high - moved.ci_low, width, rtol=1e-6, atol=1e-7)


@given(differences, st.randoms(use_true_random=False))
def test_order_of_repeats_and_of_folds_within_them_does_not_matter(values, random):
    shuffled = [random.sample(list(row), len(row)) for row in values]
    random.shuffle(shuffled)
    found, other = jackknife_test(values, 20), jackknife_test(np.array(shuffled), 20)
    np.testing.assert_allclose(other.p_value, found.p_value, rtol=1e-6, atol=1e-9)


@given(differences)
def test_it_is_never_surer_than_the_ordinary_paired_t_test(values):
    found = jackknife_test(values, 20)
    if values.shape[0] > 1 and np.isfinite(found.p_value):
        assert found.p_value >= stats.ttest_1samp(values.ravel(), 0.0).pvalue - 1e-9


@given(differences, st.floats(0.001, 0.2))
def test_interval_holds_zero_exactly_where_the_test_does_not_reject(values, alpha):
    found = jackknife_test(values, 20, alpha)
    if np.isfinite(found.p_value) and abs(found.p_value - alpha) > 1e-9:
        assert (found.ci_low <= 0 <= found.ci_high) == (found.p_value > alpha)


def test_every_test_of_an_array_is_done_alone():
    values = np.random.default_rng(0).normal(size=(3, 4, 6))
    together = jackknife_test(values, 20)
    alone = [jackknife_test(values[..., test], 20).p_value for test in range(6)]
    np.testing.assert_allclose(together.p_value, alone)


@pytest.mark.parametrize("repeats", [1, 3])
def test_no_variation_and_undefined_runs_give_no_statistic(repeats):
    values = np.random.default_rng(0).normal(size=(repeats, 4, 3))
    values[..., 0] = 2.0
    values[0, 1, 1] = np.nan
    found = jackknife_test(values, 20)
    assert np.isnan(found.p_value[:2]).all() and np.isfinite(found.p_value[2])


@pytest.mark.parametrize(("folds", "spread"), [(5, 0.1), (5, 1e-12), (40, 1e-9)])
def test_repeats_that_differ_more_than_the_model_allows_set_the_error_themselves(folds, spread):
    """Also where the incomplete beta function underflows (the last case)."""
    noise = np.random.default_rng(0).normal(size=(3, folds))
    noise -= noise.mean(axis=1, keepdims=True)
    values = np.array([0.0, 1.0, 3.0])[:, None] + spread * noise
    repeats_alone = stats.ttest_1samp([0.0, 1.0, 3.0], 0.0).statistic
    assert 0.8 * repeats_alone < jackknife_test(values, 2000).statistic < repeats_alone + 1e-6


def test_nothing_jumps_where_the_incomplete_beta_function_underflows():
    noise = np.random.default_rng(0).normal(size=(3, 40))
    noise -= noise.mean(axis=1, keepdims=True)
    spreads = np.geomspace(1e-4, 1e-12, 200)[:, None, None]
    values = np.moveaxis(np.array([0.0, 1.0, 3.0])[:, None] + spreads * noise, 0, -1)
    statistic = jackknife_test(values, 2000).statistic
    np.testing.assert_allclose(statistic, statistic[0], rtol=1e-5)


@pytest.mark.parametrize(("shape", "n_participants"), [((3, 1), 20), ((3, 4), 3)])
def test_one_fold_or_hardly_any_participants_are_refused(shape, n_participants):
    with pytest.raises(ValueError, match="at least 2 folds and 4 participants"):
        jackknife_test(np.ones(shape), n_participants)


@pytest.mark.parametrize("noise_share", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize(("repeats", "folds"), [(1, 5), (2, 5), (4, 5), (3, 10), (4, 2)])
def test_level_is_kept_whatever_the_share_of_noise(repeats, folds, noise_share):
    rejected = share_rejected(simulate_cohorts(repeats, folds, noise_share))
    low, high = stats.binom(N_COHORTS, 0.05).ppf([0.0005, 0.9995]) / N_COHORTS
    assert rejected <= high
    if noise_share == 0:  # exact there
        assert rejected >= low


def test_power_rises_with_the_difference():
    power = [share_rejected(simulate_cohorts(4, 5, 0.5, effect)) for effect in (0.0, 2.0, 3.0, 5.0)]
    assert all(np.diff(power) > 0.1)
    assert power[-1] > 0.9


def test_it_finds_more_than_the_plain_jackknife_where_training_is_noisy():
    values = simulate_cohorts(4, 5, 0.8, effect=4.0)
    assert share_rejected(values) > 0.2 + (plain_jackknife_p(values) < 0.05).mean()


def test_interval_covers_the_mean_over_people():
    values = simulate_cohorts(4, 5, 0.1)
    found = jackknife_test(values + 3.0, N_PARTICIPANTS)
    low, high = stats.binom(N_COHORTS, 0.95).ppf([0.0005, 0.9995]) / N_COHORTS
    assert low <= np.mean((found.ci_low <= 3) & (found.ci_high >= 3)) <= high
