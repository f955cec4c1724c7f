"""GIG-ICA, all components at once, against the equations one component after the other."""

import numpy as np
import pytest
from gig_reference import plain_gig_ica
from hypothesis import given, settings
from hypothesis import strategies as st

from gradspec.errors import ParticipantError
from gradspec.ica.gig_ica import gig_ica
from gradspec.ica.images import prepare

CASES = [  # seed, noise, volumes, sources
    pytest.param(201, 1.0, 60, 8, id="clean"),
    pytest.param(202, 3.0, 60, 8, id="noisy"),
    pytest.param(203, 1.0, 40, 5, id="short"),
    pytest.param(204, 6.0, 90, 8, id="very-noisy"),
]


def correlations(a, b):
    return np.array([np.corrcoef(x, y)[0, 1] for x, y in zip(a, b, strict=True)])


@pytest.mark.parametrize(("seed", "noise", "n_volumes", "n_sources"), CASES)
def test_maps_and_time_courses_are_those_of_the_plain_reference(make_group, seed, noise, n_volumes, n_sources):
    group = make_group(seed, n_participants=3, noise=noise, n_volumes=n_volumes, n_sources=n_sources)
    for signal in map(prepare, group.signals):
        found = gig_ica(signal, group.maps)
        maps, timecourses = plain_gig_ica(signal, group.maps)
        assert correlations(found.maps, maps).min() >= 0.999
        assert correlations(found.timecourses.T, timecourses.T).min() >= 0.999


@pytest.mark.parametrize("seed", [211, 212, 213])
def test_maps_are_nearer_to_the_participants_own_than_the_start(make_group, seed):
    group = make_group(seed, n_participants=4)
    guided, projected = [], []
    for own, signal in zip(group.own_maps, map(prepare, group.signals), strict=True):
        found = gig_ica(signal, group.maps)
        assert found.converged.all()
        guided.append(correlations(found.maps, own).mean())
        courses = signal @ (group.maps - group.maps.mean(axis=1, keepdims=True)).T.astype(np.float32)
        projected.append(correlations(np.linalg.lstsq(courses, signal, rcond=None)[0], own).mean())
    assert np.mean(guided) > np.mean(projected)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(1e-2, 1e2))
def test_maps_are_z_scored_positive_on_the_reference_and_blind_to_the_scale_of_the_run(seed, scale):
    rng = np.random.default_rng(seed)
    template = rng.laplace(size=(3, 1500)) ** 3
    signal = rng.standard_normal((20, 3)) @ template / 10 + rng.standard_normal((20, 1500))
    signal = (signal - signal.mean(axis=1, keepdims=True)).astype(np.float32)
    found = gig_ica(signal, template)
    np.testing.assert_allclose(found.maps.mean(axis=1), 0, atol=1e-4)
    np.testing.assert_allclose(found.maps.std(axis=1), 1, atol=1e-3)
    assert (found.similarity > 0).all()
    np.testing.assert_allclose(found.similarity, correlations(found.maps, template), atol=1e-3)
    scaled = gig_ica(signal * np.float32(scale), template)
    assert correlations(scaled.maps, found.maps).min() > 0.999


def test_order_and_sign_are_those_of_the_template(make_group):
    group = make_group(220, n_participants=1)
    signal = prepare(group.signals[0])
    plain = gig_ica(signal, group.maps)
    turned = gig_ica(signal, -group.maps[::-1])
    assert correlations(turned.maps, -plain.maps[::-1]).min() > 0.999


def test_constant_voxels_stay_zero(make_group):
    group = make_group(221, n_participants=1)
    signal = prepare(np.where(np.arange(group.signals.shape[2]) % 10 == 0, 7, group.signals[0]).astype(np.float32))
    signal[:, ::10] = 0
    assert not gig_ica(signal, group.maps).maps[:, ::10].any()


def test_fewer_directions_than_maps_are_refused():
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((6, 2)) @ rng.standard_normal((2, 400))
    with pytest.raises(ParticipantError, match="6 volumes with 2 independent directions are too few for 3 components"):
        gig_ica(signal - signal.mean(axis=1, keepdims=True), rng.standard_normal((3, 400)))


def test_a_map_outside_what_the_run_covers_is_named():
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((20, 400))
    signal[:, :100] = 0
    signal[:, 100:] -= signal[:, 100:].mean(axis=1, keepdims=True)
    template = rng.standard_normal((3, 400))
    template[1] = np.arange(400) < 100
    with pytest.raises(ParticipantError, match=r"volume\(s\) 2 of the template have nothing in common with the run"):
        gig_ica(signal, template)
