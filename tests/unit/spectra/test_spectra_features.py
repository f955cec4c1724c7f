"""Every feature against an obvious loop, and the bounds that it must keep."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gradspec.spectra.features import FEATURES, drop_rounding, raise_rounding, rounding_tolerance

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
    if name == "numerical_rank":
        return sum(value > 0 for value in values)
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
    if name == "log_condition_number":
        return math.log10(largest / min(value for value in values if value > 0))
    energies = sorted(((value / largest) ** 2 for value in values), reverse=True)
    if name == "participation_ratio":
        return sum(energies) ** 2 / sum(energy**2 for energy in energies)
    if name == "leading_energy":
        return sum(energies[:2]) / sum(energies)
    if name in ("power_law_exponent", "power_law_distance"):
        return naive_power_law([value for value in values if value > 0])[name == "power_law_distance"]
    raise AssertionError(name)


def naive_power_law(values):
    """Exponent and distance of the closest power law, trying every minimum that leaves half of the values, and five."""
    best = NAN, NAN
    for minimum in sorted(set(values)):
        tail = [value for value in values if value >= minimum]
        if len(tail) < max(5, len(values) / 2) or max(tail) == minimum:
            continue
        exponent = 1 + len(tail) / sum(math.log(value / minimum) for value in tail)
        distance = max(
            abs(sum(other < value for other in tail) / len(tail) - (1 - (value / minimum) ** (1 - exponent)))
            for value in tail
        )
        if not distance >= best[1]:
            best = exponent, distance
    return best


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
    "ten values": [9.0, 7, 3, 2.5, 2, 1.2, 1, 0.9, 0.3, 0.1],
    "equal pairs": [9.0, 9, 3, 3, 2, 2, 1, 1, 0.5, 0.5],
    "nine equal": [9.0, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    "ten equal": [2.0] * 10,
    "tail of zeros": [9.0, 4, 2, 1, 0.5, 0.4, 0, 0, 0, NAN],
    "twelve orders": [1e3, 1e2, 1e1, 1, 1e-1, 1e-2, 1e-3, 1e-6, 1e-8, 1e-9],
    "infinite among ten": [math.inf, 7, 6, 5, 4, 3, 2, 1, 0, NAN],
    "in no order": [NAN, 2.5, 0, 7, 9, 1, NAN, 2, 1.2, 3],
}
LONGEST = max(map(len, CASES.values()))

positive = st.floats(1e-6, 1e6)
spectra = hnp.arrays(float, st.integers(2, 12), elements=positive).map(lambda values: -np.sort(-values))


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("case", CASES)
def test_feature_follows_its_formula(name, case):
    assert FEATURES[name].function(np.array(CASES[case])) == pytest.approx(naive(name, CASES[case]), nan_ok=True)


@pytest.mark.parametrize("name", FEATURES)
def test_any_leading_dims_give_the_same_as_one_by_one(name):
    padded = [[*spectrum, *[NAN] * (LONGEST - len(spectrum))] for spectrum in CASES.values()]
    together = np.array(padded).reshape(2, -1, LONGEST)
    expected = np.reshape([naive(name, spectrum) for spectrum in CASES.values()], (2, -1))
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
        "log_condition_number": np.log10(np.linalg.cond(matrix)),
        "numerical_rank": np.linalg.matrix_rank(matrix),
        "participation_ratio": np.trace(matrix.T @ matrix) ** 2 / np.linalg.norm(matrix.T @ matrix, "fro") ** 2,
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
    assert features["log_condition_number"] >= 0
    assert features["numerical_rank"] == rank
    assert features["stable_rank"] * (1 - 1e-12) <= features["participation_ratio"] <= rank * (1 + 1e-12)
    assert min(2 / rank, 1) - 1e-12 <= features["leading_energy"] <= 1
    assert features["leading_energy"] * features["stable_rank"] >= 1 - 1e-12
    if rank < 5:
        assert math.isnan(features["power_law_exponent"])
    if not math.isnan(features["power_law_exponent"]):
        assert features["power_law_exponent"] > 1
        assert 0 <= features["power_law_distance"] <= 1
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


@given(spectra, st.randoms(use_true_random=False))
def test_order_does_not_matter(spectrum, random):
    shuffled = spectrum.tolist()
    random.shuffle(shuffled)
    for definition in FEATURES.values():
        np.testing.assert_allclose(
            definition.function(np.array(shuffled)), definition.function(spectrum), rtol=1e-9, atol=1e-12
        )


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


def test_rounding_about_the_tolerance_does_not_move_the_logarithm_of_the_condition_number():
    """The read-out of two classes has rank one, and a second value of rounding on either side of the tolerance."""
    tolerance = rounding_tolerance((2, 16))
    spectra = np.stack([np.ones(5), tolerance * np.array([0.0, 1e-3, 0.99, 1.01, 2.0])], axis=1)
    digits = FEATURES["log_condition_number"]
    assert np.ptp(digits.function(raise_rounding(spectra, tolerance))) == pytest.approx(np.log10(2))
    assert np.ptp(digits.function(drop_rounding(spectra, tolerance))) > 5
    assert digits.takes_floor and not FEATURES["condition_number"].takes_floor


def test_raising_rounding_leaves_what_is_undefined():
    found = raise_rounding(np.array([[1.0, 1e-9, NAN], [NAN, NAN, NAN], [0, 0, NAN]]), 1e-6)
    np.testing.assert_array_equal(found, [[1, 1e-6, NAN], [NAN, NAN, NAN], [0, 0, NAN]])


def test_dropping_rounding_leaves_what_is_undefined():
    found = drop_rounding(np.array([[1.0, 1e-9, NAN], [NAN, NAN, NAN]]), 1e-6)
    np.testing.assert_array_equal(found, [[1, 0, NAN], [NAN, NAN, NAN]])


def test_kernels_of_convolutions_count_as_inputs():
    assert rounding_tolerance((8, 4, 3, 3)) == rounding_tolerance((8, 36)) == pytest.approx(36 * 2.0**-23)
    assert rounding_tolerance((64,)) == pytest.approx(64 * 2.0**-23)
