"""Dual regression against a loop, and what it says of its own uncertainty."""

import numpy as np
import pytest

from gradspec.errors import ParticipantError
from gradspec.ica.images import prepare
from gradspec.ica.participant import spatial_regression, temporal_regression


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
