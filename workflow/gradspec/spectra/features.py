r"""Features of a spectrum: one number each, from singular values :math:`\sigma_1 \ge \dots \ge \sigma_r`.

All functions take singular values along the last axis, in any order, any number of leading dims, and NaN where a
singular value is undefined (a group of n samples has no more than its layer's rank allows). A spectrum without any
value, or with an infinite one, gives NaN; so does an undefined ratio (all singular values zero).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gradspec.spectra.power_law import FEWEST_IN_TAIL, fit_power_law

Spectra = Float[np.ndarray, "*batch index"]
Feature = Float[np.ndarray, "*batch"]

N_LEADING = 2
"""Singular values whose share of the energy is taken: as many as there are groups to tell apart."""

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
    takes_floor : bool
        True where rounding counts as the smallest value that is not (`raise_rounding`), else it is zero
        (`drop_rounding`).
    """

    name: str
    formula: str
    unit: str
    source: str
    function: Callable[[Spectra], Feature]
    is_norm: bool = False
    takes_floor: bool = False


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


def log_condition_number(singular_values: Spectra) -> Feature:
    r"""Decimal digits between the largest and the smallest non-zero singular value, :math:`\log_{10}` of their ratio.

    The sounder scale for means and tests. The condition number of a square random matrix exceeds x with a probability
    that falls only as 1/x, so it has no mean, and one step outweighs the others of an epoch; its logarithm has one.

    Take `raise_rounding` first: a gradient that has not full rank, such as that of a read-out of two classes, has a
    tail of rounding that lies now above the tolerance and now below. Set to zero where it is below, the smallest value
    that is not zero jumps by six digits; raised to the tolerance, it stays where it was.

    References
    ----------
    Edelman 1988, "Eigenvalues and condition numbers of random matrices", SIAM J. Matrix Anal. Appl. 9:543.
    """
    logarithm: Feature = np.log10(condition_number(singular_values))
    return logarithm


def numerical_rank(singular_values: Spectra) -> Feature:
    r"""Number of singular values that are not zero, :math:`\#\{i : \sigma_i > 0\}`.

    Take `drop_rounding` first: with `rounding_tolerance` it counts what lies above :math:`\max(m, n) \, 2^{-23} \,
    \sigma_1`, the rule of `numpy.linalg.matrix_rank` in single precision.

    References
    ----------
    Golub and Van Loan 2013, "Matrix Computations", section 5.4.1.
    """
    return _defined(singular_values, np.count_nonzero(_filled(singular_values), axis=-1))


def participation_ratio(singular_values: Spectra) -> Feature:
    r"""Number of directions that share the energy, :math:`(\sum_i \sigma_i^2)^2 / \sum_i \sigma_i^4`, from 1 to r.

    That of the eigenvalues :math:`\sigma_i^2` of :math:`G^\top G`. It weighs large singular values more than the
    effective rank does, and small ones less.

    References
    ----------
    Gao et al. 2017, "A theory of multineuronal dimensionality, dynamics and measurement", bioRxiv 214262.
    """
    energy = np.square(_relative(singular_values)[0])
    ratio: Feature = np.square(energy.sum(axis=-1)) / np.square(energy).sum(axis=-1)
    return ratio


def leading_energy(singular_values: Spectra) -> Feature:
    r"""Share of the energy in the first k = 2 singular values, :math:`\sum_{i \le k} \sigma_i^2 / \sum_i \sigma_i^2`.

    The gradient of a classifier comes to lie in a subspace with as many dimensions as there are classes, here two.

    References
    ----------
    Gur-Ari, Roberts and Dyer 2018, "Gradient descent happens in a tiny subspace", arXiv:1812.04754.
    """
    energy = np.square(_relative(singular_values)[0])
    n_leading = min(N_LEADING, energy.shape[-1])
    leading = np.partition(energy, -n_leading, axis=-1)[..., -n_leading:]
    share: Feature = np.minimum(leading.sum(axis=-1) / energy.sum(axis=-1), 1.0)
    return share


def power_law_exponent(singular_values: Spectra) -> Feature:
    r"""Exponent α of the density :math:`p(\sigma) \propto \sigma^{-\alpha}` of the tail; see `fit_power_law`.

    The smaller, the heavier the tail. Of the energies :math:`\sigma_i^2` it would be :math:`(\alpha + 1) / 2`.
    """
    return fit_power_law(singular_values).exponent


def power_law_distance(singular_values: Spectra) -> Feature:
    """Distance of the tail from the power law that fits it best: how far `power_law_exponent` can be believed.

    Kolmogorov and Smirnov's; see `fit_power_law`. It shrinks as the tail grows, also for a true power law.
    """
    return fit_power_law(singular_values).distance


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
        FeatureDefinition(
            "log_condition_number",
            "log10(σ_1 / smallest σ_i), whose mean exists where that of the ratio may not",
            "1",
            "Edelman 1988",
            log_condition_number,
            takes_floor=True,
        ),
        FeatureDefinition("numerical_rank", "number of σ_i > 0", "1", "Golub & Van Loan 2013", numerical_rank),
        FeatureDefinition(
            "participation_ratio", "(Σ_i σ_i²)² / Σ_i σ_i⁴; from 1 to r", "1", "Gao et al. 2017", participation_ratio
        ),
        FeatureDefinition(
            "leading_energy",
            f"Σ_(i≤{N_LEADING}) σ_i² / Σ_i σ_i²; from 0 to 1",
            "1",
            "Gur-Ari et al. 2018",
            leading_energy,
        ),
        FeatureDefinition(
            "power_law_exponent",
            "α = 1 + t / Σ_(i≤t) ln(σ_i / σ_t), the tail of t values chosen by the smallest power_law_distance among "
            f"those with at least half of the σ_i > 0, and {FEWEST_IN_TAIL}",
            "1",
            "Clauset et al. 2009, eq. 3.1",
            power_law_exponent,
        ),
        FeatureDefinition(
            "power_law_distance",
            "max_(i≤t) |i / t - (σ_i / σ_t)^(1-α)|, Kolmogorov-Smirnov; from 0 (a power law) to 1",
            "1",
            "Clauset et al. 2009, eq. 3.9",
            power_law_distance,
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


def raise_rounding(singular_values: Spectra, tolerance: float) -> Spectra:
    """Raise to `tolerance` times the largest the singular values that are less; NaN stays.

    Unlike `drop_rounding` it is continuous: what rounding makes of a singular value that is zero changes little.
    """
    return np.asarray(np.maximum(singular_values, tolerance * spectral_norm(singular_values)[..., None]))


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
