"""Participant level: dual regression against a loop, and what empirical Bayes gains."""

import numpy as np
import pytest

from gradspec.errors import ParticipantError
from gradspec.ica.images import prepare
from gradspec.ica.participant import MapPrior, RunMaps, spatial_regression, temporal_regression


@pytest.fixture(scope="module")
def regressed(make_group):
    """A group in which people differ, with the dual-regression maps of each, and the prior."""
    group = make_group(21, n_participants=16)
    maps = (group.maps - group.maps.mean(axis=1, keepdims=True)).astype(np.float32)
    runs, prior = [], MapPrior()
    for signal in group.signals:
        prepared = prepare(signal)
        runs.append(temporal_regression(prepared, spatial_regression(prepared, maps)))
        prior.add(runs[-1])
    return group, runs, prior


def mean_correlation(maps, truth):
    return np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(np.concatenate(maps), np.concatenate(truth), strict=True)])


def test_dual_regression_is_two_least_squares_fits():
    rng = np.random.default_rng(0)
    maps, signal = rng.standard_normal((4, 200)), rng.standard_normal((30, 200))
    timecourses = spatial_regression(signal, maps)
    for t in range(30):
        np.testing.assert_allclose(timecourses[t], np.linalg.lstsq(maps.T, signal[t], rcond=None)[0], rtol=1e-9)
    design = (timecourses - timecourses.mean(axis=0)) / timecourses.std(axis=0)
    run = temporal_regression(signal, timecourses)
    for v in range(200):
        beta, rest, *_ = np.linalg.lstsq(design, signal[:, v], rcond=None)
        np.testing.assert_allclose(run.maps[:, v], beta, rtol=1e-8)
        assert run.noise[v] == pytest.approx(rest[0] / (30 - 4 - 2))
    assert (run.leverage >= np.diag(np.linalg.inv(design.T @ design)) - 1e-12).all()


@pytest.mark.parametrize("persistence", [0.0, 0.6])
def test_the_sampling_variance_is_what_repetition_shows(persistence):
    rng = np.random.default_rng(1)

    def process(*shape):
        series = rng.standard_normal(shape)
        for t in range(1, len(series)):
            series[t] += persistence * series[t - 1]
        return series

    runs = [temporal_regression(prepare(process(150, 40)), process(150, 3)) for _ in range(200)]
    observed = np.var([run.maps for run in runs], axis=0).mean()
    stated = np.mean([np.outer(run.leverage, run.noise) for run in runs])
    assert stated == pytest.approx(observed, rel=0.15)


def test_empirical_bayes_brings_maps_nearer_to_the_truth(regressed):
    group, runs, prior = regressed
    dual = mean_correlation([run.maps for run in runs], group.own_maps)
    shrunk = mean_correlation([prior.shrink(run) for run in runs], group.own_maps)
    assert shrunk > dual + 0.15


def test_empirical_bayes_keeps_what_is_peculiar_to_a_participant(regressed):
    group, runs, prior = regressed
    shrunk = np.stack([prior.shrink(run) for run in runs])
    peculiar = mean_correlation(shrunk - shrunk.mean(axis=0), group.own_maps - group.own_maps.mean(axis=0))
    dual = np.stack([run.maps for run in runs])
    assert peculiar > mean_correlation(dual - dual.mean(axis=0), group.own_maps - group.own_maps.mean(axis=0))


def test_a_certain_map_stays_and_an_uncertain_one_becomes_the_mean():
    rng = np.random.default_rng(2)
    prior = MapPrior()
    runs = [RunMaps(rng.standard_normal((2, 30)), np.full(30, 1e-3), np.ones(2)) for _ in range(5)]
    for run in runs:
        prior.add(run)
    np.testing.assert_allclose(prior.mean, np.mean([run.maps for run in runs], axis=0))
    expected = np.maximum(np.var([run.maps for run in runs], axis=0, ddof=1) - 1e-3, 0)
    np.testing.assert_allclose(prior.variance, expected, atol=1e-12)
    certain = RunMaps(runs[0].maps, np.full(30, 1e-12), np.ones(2))
    np.testing.assert_allclose(prior.shrink(certain), runs[0].maps, atol=1e-6)
    uncertain = RunMaps(runs[0].maps, np.full(30, 1e12), np.ones(2))
    np.testing.assert_allclose(prior.shrink(uncertain), prior.mean, atol=1e-6)


def test_too_few_volumes_for_the_maps_are_refused():
    rng = np.random.default_rng(3)
    with pytest.raises(ParticipantError, match="10 volumes are too few for the maps of 9 components; at least 12"):
        temporal_regression(rng.standard_normal((10, 50)), rng.standard_normal((10, 9)))


def test_time_courses_that_depend_on_each_other_are_refused():
    rng = np.random.default_rng(4)
    courses = rng.standard_normal((30, 3))
    courses[:, 2] = courses[:, 0] - courses[:, 1]
    with pytest.raises(ParticipantError, match="constant or depend on each other"):
        temporal_regression(rng.standard_normal((30, 50)), courses)
