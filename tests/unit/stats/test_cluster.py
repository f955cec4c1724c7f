"""Clusters against labelling by scipy, draws against the tests they stand for, and how often nothing is found."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage, stats

from gradspec.stats.cluster import cluster_p, find_clusters, jackknife_draws, largest_mass, sign_flips
from gradspec.stats.noise_corrected_jackknife import noise_corrected_jackknife_t_test

trajectories = hnp.arrays(float, st.integers(1, 12), elements=st.one_of(st.floats(-5, 5), st.just(np.nan)))


def label(statistics, threshold):
    """Clusters of both signs by scipy's connected components, in the order of time."""
    found = []
    for sign in (1, -1):
        labels, count = ndimage.label(np.nan_to_num(sign * statistics) > threshold)
        for number in range(1, count + 1):
            members = np.flatnonzero(labels == number)
            found.append((members[0], members[-1] + 1, statistics[members].sum()))
    return sorted(found)


@given(trajectories, st.floats(0.0, 3.0))
def test_clusters_are_the_connected_components_of_each_sign(statistics, threshold):
    found = find_clusters(statistics, threshold)
    expected = label(statistics, threshold)
    assert [(one.start, one.stop) for one in found] == [one[:2] for one in expected]
    np.testing.assert_allclose([one.mass for one in found], [one[2] for one in expected])


@given(trajectories, st.floats(0.0, 3.0))
def test_largest_mass_is_that_of_the_clusters_found(statistics, threshold):
    expected = max((abs(one[2]) for one in label(statistics, threshold)), default=0.0)
    assert largest_mass(statistics[None], threshold)[0] == pytest.approx(expected)


def test_flipped_signs_give_the_paired_t_of_flipped_runs():
    differences = np.random.default_rng(0).normal(size=(6, 4, 2))
    draws = sign_flips(differences, 50, np.random.default_rng(1))
    signs = np.random.default_rng(1).choice([-1.0, 1.0], size=(50, 6))
    expected = [stats.ttest_1samp(one[:, None, None] * differences, 0.0).statistic for one in signs]
    np.testing.assert_allclose(draws, expected)


def test_draws_have_in_each_epoch_the_distribution_of_the_t_of_the_test():
    rng = np.random.default_rng(0)
    differences = rng.normal(size=(3, 5, 2)) * [1.0, 100.0] + 7.0
    draws = jackknife_draws(differences, 40, 20_000, rng)
    df = noise_corrected_jackknife_t_test(differences, 40).df
    for epoch in range(2):
        assert stats.kstest(draws[:, epoch], stats.t(df).cdf).pvalue > 0.001


def test_draws_correlate_over_epochs_as_the_folds_do():
    rng = np.random.default_rng(0)
    common = rng.normal(size=(3, 5, 1))
    differences = np.concatenate([common, 2 * common + 1, -common, rng.normal(size=(3, 5, 1))], axis=2)
    draws = jackknife_draws(differences, 40, 500, rng)
    np.testing.assert_allclose(draws[:, 1], draws[:, 0])
    np.testing.assert_allclose(draws[:, 2], -draws[:, 0])
    assert abs(stats.spearmanr(draws[:, 3], draws[:, 0]).statistic) < 0.9


def test_p_counts_the_draws_that_are_as_large_and_is_never_zero():
    clusters = find_clusters(np.array([3.0, 3.0, 0.0, -9.0]), 2.0)
    np.testing.assert_allclose(cluster_p(clusters, np.array([5.0, 6.0, 7.0])), [3 / 4, 1 / 4])
    assert len(cluster_p([], np.array([1.0]))) == 0


N_COHORTS = 400


def smooth(rng, shape):
    return ndimage.gaussian_filter1d(rng.normal(size=shape), 2.0, axis=-1)


def share_found(make, draw):
    """Share of cohorts with a cluster of p < 0.05, by a threshold of p < 0.05 in each epoch."""
    count = 0
    for seed in range(N_COHORTS):
        statistics, draws, df = draw(make(np.random.default_rng(seed)), np.random.default_rng([seed, 1]))
        threshold = stats.t.ppf(0.975, df)
        p_values = cluster_p(find_clusters(statistics, threshold), largest_mass(draws, threshold))
        count += (p_values < 0.05).any()
    return count / N_COHORTS


def by_flips(differences, rng):
    statistics = stats.ttest_1samp(differences, 0.0).statistic
    return statistics, sign_flips(differences, 199, rng), len(differences) - 1


def by_jackknife(differences, rng):
    result = noise_corrected_jackknife_t_test(differences, 40)
    return result.statistic, jackknife_draws(differences, 40, 199, rng), result.df


def folds(rng):
    """Two repeats of five folds over 40 people with smooth trajectories, and some noise of each training."""
    people = smooth(rng, (40, 15))
    runs = []
    for _ in range(2):
        left_out = np.split(rng.permutation(40), 5)
        runs.append([np.delete(people, members, axis=0).mean(axis=0) for members in left_out])
    return np.array(runs) + 0.05 * smooth(rng, (2, 5, 15))


AT_MOST = stats.binom(N_COHORTS, 0.05).ppf(0.999) / N_COHORTS


def test_flips_keep_the_level_where_runs_are_independent():
    assert (
        stats.binom(N_COHORTS, 0.05).ppf(0.001) / N_COHORTS
        <= share_found(lambda rng: smooth(rng, (10, 15)), by_flips)
        <= AT_MOST
    )


def test_the_jackknife_keeps_the_level_where_folds_share_people_and_flips_do_not():
    assert share_found(folds, by_jackknife) <= AT_MOST
    assert share_found(lambda rng: folds(rng).reshape(10, 15), by_flips) > 0.3


def test_a_difference_in_some_epochs_is_found_there():
    differences = folds(np.random.default_rng(0))
    differences[..., 5:10] += 1.0
    statistics, draws, df = by_jackknife(differences, np.random.default_rng(1))
    clusters = find_clusters(statistics, stats.t.ppf(0.975, df))
    p_values = cluster_p(clusters, largest_mass(draws, stats.t.ppf(0.975, df)))
    strongest = clusters[int(np.argmin(p_values))]
    assert p_values.min() < 0.05 and 3 <= strongest.start <= 6 and 9 <= strongest.stop <= 12
