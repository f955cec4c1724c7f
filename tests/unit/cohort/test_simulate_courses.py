"""Simulated time courses have the correlation, the spectrum and the group difference that were asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from gradspec.cohort.simulate_courses import (
    group_connectivity,
    haemodynamic_response,
    individual_connectivity,
    network_timecourses,
    nuisance_timecourses,
)


@given(n=st.integers(2, 20), effect=st.floats(0, 1), seed=st.integers(0, 2**32))
def test_both_groups_have_correlation_matrices_for_every_allowed_effect(n: int, effect: float, seed: int) -> None:
    for matrix in group_connectivity(n, effect, np.random.default_rng(seed)):
        np.testing.assert_allclose(matrix.diagonal(), 1.0)
        np.testing.assert_array_equal(matrix, matrix.T)
        assert np.linalg.eigvalsh(matrix).min() > 0.19


@pytest.mark.parametrize("n", [2, 3, 8, 20])
@pytest.mark.parametrize("effect", [0.8, 0.3, 1.0])
def test_the_second_group_has_lost_the_effect_of_every_correlation(n: int, effect: float) -> None:
    reference, comparison = group_connectivity(n, effect, np.random.default_rng(1))
    pairs = np.triu_indices(n, 1)
    assert np.abs(reference[pairs]).max() > 0.3
    np.testing.assert_allclose(comparison[pairs], (1 - effect) * reference[pairs], atol=1e-12)


def test_without_an_effect_the_groups_are_identical() -> None:
    reference, comparison = group_connectivity(8, 0.0, np.random.default_rng(1))
    np.testing.assert_array_equal(reference, comparison)


def test_participants_vary_about_their_group() -> None:
    rng = np.random.default_rng(3)
    population = group_connectivity(6, 0.5, rng)[1]
    drawn = np.stack([individual_connectivity(population, rng) for _ in range(400)])
    np.testing.assert_allclose(drawn.mean(axis=0), population, atol=0.03)
    spread = drawn.std(axis=0)[np.triu_indices(6, 1)]
    assert (spread > 0.03).all() and (spread < 0.12).all()
    assert np.linalg.eigvalsh(drawn).min() > 0


@pytest.mark.parametrize("repetition_time", [0.72, 2.0, 3.1])
def test_long_courses_reach_the_prescribed_correlation_and_unit_variance(repetition_time: float) -> None:
    connectivity = group_connectivity(6, 0.6, np.random.default_rng(2))[0]
    courses = network_timecourses(connectivity, 20_000, repetition_time, np.random.default_rng(4))
    assert courses.shape == (20_000, 6)
    np.testing.assert_allclose(np.corrcoef(courses.T), connectivity, atol=0.06)
    np.testing.assert_allclose(courses.std(axis=0), 1.0, atol=0.06)


def test_courses_are_low_pass() -> None:
    courses = network_timecourses(np.eye(4), 4000, 1.0, np.random.default_rng(5))
    frequency, power = signal.welch(courses, fs=1.0, nperseg=256, axis=0)
    share = power[frequency < 0.1].sum(axis=0) / power.sum(axis=0)
    assert (share > 0.9).all()


def test_response_peaks_at_five_seconds_and_undershoots_later() -> None:
    response = haemodynamic_response(0.1)
    assert response.argmax() * 0.1 == pytest.approx(5.0, abs=0.3)
    assert 13.0 < response.argmin() * 0.1 < 18.0 and response.min() < 0
    assert np.sum(response**2) == pytest.approx(1.0)


@pytest.mark.parametrize("n_volumes", [20, 81])
def test_nuisance_courses_have_about_unit_variance(n_volumes: int) -> None:
    draws = [nuisance_timecourses(n_volumes, 2.0, np.random.default_rng(seed)) for seed in range(40)]
    for name in draws[0]:
        courses = np.stack([draw[name] for draw in draws])
        assert courses.shape == (40, n_volumes)
        assert np.sqrt(np.mean(courses**2)) == pytest.approx(1.0, abs=0.2), name
