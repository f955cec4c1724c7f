"""Corrections against their definitions, worked out by hand."""

import numpy as np
import pytest

from gradspec.stats.multiplicity import CORRECTIONS, correct

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
