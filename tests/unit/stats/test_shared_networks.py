"""Performance against chance: by hand, at its limits, and its level where nothing is learnt."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_groups import learn_random_groups
from scipy import stats

from gradspec.stats.metrics import roc_auc
from gradspec.stats.performance import bootstrap_counts
from gradspec.stats.shared_networks import VARIANCE_FACTOR, p_against_chance


def test_hand_computation():
    resamples = np.array([0.6, 0.7, 0.8])  # standard deviation 0.1, enlarged 0.1 · √2
    assert p_against_chance(0.7, resamples, 0.5) == pytest.approx(2 * stats.norm.sf(2 / np.sqrt(2)))


@pytest.mark.parametrize("resamples", [np.full(5, 0.5), np.array([0.5, np.nan, 0.7])])
def test_what_does_not_vary_or_is_not_defined_has_no_p_value(resamples):
    assert np.isnan(p_against_chance(0.6, resamples, 0.5))


@given(st.floats(0, 1), st.integers(0, 100))
def test_above_and_below_chance_are_alike(estimate, seed):
    resamples = np.random.default_rng(seed).normal(size=20)
    above, below = (p_against_chance(value, resamples, 0.5) for value in (estimate, 1 - estimate))
    assert above == pytest.approx(below, rel=1e-9)


def test_random_groups_are_told_apart_in_one_cohort_of_twenty():
    n = 400
    p_values = []
    for seed in range(n):
        sign, score = learn_random_groups(seed)
        rng = np.random.default_rng(seed)
        weights = np.concatenate([np.ones((1, len(sign))), bootstrap_counts(sign > 0, 200, rng)])
        estimate, *resamples = roc_auc(sign > 0, score, weights)
        p_values.append(p_against_chance(estimate, np.array(resamples), 0.5))
    as_if_independent = 2 * stats.norm.sf(stats.norm.isf(np.array(p_values) / 2) * np.sqrt(VARIANCE_FACTOR))
    low, high = stats.binom(n, 0.05).ppf([0.0005, 0.9995]) / n
    assert low <= np.mean(np.array(p_values) < 0.05) <= high < np.mean(as_if_independent < 0.05)
