"""GICA back-reconstruction against a group decomposition in which nothing is left out."""

import numpy as np
import pytest

from gradspec.errors import ParticipantError
from gradspec.ica.back_reconstruction import back_reconstruct
from gradspec.ica.images import prepare


@pytest.mark.parametrize("seed", [301, 302, 303])
def test_it_is_the_share_of_a_run_in_the_stacked_decomposition(make_group, seed):
    group = make_group(seed, n_participants=5)
    signals = [prepare(signal).astype(np.float64) for signal in group.signals]
    n_voxels, kept, n_components = signals[0].shape[1], 30, 8
    reduced, dewhitening = [], []
    for signal in signals:
        values, vectors = np.linalg.eigh(signal @ signal.T / n_voxels)
        values, vectors = values[::-1][:kept], vectors[:, ::-1][:, :kept]
        reduced.append((vectors / np.sqrt(values)).T @ signal)
        dewhitening.append(vectors * np.sqrt(values))
    stack = np.concatenate(reduced)
    basis = np.linalg.eigh(stack @ stack.T)[1][:, ::-1][:, :n_components]  # G
    mixing = np.random.default_rng(seed).standard_normal((n_components, n_components))  # any A: ICA's is one of them
    sources = np.linalg.solve(mixing, basis.T @ stack)
    for index, signal in enumerate(signals):
        own = basis[index * kept : (index + 1) * kept] @ mixing
        timecourses, maps = back_reconstruct(signal, sources, kept)
        np.testing.assert_allclose(maps, np.linalg.pinv(own) @ reduced[index], atol=1e-6)
        np.testing.assert_allclose(timecourses, dewhitening[index] @ own, atol=1e-6)


def test_more_components_than_directions_are_refused():
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((8, 300))
    with pytest.raises(ParticipantError, match="8 volumes with 8 independent directions are too few for 9 components"):
        back_reconstruct(signal, rng.standard_normal((9, 300)))


def test_components_that_depend_on_each_other_in_a_run_are_refused():
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((20, 300))
    signal[:, :100] = 0  # the run does not cover what tells the last two components apart
    signal -= signal.mean(axis=1, keepdims=True) * (np.arange(300) >= 100) * 1.5
    components = np.zeros((3, 300))
    components[:, 100:] = rng.standard_normal((3, 200))
    components[2, 100:] = components[1, 100:]
    components[2, :100] = rng.standard_normal(100)
    with pytest.raises(ParticipantError, match="depend on each other in this run"):
        back_reconstruct(signal, components)
