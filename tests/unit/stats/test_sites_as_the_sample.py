"""Where sites are left out, repeats add no people: sites are the sample."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gradspec.stats.cluster import cluster_p, find_clusters, jackknife_draws, largest_mass
from gradspec.stats.corrected_t import corrected_resampled_t_test, mean_overlap
from gradspec.stats.group_differences import SITES, TESTS, choose_test
from gradspec.stats.noise_corrected_jackknife import noise_corrected_jackknife_t_test
from gradspec.stats.runs import has_one_partition

N_SITES, N_REPEATS, N_COHORTS, N_PEOPLE = 4, 6, 4000, 80


def draw(rng, n_tests, noise=0.3):
    """Differences of runs that each leave out a site; sites have effects of their own, around zero."""
    sites = rng.normal(size=(N_SITES, n_tests))
    left = (sites.sum(axis=0) - sites) / (N_SITES - 1)
    return left + noise * rng.normal(size=(N_REPEATS, N_SITES, n_tests))


def make_splits(same):
    rng = np.random.default_rng(0)
    rows = []
    for repeat in range(3):
        fold_of = np.arange(12) % 3 if same else rng.permutation(12) % 3
        for fold in rng.permutation(3) if same else range(3):
            rows += [(repeat, fold, f"sub-{i:02}", "test" if fold_of[i] == fold else "train") for i in range(12)]
    return pd.DataFrame(rows, columns=["repeat", "fold", "participant_id", "set"])


RUNS = [(repeat, fold) for repeat in range(3) for fold in range(3)]


def test_the_level_is_kept_with_the_sites_as_the_sample_and_not_with_people():
    differences = draw(np.random.default_rng(0), N_COHORTS)
    rates = {
        one: (noise_corrected_jackknife_t_test(differences, N_PEOPLE, one_partition=one).p_value <= 0.05).mean()
        for one in (True, False)
    }
    most = stats.binom(N_COHORTS, 0.05).ppf(0.999) / N_COHORTS
    assert rates[True] <= most < rates[False]


def test_the_corrected_t_keeps_its_level_too():
    differences = draw(np.random.default_rng(0), N_COHORTS).reshape(N_REPEATS * N_SITES, -1)
    site = np.arange(N_PEOPLE) % N_SITES
    is_training = np.tile(site != np.arange(N_SITES)[:, None], (N_REPEATS, 1))
    found = corrected_resampled_t_test(differences, mean_overlap(is_training), df=N_SITES - 1)
    assert (found.p_value <= 0.05).mean() <= stats.binom(N_COHORTS, 0.05).ppf(0.999) / N_COHORTS


@pytest.mark.parametrize("sizes", [(10, 20, 40, 80), (5, 10, 30, 100)])
@pytest.mark.parametrize(("noise", "most"), [(0.2, 0.065), (0.0, 0.15)])
def test_sites_of_unequal_size_make_both_tests_too_eager_only_where_training_has_hardly_any_noise(sizes, noise, most):
    """The figures of docs/explanation/statistics.md: sites are taken for equally large."""
    rng = np.random.default_rng(0)
    share = np.array(sizes) * ~np.eye(N_SITES, dtype=bool)
    left = share / share.sum(axis=1, keepdims=True) @ rng.normal(size=(N_SITES, N_COHORTS))
    differences = np.tile(left, (3, 1))
    differences = differences + noise * differences.std() * rng.normal(size=differences.shape)
    is_training = np.tile(np.repeat(~np.eye(N_SITES, dtype=bool), sizes, axis=1), (3, 1))
    corrected = corrected_resampled_t_test(differences, mean_overlap(is_training), df=N_SITES - 1)
    by_repeat = differences.reshape(3, N_SITES, -1)
    jackknife = noise_corrected_jackknife_t_test(by_repeat, sum(sizes), one_partition=True)
    for test in (corrected, jackknife):
        assert (test.p_value <= 0.05).mean() <= most


def test_clusters_keep_their_level_too():
    rng = np.random.default_rng(1)
    found, n_cohorts = 0, 40
    for _ in range(n_cohorts):
        differences = draw(rng, 1) + 0.1 * rng.normal(size=(N_REPEATS, N_SITES, 6))
        result = noise_corrected_jackknife_t_test(differences, N_PEOPLE, one_partition=True)
        cutoff = float(stats.t.ppf(0.975, result.df))
        draws = jackknife_draws(differences, N_PEOPLE, 99, rng, one_partition=True)
        clusters = find_clusters(result.statistic, cutoff)
        found += cluster_p(clusters, largest_mass(draws, cutoff)).min(initial=1.0) <= 0.05
    assert found <= stats.binom(n_cohorts, 0.05).ppf(0.999)


def test_draws_have_the_spread_of_the_test_in_every_epoch():
    rng = np.random.default_rng(2)
    draws = jackknife_draws(draw(rng, 3), N_PEOPLE, 20_000, rng, one_partition=True)
    for epoch in draws.T:
        assert stats.kstest(epoch, stats.t(N_SITES - 1).cdf).pvalue > 1e-4


def test_one_repeat_is_as_before():
    differences = draw(np.random.default_rng(3), 5)[:1]
    one, other = (noise_corrected_jackknife_t_test(differences, N_PEOPLE, one_partition=flag) for flag in (True, False))
    np.testing.assert_array_equal(one.p_value, other.p_value)


def test_the_partition_is_recognised_whatever_the_order_of_the_folds_and_the_test_says_so():
    assert has_one_partition(make_splits(same=True)) and not has_one_partition(make_splits(same=False))
    once = make_splits(same=True)
    assert not has_one_partition(once[once["repeat"] == 0])
    for same in (True, False):
        for of_config in TESTS:
            test, name = choose_test(make_splits(same), RUNS, "mlp", of_config, 0.05)
            assert (SITES in name) == same
            df = test(np.random.default_rng(0).normal(size=(9, 1))).df
            assert (df == pytest.approx(2)) == same
