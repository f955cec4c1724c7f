"""Equivalence against the library's two one-sided tests, and its level at the margin."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from gradspec.stats.corrected_t import corrected_resampled_t_test
from gradspec.stats.equivalence import equivalence_p


def paired_t(differences):
    return corrected_resampled_t_test(differences, 0.0)


@given(st.integers(0, 1000), st.floats(0.05, 0.5))
def test_with_a_known_level_it_is_the_two_one_sided_tests_of_statsmodels(seed, margin):
    """Where both groups' mean is 1 in every run, the margin is a fixed number."""
    half = np.random.default_rng(seed).normal(0.01, 0.05, size=8)
    expected, _, _ = DescrStatsW(2 * half).ttost_mean(-margin, margin)
    found = equivalence_p(paired_t, (1 - half)[:, None], (1 + half)[:, None], margin)
    assert found[0] == pytest.approx(expected)


def test_at_the_margin_it_finds_equivalence_in_no_more_than_five_percent():
    rng = np.random.default_rng(0)
    n = 4000
    reference = 10 + rng.normal(size=(12, n))
    comparison = 10.5 / 9.5 * reference + 0.3 * rng.normal(size=(12, n))  # 10 % of the mean of both
    rate = (equivalence_p(paired_t, reference, comparison, 0.1) < 0.05).mean()
    low, high = stats.binom(n, 0.05).ppf([0.0005, 0.9995]) / n
    assert low <= rate <= high


def test_groups_that_are_alike_are_found_so_and_a_scale_does_not_matter():
    rng = np.random.default_rng(1)
    reference = 10 + rng.normal(size=(12, 5))
    comparison = reference + 0.1 * rng.normal(size=(12, 5))
    found = equivalence_p(paired_t, reference, comparison, 0.1)
    assert (found < 1e-6).all()
    np.testing.assert_allclose(equivalence_p(paired_t, -7 * reference, -7 * comparison, 0.1), found)


def test_noise_is_no_evidence_of_equivalence():
    rng = np.random.default_rng(2)
    reference, comparison = 1 + rng.normal(size=(2, 6, 50))
    assert np.median(equivalence_p(paired_t, reference, comparison, 0.1)) > 0.3


def test_a_margin_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="must be positive"):
        equivalence_p(paired_t, np.ones((3, 1)), np.ones((3, 1)), 0.0)
