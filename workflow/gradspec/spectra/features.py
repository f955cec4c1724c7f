r"""Features of a spectrum: one number each, from singular values :math:`\sigma_1 \ge \dots \ge \sigma_r`.

All functions take singular values along the last axis, any number of leading dims, and NaN where a singular value is
undefined (a group of n samples has no more than its layer's rank allows). A spectrum without any value, or with an
infinite one, gives NaN; so does an undefined ratio (all singular values zero).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Spectra = Float[np.ndarray, "*batch index"]
Feature = Float[np.ndarray, "*batch"]

_SINGLE_PRECISION = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class FeatureDefinition:
    """What a feature is, for tables and documentation.

    Attributes
    ----------
    name, formula, unit, source : str
        Name of the column, formula in terms of σ, unit, and where it is defined.
    function : callable
        Computes it.
    is_norm : bool
        True where it grows with the gradient, so that it must be taken of the mean over a group's samples.
    """

    name: str
    formula: str
    unit: str
    source: str
    function: Callable[[Spectra], Feature]
    is_norm: bool = False


def spectral_norm(singular_values: Spectra) -> Feature:
    r"""Largest singular value, :math:`\sigma_1`."""
    return _defined(singular_values, np.max(_filled(singular_values), axis=-1, initial=0.0))


def nuclear_norm(singular_values: Spectra) -> Feature:
    r"""Sum of the singular values, :math:`\sum_i \sigma_i`."""
    return _defined(singular_values, _filled(singular_values).sum(axis=-1))


def frobenius_norm(singular_values: Spectra) -> Feature:
    r"""Root of the sum of squares, :math:`\sqrt{\sum_i \sigma_i^2}`."""
    relative, largest = _relative(singular_values)
    return np.where(largest == 0, 0.0, largest * np.sqrt(np.square(relative).sum(axis=-1)))


def effective_rank(singular_values: Spectra) -> Feature:
    r"""Exponential of the Shannon entropy: :math:`\exp(-\sum_i p_i \ln p_i)`, :math:`p_i = \sigma_i / \sum_j \sigma_j`.

    References
    ----------
    Roy and Vetterli 2007, "The effective rank: a measure of effective dimensionality", definition 1.
    """
    rank: Feature = np.exp(_shannon(singular_values))
    return rank


def stable_rank(singular_values: Spectra) -> Feature:
    r"""Squared Frobenius over squared spectral norm, :math:`\sum_i \sigma_i^2 / \sigma_1^2`.

    References
    ----------
    Rudelson and Vershynin 2007, "Sampling from large matrices", section 1 (there "numerical rank").
    """
    relative, _ = _relative(singular_values)
    rank: Feature = np.square(relative).sum(axis=-1)
    return rank


def entropy(singular_values: Spectra) -> Feature:
    r"""Shannon entropy as a share of the largest possible, :math:`-\sum_i p_i \ln p_i / \ln r`, from 0 to 1.

    0 where one direction holds everything, 1 where all r are equal; r counts the singular values that are defined,
    zeros included. Undefined where r is 1. The effective rank is ``r ** entropy``.

    References
    ----------
    Alter, Brown and Botstein 2000, PNAS 97:10101 (normalised Shannon entropy of a singular value decomposition; here of
    σ, not σ², so that it is the entropy of Roy and Vetterli 2007).
    """
    count = np.isfinite(singular_values).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(count > 1, np.minimum(_shannon(singular_values) / np.log(count), 1.0), np.nan)


def condition_number(singular_values: Spectra) -> Feature:
    r"""Largest over smallest non-zero singular value, :math:`\sigma_1 / \min_{\sigma_i > 0} \sigma_i`.

    The condition number with respect to the pseudo-inverse, so that a gradient which cannot have full rank (fewer
    samples than rows and columns) has a finite one. Take `drop_rounding` first.

    References
    ----------
    Golub and Van Loan 2013, "Matrix Computations", section 5.3.
    """
    relative, _ = _relative(singular_values)
    smallest = np.min(np.where(relative > 0, relative, np.inf), axis=-1, initial=np.inf)
    return np.where(np.isfinite(smallest), 1 / smallest, np.nan)


FEATURES = {
    definition.name: definition
    for definition in (
        FeatureDefinition("spectral_norm", "σ_1", "of the gradient", "largest singular value", spectral_norm, True),
        FeatureDefinition("nuclear_norm", "Σ_i σ_i", "of the gradient", "Schatten 1-norm", nuclear_norm, True),
        FeatureDefinition(
            "frobenius_norm", "sqrt(Σ_i σ_i²)", "of the gradient", "Schatten 2-norm", frobenius_norm, True
        ),
        FeatureDefinition(
            "effective_rank", "exp(-Σ_i p_i ln p_i), p_i = σ_i / Σ_j σ_j", "1", "Roy & Vetterli 2007", effective_rank
        ),
        FeatureDefinition("stable_rank", "Σ_i σ_i² / σ_1²", "1", "Rudelson & Vershynin 2007", stable_rank),
        FeatureDefinition(
            "entropy",
            "-Σ_i p_i ln p_i / ln r, p_i = σ_i / Σ_j σ_j, r singular values; from 0 to 1",
            "1",
            "Roy & Vetterli 2007, normalised as in Alter et al. 2000",
            entropy,
        ),
        FeatureDefinition(
            "condition_number",
            "σ_1 / smallest σ_i > 0",
            "1",
            "Golub & Van Loan 2013, with respect to the pseudo-inverse",
            condition_number,
        ),
    )
}


def rounding_tolerance(shape: tuple[int, ...]) -> float:
    """Size, relative to σ₁, up to which a singular value is rounding of single precision.

    The larger side of the matrix times the machine epsilon of float32, as in `numpy.linalg.matrix_rank`. Networks
    compute in float32, so the double precision of the spectra does not make smaller values meaningful.

    Parameters
    ----------
    shape : tuple of int
        Shape of the weight, outputs first; further dims (kernels) count as inputs.
    """
    return _SINGLE_PRECISION * max(shape[0], int(np.prod(shape[1:])))


def drop_rounding(singular_values: Spectra, tolerance: float) -> Spectra:
    """Set to zero the singular values that are at most `tolerance` times the largest; NaN stays."""
    largest = spectral_norm(singular_values)[..., None]
    return np.where(singular_values <= tolerance * largest, 0.0, singular_values)


def _filled(singular_values: Spectra) -> Spectra:
    """Singular values with 0 for NaN."""
    return np.where(np.isnan(singular_values), 0.0, singular_values)


def _defined(singular_values: Spectra, feature: Feature) -> Feature:
    """`feature` where the spectrum has a value and none is infinite, else NaN."""
    undefined = np.isnan(singular_values).all(axis=-1) | np.isinf(singular_values).any(axis=-1)
    return np.where(undefined, np.nan, feature)


def _relative(singular_values: Spectra) -> tuple[Spectra, Feature]:
    """Singular values over the largest (so that no square under- or overflows), and the largest.

    NaN in a spectrum that has other values becomes 0; a spectrum of zeros, or undefined, becomes NaN.
    """
    largest = spectral_norm(singular_values)
    with np.errstate(invalid="ignore"):
        return _filled(singular_values) / np.where(largest > 0, largest, np.nan)[..., None], largest


def _shannon(singular_values: Spectra) -> Feature:
    """Shannon entropy of σ over its sum, in nats."""
    relative, _ = _relative(singular_values)
    total = relative.sum(axis=-1)
    logarithm = np.log(relative, out=np.zeros_like(relative), where=relative > 0)
    nats: Feature = np.maximum(np.log(total) - (relative * logarithm).sum(axis=-1) / total, 0.0)
    return nats
