"""Made data have the groups and the separation that were asked for."""

from collections import Counter

import numpy as np
import pytest
from checking import examine_and_check
from makers import make_config

from gradspec.cohort.numerical import (
    REPETITION_TIME,
    gaussian_mixture,
    numerical_features,
    numerical_participants,
    numerical_timecourses,
    sinusoids,
)

GROUP = np.arange(2000) % 2
MAKERS = [
    (kind, make)
    for make, own in ((numerical_features, "gaussian-mixture"), (numerical_timecourses, "sinusoids"))
    for kind in (own, "both")
]


@pytest.mark.parametrize(("n", "last"), [(5, "sub-005"), (999, "sub-999"), (1000, "sub-1000")])
def test_half_of_the_samples_are_in_each_group_and_ids_sort(n, last):
    made = numerical_participants(n, ["control", "patient"])
    assert list(made) == sorted(made)
    assert list(made)[-1] == last
    counts = Counter(made.values())
    assert counts["control"] - counts["patient"] in (0, 1)


@pytest.mark.parametrize("separation", [0.0, 1.0, 4.0])
def test_group_means_of_the_mixture_are_apart_by_the_separation(separation):
    values = gaussian_mixture(GROUP, 3, separation, seed=1)
    # The sign of the mixture adds a distance of 2 × sqrt(4 / 1000) at one standard deviation.
    distance = np.linalg.norm(values[GROUP == 1].mean(axis=0) - values[GROUP == 0].mean(axis=0))
    assert distance == pytest.approx(separation, abs=0.3)


def test_each_group_of_the_mixture_has_two_clusters_four_deviations_apart():
    values = gaussian_mixture(GROUP, 5, 0.0, seed=1)
    spread = np.linalg.eigvalsh(np.cov(values[GROUP == 0].T))
    np.testing.assert_allclose(spread, [1, 1, 1, 1, 5], rtol=0.2)  # noise 1, and 2² between the clusters


@pytest.mark.parametrize("separation", [0.0, 1.0])
def test_frequencies_of_the_sinusoids_differ_by_the_separation(separation):
    values = sinusoids(GROUP[:40], 4, 1000, separation, seed=1)
    power = np.abs(np.fft.rfft(values, axis=1)) ** 2
    frequency = np.fft.rfftfreq(1000, REPETITION_TIME)
    expected = np.linspace(0.02, 0.08, 4)
    for group in (0, 1):
        peaks = frequency[power[GROUP[:40] == group].mean(axis=0).argmax(axis=0)]
        np.testing.assert_allclose(peaks, expected * (1 + separation * group), atol=1.1e-3)


def test_signal_and_noise_of_the_sinusoids_have_equal_power():
    assert sinusoids(GROUP[:100], 4, 500, 1.0, seed=1).var() == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize(("kind", "make"), MAKERS)
def test_a_sample_is_the_same_whoever_else_takes_part(kind, make):
    cohort = make_config("numerical", numerical={"kind": kind, "n_samples": 8})["cohort"]
    everybody = make(list(numerical_participants(8, cohort["group"]["levels"])), cohort, seed=3)
    some = make(["sub-002", "sub-007"], cohort, seed=3)
    assert some.identical(everybody.sel(participant=["sub-002", "sub-007"]))
    assert not some.equals(make(["sub-002", "sub-007"], cohort, seed=4))


@pytest.mark.parametrize(("kind", "length"), [("sinusoids", 60), ("gaussian-mixture", None), ("both", 60)])
def test_made_cohorts_pass_the_check(kind, length):
    config = make_config("numerical", numerical={"kind": kind, "n_samples": 8})
    participants, runs = examine_and_check(config)
    assert list(participants["status"]) == ["included"] * 8
    assert runs["n_volumes"].dropna().unique().tolist() == ([length] if length else [])
