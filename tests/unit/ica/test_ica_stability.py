"""ICASSO: what repeats over starts is stable, what does not is not."""

import numpy as np
import pytest
from scipy.stats import ortho_group

from gradspec.ica.stability import compare_starts


def test_the_same_solution_in_any_order_sign_and_scale_is_perfectly_stable():
    rng = np.random.default_rng(0)
    basis = ortho_group.rvs(6, random_state=0)
    starts = [basis[rng.permutation(6)] * rng.choice([-1, 1], (6, 1)) * rng.uniform(0.5, 2, (6, 1)) for _ in range(8)]
    agreement = compare_starts(starts)
    np.testing.assert_allclose(agreement.stability, 1, atol=1e-9)
    np.testing.assert_array_equal(agreement.n_found, 8)


def test_components_that_differ_from_start_to_start_are_less_stable():
    rng = np.random.default_rng(1)
    basis = ortho_group.rvs(8, random_state=1)
    starts = []
    for k in range(10):
        loose = ortho_group.rvs(4, random_state=k) @ basis[4:]
        starts.append(np.concatenate([basis[:4], loose])[rng.permutation(8)])
    agreement = compare_starts(starts)
    real = np.abs(starts[agreement.best_start] @ basis[:4].T).max(axis=1) > 0.99
    assert real.sum() == 4
    assert agreement.stability[real].min() > 0.95
    assert agreement.stability[~real].max() < agreement.stability[real].min() - 0.2


def test_the_index_is_the_mean_within_less_the_mean_outside():
    starts = [ortho_group.rvs(3, random_state=k) * 0.1 + np.eye(3) for k in range(4)]
    agreement = compare_starts(starts)
    rows = np.concatenate([w / np.linalg.norm(w, axis=1, keepdims=True) for w in starts])
    similarity = np.abs(rows @ rows.T)
    for c in range(3):
        inside = np.arange(12) % 3 == c
        within = np.mean([similarity[i, j] for i in np.flatnonzero(inside) for j in np.flatnonzero(inside)])
        outside = np.mean([similarity[i, j] for i in np.flatnonzero(inside) for j in np.flatnonzero(~inside)])
        assert agreement.stability[c] == pytest.approx(within - outside)


def test_the_start_that_fell_elsewhere_is_not_chosen():
    basis = ortho_group.rvs(5, random_state=2)
    agreement = compare_starts([ortho_group.rvs(5, random_state=9), basis, basis[::-1], basis])
    assert agreement.best_start != 0


def test_one_start_has_no_stability():
    agreement = compare_starts([np.eye(4)])
    assert agreement.best_start == 0
    assert np.isnan(agreement.stability).all()


def test_of_starts_that_reached_the_same_solution_the_first_is_kept_whatever_rounding_makes_of_them():
    rng = np.random.default_rng(0)
    solution = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    for _ in range(20):
        starts = [rng.permutation(solution) + 1e-5 * rng.normal(size=(6, 6)) for _ in range(5)]
        starts.insert(0, np.linalg.qr(rng.normal(size=(6, 6)))[0])
        assert compare_starts(starts).best_start == 1
