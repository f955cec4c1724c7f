"""The benchmark of the tests: seeded, and networks that learn random labels give what is claimed of them."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

N_COHORTS = 20


@pytest.fixture
def calibration(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[3])
    return import_module("benchmarks.calibration")


def test_random_labels_mislead_the_ordinary_test_but_not_the_jackknife(calibration):
    table = calibration.measure(N_COHORTS, designs=[(2, 5)], sizes=[0.0]).set_index("test")
    rates = table[calibration.NAMES] / 100
    assert list(table.index) == list(calibration.TESTS)
    at_most = stats.binom(N_COHORTS, 0.05).ppf(0.999) / N_COHORTS
    assert (rates.loc["noise-corrected jackknife t"] <= at_most).all()
    assert (rates.loc["ordinary paired t"] >= rates.loc["corrected resampled t"]).all()
    assert rates.loc["ordinary paired t"].mean() > at_most


def test_the_same_seed_gives_the_same_networks(calibration):
    one, same, other = (calibration.train_cohort(seed, 0.5, 2, 3) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert one.shape == (2, 3, 4) and not np.isclose(one, other).any()


def test_a_large_planted_difference_is_found(calibration):
    table = calibration.measure(4, designs=[(2, 5)], sizes=[1.0])
    found = table.set_index("test")["effective_rank"]
    pd.testing.assert_series_equal(found, pd.Series(100.0, index=found.index), check_names=False)


def test_the_plain_jackknife_of_the_benchmark_is_the_one_of_the_library(calibration):
    """With one repeat there is no noise to take off."""
    differences = np.random.default_rng(0).normal(size=(1, 5, 3))
    library = calibration.TESTS["noise-corrected jackknife t"](differences)
    np.testing.assert_allclose(calibration.jackknife_p(differences), library)
