"""The power law against the package `powerlaw`, and against laws that are known."""

import warnings

import numpy as np
import pytest

from gradspec.spectra.power_law import FEWEST_IN_TAIL, fit_power_law


def draw(n_spectra, length, exponent, seed=0):
    """Draws of a power law, by its inverse distribution function."""
    uniform = np.random.default_rng(seed).random((n_spectra, length))
    return -np.sort(-((1 - uniform) ** (-1 / (exponent - 1))), axis=-1)


LAWS = {
    "heavy": draw(4, 12, 1.6),
    "light": draw(4, 12, 4.0),
    "long": draw(2, 60, 2.5),
    "short": draw(4, 6, 2.5),
    "gamma": -np.sort(-np.random.default_rng(1).gamma(2.0, size=(4, 20)), axis=-1),
    "of a matrix": np.linalg.svd(np.random.default_rng(2).normal(size=(3, 24, 40)), compute_uv=False),
}


@pytest.mark.parametrize("case", LAWS)
def test_the_package_powerlaw_finds_the_same(case):
    powerlaw = pytest.importorskip("powerlaw", reason="the slow reference is the package powerlaw")
    found = fit_power_law(LAWS[case])
    for i, spectrum in enumerate(LAWS[case]):
        fewest = max(FEWEST_IN_TAIL, (len(spectrum) + 1) // 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            options = {"parameter_ranges": {"alpha": [1, 100]}, "verbose": 0}  # it stops at 3 of itself
            fits = [powerlaw.Fit(spectrum, xmin=minimum, **options) for minimum in spectrum[fewest - 1 :]]
        best = min(fits, key=lambda fit: fit.power_law.D)
        assert found.exponent[i] == pytest.approx(best.power_law.alpha, rel=1e-5)
        assert found.distance[i] == pytest.approx(best.power_law.D, rel=1e-5)
        assert found.n_tail[i] == np.count_nonzero(spectrum >= best.xmin)


@pytest.mark.parametrize("exponent", [1.5, 2.5, 4.0])
def test_the_exponent_of_a_true_power_law_is_recovered(exponent):
    found = fit_power_law(draw(20, 1000, exponent))
    np.testing.assert_allclose(found.exponent.mean(), exponent, rtol=0.03)
    assert found.distance.max() < 0.05


def test_what_is_no_power_law_lies_further_off():
    law, exponential = draw(50, 200, 2.0), np.random.default_rng(0).exponential(size=(50, 200))
    assert fit_power_law(law).distance.max() < fit_power_law(exponential).distance.min()


def test_spectra_of_many_chunks_are_fitted_one_by_one():
    spectra = draw(5000, 7, 2.0)
    spectra[::3, 5:] = np.nan
    together = fit_power_law(spectra.reshape(50, 100, 7))
    alone = [fit_power_law(spectrum) for spectrum in spectra[[0, 1, 4095, 4096, 4999]]]
    for name in together._fields:
        values = getattr(together, name).ravel()[[0, 1, 4095, 4096, 4999]]
        np.testing.assert_array_equal(values, [getattr(fit, name) for fit in alone])


def test_nothing_to_fit_is_no_mistake():
    assert fit_power_law(np.empty((0, 5))).exponent.shape == (0,)
    assert np.isnan(fit_power_law(np.full((3, 4), np.nan)).exponent).all()
