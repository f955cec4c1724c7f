"""Every feature against an obvious loop, and the bounds that it must keep."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gradspec.spectra.features import FEATURES, drop_rounding, rounding_tolerance

NAN = math.nan


def naive(name, spectrum):
    """One feature of one spectrum, by the formula."""
    values = [float(value) for value in spectrum if not math.isnan(value)]
    if not values or any(math.isinf(value) for value in values):
        return NAN
    largest, total = max(values), sum(values)
    if name == "spectral_norm":
        return largest
    if name == "nuclear_norm":
        return total
    if name == "frobenius_norm":
        return math.sqrt(sum(value**2 for value in values))
    if largest == 0:
        return NAN
    shares = [value / total for value in values if value > 0]
    nats = -sum(share * math.log(share) for share in shares)
    if name == "effective_rank":
        return math.exp(nats)
    if name == "stable_rank":
        return sum(value**2 for value in values) / largest**2
    if name == "entropy":
        return nats / math.log(len(values)) if len(values) > 1 else NAN
    if name == "condition_number":
        return largest / min(value for value in values if value > 0)
    raise AssertionError(name)


CASES = {
    "flat": [1.0, 1, 1, 1],
    "rank one": [5.0, 0, 0, 0],
    "geometric": [8.0, 4, 2, 1],
    "small": [3e-9, 2e-9, 1e-9, 1e-12],
    "fewer values": [3.0, 2, NAN, NAN],
    "one value": [3.0, NAN, NAN, NAN],
    "zeros": [0.0, 0, 0, 0],
    "zeros and fewer": [0.0, 0, NAN, NAN],
    "undefined": [NAN, NAN, NAN, NAN],
    "infinite": [math.inf, 1, 0, NAN],
}

positive = st.floats(1e-6, 1e6)
spectra = hnp.arrays(float, st.integers(2, 12), elements=positive).map(lambda values: -np.sort(-values))


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("case", CASES)
def test_feature_follows_its_formula(name, case):
    assert FEATURES[name].function(np.array(CASES[case])) == pytest.approx(naive(name, CASES[case]), nan_ok=True)


@pytest.mark.parametrize("name", FEATURES)
def test_any_leading_dims_give_the_same_as_one_by_one(name):
    together = np.array(list(CASES.values())).reshape(5, 2, 4)
    expected = np.reshape([naive(name, spectrum) for spectrum in CASES.values()], (5, 2))
    np.testing.assert_allclose(FEATURES[name].function(together), expected)


@pytest.mark.parametrize("name", FEATURES)
def test_values_are_known_for_a_matrix(name):
    matrix = np.random.default_rng(0).normal(size=(7, 5))
    expected = {
        "spectral_norm": np.linalg.norm(matrix, 2),
        "nuclear_norm": np.linalg.norm(matrix, "nuc"),
        "frobenius_norm": np.linalg.norm(matrix, "fro"),
        "stable_rank": (np.linalg.norm(matrix, "fro") / np.linalg.norm(matrix, 2)) ** 2,
        "condition_number": np.linalg.cond(matrix),
    }
    if name in expected:
        found = FEATURES[name].function(np.linalg.svd(matrix, compute_uv=False))
        assert found == pytest.approx(expected[name], rel=1e-12)


@given(spectra)
def test_ranks_and_entropy_keep_their_bounds(spectrum):
    rank = len(spectrum)
    features = {name: float(definition.function(spectrum)) for name, definition in FEATURES.items()}
    assert 1 <= features["stable_rank"] <= rank * (1 + 1e-12)
    assert 1 <= features["effective_rank"] <= rank * (1 + 1e-12)
    assert 0 <= features["entropy"] <= 1
    assert features["condition_number"] >= 1
    assert features["effective_rank"] == pytest.approx(rank ** features["entropy"])


@given(spectra)
def test_norms_are_in_order(spectrum):
    spectral, frobenius, nuclear = (
        float(FEATURES[name].function(spectrum)) for name in ("spectral_norm", "frobenius_norm", "nuclear_norm")
    )
    assert spectral <= frobenius * (1 + 1e-12)
    assert frobenius <= nuclear * (1 + 1e-12)
    assert nuclear <= math.sqrt(len(spectrum)) * frobenius * (1 + 1e-12)


@given(spectra, st.floats(1e-150, 1e150))
def test_scaling_the_gradient_scales_norms_and_nothing_else(spectrum, factor):
    for definition in FEATURES.values():
        scaled = definition.function(spectrum * factor)
        expected = definition.function(spectrum) * (factor if definition.is_norm else 1)
        np.testing.assert_allclose(scaled, expected, rtol=1e-9, atol=1e-12)


@given(spectra, st.integers(1, 5))
def test_undefined_values_count_for_nothing(spectrum, padding):
    padded = np.pad(spectrum, (0, padding), constant_values=NAN)
    for definition in FEATURES.values():
        np.testing.assert_allclose(definition.function(padded), definition.function(spectrum), rtol=1e-9, atol=1e-12)


def test_rounding_of_single_precision_does_not_reach_the_condition_number():
    rng = np.random.default_rng(0)
    rank_two = (rng.normal(size=(40, 2)) @ rng.normal(size=(2, 30))).astype(np.float32)
    spectrum = np.linalg.svd(rank_two.astype(float), compute_uv=False)
    clean = drop_rounding(spectrum, rounding_tolerance(rank_two.shape))
    assert np.count_nonzero(clean) == 2
    assert FEATURES["condition_number"].function(clean) == pytest.approx(spectrum[0] / spectrum[1])
    assert FEATURES["condition_number"].function(spectrum) > 1e6


def test_dropping_rounding_leaves_what_is_undefined():
    found = drop_rounding(np.array([[1.0, 1e-9, NAN], [NAN, NAN, NAN]]), 1e-6)
    np.testing.assert_array_equal(found, [[1, 0, NAN], [NAN, NAN, NAN]])


def test_kernels_of_convolutions_count_as_inputs():
    assert rounding_tolerance((8, 4, 3, 3)) == rounding_tolerance((8, 36)) == pytest.approx(36 * 2.0**-23)
    assert rounding_tolerance((64,)) == pytest.approx(64 * 2.0**-23)
