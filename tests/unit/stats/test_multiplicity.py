"""Corrections against their definitions, worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradspec.stats.multiplicity import CORRECTIONS, correct, interval_level

P_VALUES = np.array([0.04, np.nan, 0.01, 0.03, 0.005])  # of four tests; the other was not done
HARMONIC = 1 + 1 / 2 + 1 / 3 + 1 / 4
BY_HAND = {
    "holm": [0.06, np.nan, 0.03, 0.06, 0.02],  # 4 · 0.005, 3 · 0.01, 2 · 0.03, and never less than the one before
    "benjamini-hochberg": [0.04, np.nan, 0.02, 0.04, 0.02],  # 4/1 · 0.005, 4/2 · 0.01, 4/3 · 0.03, 4/4 · 0.04
    "benjamini-yekutieli": HARMONIC * np.array([0.04, np.nan, 0.02, 0.04, 0.02]),
}


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_corrected_p_values_are_those_worked_out_by_hand(correction):
    np.testing.assert_allclose(correct(P_VALUES, correction), BY_HAND[correction])


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_where_nothing_was_tested_nothing_is_corrected(correction):
    assert np.isnan(correct(np.full(3, np.nan), correction)).all()


@pytest.mark.parametrize("correction", CORRECTIONS)
@given(p_values=st.lists(st.floats(1e-6, 1) | st.just(float("nan")), min_size=1, max_size=30))
def test_an_interval_holds_zero_exactly_where_the_corrected_p_is_not_below_the_level(correction, p_values):
    """The interval of level a of a test with p holds zero where p is not below a."""
    p_values = np.array(p_values)
    levels, corrected = interval_level(p_values, correction, 0.05), correct(p_values, correction)
    on_the_edge = np.isclose(p_values, levels, rtol=1e-9) | np.isclose(corrected, 0.05, rtol=1e-9)
    tested = ~np.isnan(p_values) & ~on_the_edge
    np.testing.assert_array_equal((p_values < levels)[tested], (corrected < 0.05)[tested])
    assert (levels <= 0.05 + 1e-12).all()


def test_the_levels_of_intervals_are_those_worked_out_by_hand():
    p_values = np.array([0.001, 0.3, np.nan, 0.012, 0.9])
    np.testing.assert_allclose(interval_level(p_values, "benjamini-hochberg", 0.05), 0.05 * 2 / 4)
    np.testing.assert_allclose(
        interval_level(p_values, "holm", 0.05), [0.05 / 3, 0.05 / 2, 0.05 / 2, 0.05 / 3, 0.05 / 2]
    )
    np.testing.assert_allclose(interval_level(np.full(2, np.nan), "holm", 0.05), 0.05)
