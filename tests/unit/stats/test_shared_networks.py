"""Performance against chance: by hand, by permutations, at its limits, and its level where nothing is learnt."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_groups import learn_random_groups
from scipy import stats

from gradspec.stats.shared_networks import VARIANCE_FACTOR, p_against_chance

PATIENTS = np.array([True, True, False, False, False])


def as_if_independent(p_values):
    """The same tests without the factor."""
    return 2 * stats.norm.sf(stats.norm.isf(np.array(p_values) / 2) * np.sqrt(VARIANCE_FACTOR))


def test_hand_computation():
    votes = np.array([4.0, 5.0, 1.0, 2.0, 3.0])  # means 4.5 and 2, s² = 2.5, variance 2 · 2.5 · (1/2 + 1/3)
    assert p_against_chance(votes, PATIENTS) == pytest.approx(2 * stats.norm.sf(2.5 / np.sqrt(2 * 2.5 * 5 / 6)))


def test_without_the_factor_it_is_the_rank_sum_test():
    rng = np.random.default_rng(0)
    scores, group = rng.normal(size=40).round(1), np.arange(40) % 3 == 0
    expected = stats.mannwhitneyu(scores[group], scores[~group], use_continuity=False, method="asymptotic")
    assert as_if_independent(p_against_chance(stats.rankdata(scores), group)) == pytest.approx(expected.pvalue)


def test_the_variance_is_that_of_permutations():
    rng = np.random.default_rng(1)
    votes, group = rng.exponential(size=30), np.arange(30) < 12
    drawn = np.array([rng.permutation(votes) for _ in range(20_000)])
    deviation = np.sqrt(VARIANCE_FACTOR) * (drawn[:, group].mean(axis=1) - drawn[:, ~group].mean(axis=1)).std()
    expected = 2 * stats.norm.sf(abs(votes[group].mean() - votes[~group].mean()) / deviation)
    assert p_against_chance(votes, group) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("votes", [np.full(5, 0.5), np.array([0.5, np.nan, 0.7, 0.1, 0.2])])
def test_what_does_not_vary_or_is_not_defined_has_no_p_value(votes):
    assert np.isnan(p_against_chance(votes, PATIENTS))


@given(st.integers(0, 1000), st.floats(0.1, 10), st.floats(-5, 5))
def test_unit_and_direction_of_the_votes_do_not_matter(seed, scale, shift):
    votes = np.random.default_rng(seed).normal(size=5)
    p_value = p_against_chance(votes, PATIENTS)
    assert p_against_chance(shift - scale * votes, PATIENTS) == pytest.approx(p_value)
    assert p_against_chance(votes, ~PATIENTS) == pytest.approx(p_value)


@pytest.mark.parametrize("decay", [0, 1, 3])
def test_random_groups_are_told_apart_in_no_more_than_one_cohort_of_twenty(decay):
    """Whether many directions hold the variance of the features, or (decay 3) hardly more than one."""
    n = 1000
    p_values = []
    for seed in range(n):
        sign, score = learn_random_groups(seed, decay)
        p_values.append(p_against_chance(stats.rankdata(score), sign > 0))
    low, high = stats.binom(n, 0.05).ppf([0.0005, 0.9995]) / n
    rejected = np.mean(np.array(p_values) < 0.05)
    assert rejected <= high < np.mean(as_if_independent(p_values) < 0.05)
    assert rejected >= low or decay


@pytest.mark.parametrize("n_people", [5, 7, 30, 41])
def test_equal_votes_say_nothing_whatever_rounding_makes_of_their_mean(n_people):
    for vote in (0.1, 1 / 3, 2 / 3, 20.3):
        assert np.isnan(p_against_chance(np.full(n_people, vote), np.arange(n_people) < 2))
