"""The infomax solver: it solves its equation, finds the sources, and says when it does not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import FastICA

from gradspec.ica.decomposition import (
    ALGORITHMS,
    _evaluate,
    _lifted,
    _solve_blocks,
    fastica,
    infomax,
    relative_gradient,
    runica,
    solve,
)
from gradspec.ica.moments import ArrayMoments, TorchMoments


def mixture(seed, n_sources=6, n_samples=6000):
    """White mixture of sparse sources, and the sources."""
    rng = np.random.default_rng(seed)
    sources = rng.laplace(size=(n_sources, n_samples)) * (1 + rng.random((1, n_samples)))
    sources -= sources.mean(axis=1, keepdims=True)
    mixed = rng.standard_normal((n_sources, n_sources)) @ sources
    values, vectors = np.linalg.eigh(mixed @ mixed.T / n_samples)
    return (vectors / np.sqrt(values)).T @ mixed, sources


def recovery(estimated, sources):
    return np.abs(np.corrcoef(estimated, sources)[: len(sources), len(sources) :]).max(axis=0)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), n_sources=st.integers(2, 8))
def test_at_the_solution_the_relative_gradient_is_zero(seed, n_sources):
    whitened, _ = mixture(seed, n_sources, 2000)
    solution = infomax(whitened, np.random.default_rng(seed), tolerance=1e-8)
    assert solution.converged
    assert np.abs(relative_gradient(solution.unmixing @ whitened)).max() < 1e-8


@pytest.mark.parametrize("seed", range(3))
def test_sources_are_found_as_well_as_scikit_learn_finds_them(seed):
    whitened, sources = mixture(seed)
    ours = recovery(infomax(whitened, np.random.default_rng(seed)).unmixing @ whitened, sources)
    theirs = FastICA(whiten="unit-variance", random_state=seed, max_iter=1000).fit_transform(whitened.T).T
    assert ours.min() > 0.97
    assert ours.mean() >= recovery(theirs, sources).mean() - 0.005


def test_single_precision_gives_the_same_sources():
    whitened, _ = mixture(3)
    single = infomax(whitened.astype(np.float32), np.random.default_rng(0))
    double = infomax(whitened, np.random.default_rng(0))
    assert single.converged
    np.testing.assert_allclose(single.unmixing, double.unmixing, atol=1e-3)


def test_a_solver_that_is_stopped_says_so():
    whitened, _ = mixture(4)
    solution = infomax(whitened, np.random.default_rng(0), max_iterations=1, tolerance=1e-9)
    assert not solution.converged
    assert solution.gradient > 1e-9
    assert solution.n_iterations == 1


def test_the_gradient_is_the_derivative_of_the_loss():
    whitened, _ = mixture(5, 4, 500)
    rng = np.random.default_rng(0)
    unmixing, direction = rng.standard_normal((2, 4, 4))

    def loss(step):
        moved = unmixing + step * direction @ unmixing
        return _evaluate(ArrayMoments(whitened), moved, direction).loss

    numerical = (loss(1e-5) - loss(-1e-5)) / 2e-5
    assert np.vdot(relative_gradient(unmixing @ whitened), direction) == pytest.approx(numerical, rel=1e-5)


def test_the_blocks_are_solved_as_the_whole_hessian_would_be():
    whitened, _ = mixture(6, 4, 500)
    h = _lifted(ArrayMoments(whitened).infomax(np.eye(4)).curvature)
    right = np.random.default_rng(0).standard_normal((4, 4))
    hessian = np.zeros((4, 4, 4, 4))
    for i in range(4):
        for j in range(4):
            hessian[i, j, i, j] += h[i, j]
            hessian[i, j, j, i] += 1
    solved = np.linalg.solve(hessian.reshape(16, 16), right.ravel()).reshape(4, 4)
    np.testing.assert_allclose(_solve_blocks(right, h), solved, rtol=1e-9)


def test_blocks_without_curvature_are_lifted_to_be_positive():
    h = _lifted(np.full((3, 3), 0.03))
    for i, j in [(0, 1), (0, 2), (1, 2)]:
        assert np.linalg.eigvalsh([[h[i, j], 1], [1, h[j, i]]]).min() >= 0.01 - 1e-12


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
@pytest.mark.parametrize("bootstrap", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_every_algorithm_finds_the_sources(algorithm, bootstrap, seed):
    whitened, sources = mixture(seed)
    solution = solve(whitened.astype(np.float32), np.random.default_rng(seed), algorithm, bootstrap=bootstrap)
    assert solution.converged
    assert recovery(solution.unmixing @ whitened, sources).min() > 0.96


@pytest.mark.parametrize("algorithm", ["infomax", "fastica"])
def test_on_a_device_of_torch_the_solution_is_the_same(algorithm):
    whitened, _ = mixture(1)
    here = solve(whitened, np.random.default_rng(0), algorithm)
    there = ALGORITHMS[algorithm](TorchMoments(whitened, "cpu"), np.random.default_rng(0))
    np.testing.assert_allclose(there.unmixing, here.unmixing, atol=1e-6)


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_from_a_solution_it_is_found_again_at_once(algorithm):
    whitened, _ = mixture(2)
    solution = solve(whitened, np.random.default_rng(0), algorithm)
    again = ALGORITHMS[algorithm](whitened, np.random.default_rng(1), start=solution.unmixing)
    assert again.converged
    np.testing.assert_allclose(recovery(again.unmixing @ whitened, solution.unmixing @ whitened), 1, atol=1e-3)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("algorithm", ["infomax", "runica"])
def test_infomax_recovers_as_much_as_that_of_mne(algorithm, seed):
    mne = pytest.importorskip("mne.preprocessing", reason="mne is not installed (the extra dev brings it)")
    whitened, sources = mixture(seed, 8, 9000)
    theirs = mne.infomax(2 * whitened.T, extended=False, rng=seed, w_change=1e-7, max_iter=512, verbose=False)
    ours = solve(whitened.astype(np.float32), np.random.default_rng(seed), algorithm).unmixing
    difference = recovery(ours @ whitened, sources).mean() - recovery(theirs @ whitened, sources).mean()
    assert abs(difference) < 0.005


@pytest.mark.parametrize("seed", range(2))
def test_infomax_ends_where_picard_ends(seed):
    picard = pytest.importorskip("picard", reason="python-picard is not installed (the extra dev brings it)")
    whitened, _ = mixture(seed)
    options = {"ortho": False, "extended": False, "whiten": False, "centering": False, "tol": 1e-8}
    _, _, theirs = picard.picard(whitened, random_state=seed, **options)
    ours = infomax(whitened, np.random.default_rng(seed), tolerance=1e-8).unmixing @ whitened
    np.testing.assert_allclose(recovery(ours, theirs), 1, atol=1e-6)


def test_runica_starts_again_where_the_weights_blow_up(caplog):
    whitened, _ = mixture(0)
    with caplog.at_level("INFO"):
        solution = runica(2000 * whitened, np.random.default_rng(0))
    assert "the weights blew up; starting again" in caplog.text
    assert np.isfinite(solution.unmixing).all()


def test_fastica_that_is_stopped_says_so():
    whitened, _ = mixture(4)
    assert not fastica(whitened, np.random.default_rng(0), max_iterations=1, tolerance=1e-12).converged
