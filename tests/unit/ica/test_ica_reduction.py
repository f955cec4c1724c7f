"""Principal components of participants and of the group."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradspec.errors import ConfigError, ParticipantError
from gradspec.ica.reduction import merge, principal_components, whiten_group


@pytest.fixture
def parts():
    """Components of seven participants that share five directions."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((5, 900))
    runs = [rng.standard_normal((20, 5)) @ shared + rng.standard_normal((20, 900)) for _ in range(7)]
    return [principal_components(run - run.mean(axis=1, keepdims=True), 10) for run in runs]


def test_components_are_white_and_span_the_leading_directions_of_an_svd():
    rng = np.random.default_rng(1)
    signal = rng.standard_normal((30, 8)) @ rng.standard_normal((8, 500)) + 0.1 * rng.standard_normal((30, 500))
    signal -= signal.mean(axis=1, keepdims=True)
    whitened = principal_components(signal, 6)
    np.testing.assert_allclose(whitened @ whitened.T / 500, np.eye(6), atol=1e-9)
    right = np.linalg.svd(signal, full_matrices=False)[2][:6]
    np.testing.assert_allclose(np.abs(np.diag(whitened @ right.T)) / np.sqrt(500), 1, atol=1e-9)


def test_directions_that_were_regressed_out_are_not_blown_up(caplog):
    rng = np.random.default_rng(2)
    signal = (rng.standard_normal((40, 12)) @ rng.standard_normal((12, 2000))).astype(np.float32)
    with caplog.at_level("INFO"):
        whitened = principal_components(signal, 20)
    assert len(whitened) == 12
    assert "only 12 independent directions" in caplog.text


def test_fewer_volumes_than_components_are_refused():
    with pytest.raises(
        ParticipantError, match=r"8 volumes cannot give 9 .* lower ica.n_subject_components to at most 8"
    ):
        principal_components(np.random.default_rng(0).standard_normal((8, 100)), 9)


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_the_merge_is_a_full_pca_when_nothing_is_cut(parts, batch):
    basis = merge(parts, n_keep=1000, batch=batch)
    _, singular, right = np.linalg.svd(np.concatenate(parts), full_matrices=False)
    np.testing.assert_allclose(np.linalg.norm(basis, axis=1), singular, rtol=1e-9)
    whitened, variances = whiten_group(basis, 5)
    np.testing.assert_allclose(variances, singular[:5] ** 2 / 900, rtol=1e-9)
    np.testing.assert_allclose(np.abs(np.diag(whitened @ right[:5].T)) / 30, 1, atol=1e-9)
    np.testing.assert_allclose(whitened @ whitened.T / 900, np.eye(5), atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), batch=st.integers(1, 5), n_parts=st.integers(1, 8))
def test_order_batches_and_nesting_of_a_merge_do_not_matter_when_nothing_is_cut(seed, batch, n_parts):
    rng = np.random.default_rng(seed)
    stack = [rng.standard_normal((int(rng.integers(1, 6)), 60)) for _ in range(n_parts)]
    singular = np.linalg.svd(np.concatenate(stack), compute_uv=False)
    shuffled = [stack[i] for i in rng.permutation(n_parts)]
    split = int(rng.integers(0, n_parts + 1))
    nested = [merge(part, 1000, batch=batch) for part in (shuffled[:split], shuffled[split:]) if part]
    for basis in (merge(shuffled, 1000, batch=batch), merge(nested, 1000)):
        norms = np.linalg.norm(basis, axis=1)
        np.testing.assert_allclose(norms, singular[: len(norms)], rtol=1e-7)
        np.testing.assert_allclose(basis @ basis.T, np.diag(norms**2), atol=1e-6 * norms[0] ** 2)
        assert (singular[len(norms) :] < 0.01 * singular[0]).all()


def test_a_cut_merge_keeps_the_shared_directions(parts):
    exact, _ = whiten_group(merge(parts, n_keep=1000), 5)
    cut, _ = whiten_group(merge(parts, n_keep=12, batch=2), 5)
    overlap = np.linalg.svd(exact @ cut.T / 900, compute_uv=False)
    assert overlap.min() > 0.99


def test_directions_of_all_participants_have_their_number_as_variance(parts):
    _, variances = whiten_group(merge(parts, n_keep=1000), 6)
    assert (variances[:5] > 6).all()
    assert variances[5] < 2


def test_more_components_than_the_data_support_are_refused_with_the_largest_possible(parts):
    with pytest.raises(
        ConfigError, match=r"71 components were asked for, .* support at most 70; lower ica.n_components"
    ):
        whiten_group(merge(parts, n_keep=1000), 71)
