"""Permutation against scipy, family-wise level of the maximum, and regrouping of a network that really trained."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gradspec.capture import SpectraRecorder
from gradspec.spectra.features import effective_rank
from gradspec.stats.permutation import max_permutation_p, permutation_p, permute_by_regrouping, permute_labels


@given(st.integers(0, 1000), st.integers(2, 20), st.integers(1, 3))
def test_permuted_labels_keep_the_size_of_every_group_in_every_stratum(seed, n, n_strata):
    rng = np.random.default_rng(seed)
    labels, strata = rng.integers(0, 2, n), rng.integers(0, n_strata, n)
    for one in permute_labels(labels, 5, rng, strata):
        for stratum in range(n_strata):
            assert sorted(one[strata == stratum]) == sorted(labels[strata == stratum])


def test_every_arrangement_is_drawn_about_equally_often():
    permuted = permute_labels(np.array([0, 0, 1, 1]), 6000, np.random.default_rng(0))
    _, counts = np.unique(permuted, axis=0, return_counts=True)
    assert len(counts) == 6 and stats.chisquare(counts).pvalue > 0.001


def test_p_values_are_those_of_scipy_for_the_same_statistic():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=9), rng.normal(size=7) + 0.8
    values, labels = np.concatenate([x, y]), np.repeat([0, 1], [9, 7])

    def difference(labels):
        return values[labels == 1].mean() - values[labels == 0].mean()

    permuted = np.array([difference(one) for one in permute_labels(labels, 9999, rng)])
    expected = stats.permutation_test((x, y), lambda a, b: a.mean() - b.mean(), n_resamples=9999, rng=rng)
    assert permutation_p(np.array(difference(labels)), permuted) == pytest.approx(expected.pvalue, abs=0.02)


def test_p_is_never_zero_and_undefined_stays_so():
    permuted = np.zeros((9, 2))
    np.testing.assert_allclose(permutation_p(np.array([5.0, np.nan]), permuted), [0.1, np.nan])


def test_the_maximum_bounds_false_discoveries_in_the_whole_family_of_correlated_tests():
    rng = np.random.default_rng(0)
    n, any_found, any_naive = 300, 0, 0
    for _ in range(n):
        draws = rng.normal(size=(200, 20)) + rng.normal(size=(200, 1))
        any_found += (max_permutation_p(draws[0], draws[1:]) < 0.05).any()
        any_naive += (permutation_p(draws[0], draws[1:]) < 0.05).any()
    low, high = stats.binom(n, 0.05).ppf([0.001, 0.999]) / n
    assert low <= any_found / n <= high < any_naive / n


N_SAMPLES, N_FEATURES = 24, 6


def train(seed, spread=1.0):
    """A network that learns a random target in batches without regard to the groups, and the labels of the groups."""
    torch.manual_seed(seed)
    labels = np.random.default_rng(seed).permutation(np.repeat([0, 1], N_SAMPLES // 2))
    x = torch.randn(N_SAMPLES, N_FEATURES)
    x[torch.from_numpy(labels == 1), 1:] *= spread
    y = torch.randint(0, 2, (N_SAMPLES,))
    model = torch.nn.Sequential(torch.nn.Linear(N_FEATURES, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder = SpectraRecorder(model, ["a", "b"], keep_grams=True)
    for _ in range(2):
        for batch in torch.randperm(N_SAMPLES).split(12):
            optimizer.zero_grad()
            with recorder.step(torch.from_numpy(labels)[batch], samples=batch):
                torch.nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    return recorder, labels


def rank_difference(tree):
    ranks = np.nanmean(effective_rank(tree["0.weight"]["gradient"].values), axis=0)
    return np.array([ranks[1] - ranks[0]])


def permute(recorder, labels, n_permutations=39, seed=0):
    return permute_by_regrouping(
        recorder, rank_difference, labels, ["a", "b"], n_permutations=n_permutations, seed=seed
    )


def test_regrouping_by_the_labels_of_training_gives_the_recorded_spectra():
    recorder, labels = train(0)
    observed, permuted = permute(recorder, labels, 5)
    np.testing.assert_allclose(observed, rank_difference(recorder.spectra()), rtol=1e-6)
    again = permute(recorder, labels, 5)[1]
    np.testing.assert_array_equal(permuted, again)
    expected = [
        rank_difference(recorder.regroup(torch.from_numpy(one), ["a", "b"]))
        for one in permute_labels(labels, 5, np.random.default_rng(0))
    ]
    np.testing.assert_allclose(permuted, expected)


def test_regrouping_finds_groups_that_fill_fewer_directions():
    p_values = [permutation_p(*permute(*train(seed, spread=0.05)))[0] for seed in range(3)]
    assert max(p_values) <= 0.05
