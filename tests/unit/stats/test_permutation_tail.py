"""Tails from few permutations: uniform where nothing differs, near what many count, and never too small."""

import numpy as np
import pytest
from scipy import stats

from gradspec.stats.permutation_tail import BETA, COUNTED, STUDENT, corrected_p, tail_p

N = 49


def standardise(differences):
    return (differences - differences.mean(axis=0)) / differences.std(axis=0)


def below(p_values, level):
    """Whether the share of p-values at or below a level is what it says, to four standard errors."""
    n = len(p_values)
    return np.mean(np.array(p_values) <= level) == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / n))


@pytest.mark.parametrize("n_values", [3, 12])
def test_a_sum_of_squares_keeps_its_level_as_a_fourth_root(n_values):
    rng = np.random.default_rng(0)
    z = standardise(rng.chisquare(n_values, (N + 1, 4000)) ** 0.25)
    p_values, methods = tail_p(z, two_sided=False)
    assert set(methods) == {COUNTED, STUDENT}
    assert all(method == COUNTED for p, method in zip(p_values, methods, strict=True) if p > 0.4)
    assert np.mean(p_values <= 0.01) <= 0.015
    assert 0.03 <= np.mean(p_values <= 0.05) <= 0.06


def test_a_tail_is_near_what_many_permutations_count():
    rng = np.random.default_rng(1)
    observed = np.quantile(rng.chisquare(6, 100_000), 0.99)
    values = np.vstack([np.full(200, observed), rng.chisquare(6, (N, 200))]) ** 0.25
    assert 0.007 <= np.median(tail_p(standardise(values), two_sided=False)[0]) <= 0.02


def test_students_tail_is_that_of_a_new_observation_and_keeps_its_level():
    rng = np.random.default_rng(2)
    p_values, methods = tail_p(standardise(rng.normal(3, 2, (N + 1, 4000))))
    assert set(methods) == {COUNTED, STUDENT}
    for level in (0.01, 0.05):
        assert below(p_values, level)
    values = np.append(9.0, rng.normal(3, 2, N))
    t = (values[0] - values[1:].mean()) / (values[1:].std(ddof=1) * np.sqrt(1 + 1 / N))
    expected = max(2 * stats.t.sf(abs(t), N - 1), 1 / (10 * (N + 1)))
    assert tail_p(standardise(values[:, None]))[0][0] == pytest.approx(expected)
    assert tail_p(standardise(-values[:, None]), two_sided=False)[0][0] == 1.0


def test_differences_that_are_not_normal_are_counted():
    values = np.append(50.0, np.random.default_rng(3).standard_cauchy(N))[:, None]
    p_values, methods = tail_p(standardise(values))
    assert methods == [COUNTED] and p_values[0] >= 1 / (N + 1)
    assert corrected_p(standardise(np.hstack([values, values**3])))[1] == COUNTED


def test_the_correction_keeps_its_level_over_tests_that_depend_on_each_other():
    rng = np.random.default_rng(4)
    smallest = []
    for _ in range(1000):
        corrected, method = corrected_p(standardise(rng.normal(size=(N + 1, 1)) + 0.7 * rng.normal(size=(N + 1, 8))))
        smallest.append(corrected.min())
        assert method in (BETA, COUNTED)
    assert below(smallest, 0.05)


def test_no_p_is_below_a_tenth_of_what_can_be_counted_and_few_permutations_are_counted():
    far = np.append(100.0, np.random.default_rng(5).normal(size=N))
    least = 1 / (10 * (N + 1))
    for p_values, _ in (tail_p(standardise(far[:, None])), corrected_p(standardise(far[:, None]))):
        assert p_values[0] == least
    few = standardise(far[:10, None])
    assert tail_p(few) == (0.1, [COUNTED]) and corrected_p(few) == (0.1, COUNTED)


def test_what_is_not_tested_stays_so():
    z = standardise(np.random.default_rng(6).normal(size=(N + 1, 2)))
    z[:, 0] = np.nan
    p_values, methods = tail_p(z)
    assert np.isnan(p_values[0]) and methods[0] == "" and p_values[1] > 0
