"""What maps gain from those of other people, and template ICA against a loop over voxels."""

import numpy as np
import pytest

from gradspec.errors import ParticipantError
from gradspec.ica.connectivity import fnc
from gradspec.ica.empirical_bayes import MapPrior, template_ica
from gradspec.ica.images import prepare
from gradspec.ica.methods import METHODS
from gradspec.ica.participant import RunMaps, spatial_regression, temporal_regression


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


@pytest.mark.parametrize("seed", [401, 402, 403])
@pytest.mark.parametrize("method", ["empirical-bayes", "template-ica"])
def test_maps_of_people_outside_the_prior_gain_a_quarter_over_dual_regression(make_group, seed, method):
    """Unsmoothed data in which dual regression reaches about 0.33, as in real runs; the prior is from other people."""
    group = make_group(seed, n_participants=22, noise=3.0)
    maps = (group.maps - group.maps.mean(axis=1, keepdims=True)).astype(np.float32)
    signals = [prepare(signal) for signal in group.signals]
    dual, bayes = METHODS["dual-regression"](maps), METHODS[method](maps)
    for signal in signals[:16]:
        bayes.learn(bayes.first(signal))
    plain = [dual.second(dual.first(signal), lambda: None) for signal in signals[16:]]
    found = [bayes.second(bayes.first(signal), lambda signal=signal: signal) for signal in signals[16:]]
    before, after = (mean_correlation([maps for _, maps in those], group.own_maps[16:]) for those in (plain, found))
    assert before < 0.4
    assert after >= before + 0.25
    true = [fnc(timecourses) for timecourses in group.timecourses[16:]]
    errors = [
        np.mean(
            [np.abs(fnc(timecourses) - matrix).mean() for (timecourses, _), matrix in zip(those, true, strict=True)]
        )
        for those in (plain, found)
    ]
    assert errors[1] <= errors[0] + (0 if method == "empirical-bayes" else 0.05)  # template ICA mixes noise in


def plain_template_ica(signal, timecourses, mean, variance, iterations):
    """Expectation and maximisation, voxel by voxel."""
    variance = np.maximum(variance, 1e-4 * variance.max())

    def scaled(mixing):
        return (mixing - mixing.mean(axis=0)) / mixing.std(axis=0)

    mixing = scaled(timecourses)
    noise = np.mean((signal - mixing @ mean) ** 2)

    def posterior(voxel):
        covariance = np.linalg.inv(mixing.T @ mixing / noise + np.diag(1 / variance[:, voxel]))
        return covariance @ (mixing.T @ signal[:, voxel] / noise + mean[:, voxel] / variance[:, voxel]), covariance

    for _ in range(iterations):
        first, second, product = [], 0, 0
        for voxel in range(signal.shape[1]):
            centre, covariance = posterior(voxel)
            first.append(centre)
            second = second + covariance + np.outer(centre, centre)
            product = product + np.outer(signal[:, voxel], centre)
        updated = product @ np.linalg.inv(second)
        left = np.sum(signal**2) - 2 * np.sum(updated * product) + np.trace(updated.T @ updated @ second)
        noise, mixing = left / signal.size, scaled(updated)
    return np.array([posterior(voxel)[0] for voxel in range(signal.shape[1])]).T, mixing, noise


def test_template_ica_is_expectation_and_maximisation_voxel_by_voxel(monkeypatch):
    rng = np.random.default_rng(0)
    mean, variance = rng.laplace(size=(3, 120)), rng.uniform(0, 0.3, (3, 120))
    courses = rng.standard_normal((25, 3))
    signal = courses @ (mean + np.sqrt(variance) * rng.standard_normal((3, 120))) + rng.standard_normal((25, 120))
    monkeypatch.setattr("gradspec.ica.empirical_bayes._MOST_ITERATIONS", 4)
    monkeypatch.setattr("gradspec.ica.empirical_bayes._CONVERGED", 0.0)
    found = template_ica(signal, courses + rng.standard_normal((25, 3)) / 2, mean, variance)
    rng = np.random.default_rng(0)
    rng.laplace(size=(3, 120)), rng.uniform(0, 0.3, (3, 120)), rng.standard_normal((25, 3))
    rng.standard_normal((3, 120)), rng.standard_normal((25, 120))
    maps, mixing, noise = plain_template_ica(signal, courses + rng.standard_normal((25, 3)) / 2, mean, variance, 4)
    np.testing.assert_allclose(found.maps, maps, atol=1e-5)
    np.testing.assert_allclose(found.timecourses, mixing, atol=1e-8)
    assert found.noise == pytest.approx(noise)
    assert not found.converged


def test_a_constant_time_course_is_refused():
    rng = np.random.default_rng(0)
    courses = rng.standard_normal((20, 2))
    courses[:, 1] = 3
    with pytest.raises(ParticipantError, match="a time course is constant"):
        template_ica(rng.standard_normal((20, 50)), courses, rng.standard_normal((2, 50)), np.ones((2, 50)))
