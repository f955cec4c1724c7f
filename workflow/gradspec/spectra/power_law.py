r"""Power law of a spectrum: exponent and distance, for a million spectra at a time.

The tail of the values :math:`\sigma \ge x_{\min}` is held against the density
:math:`p(\sigma) = \frac{\alpha - 1}{x_{\min}} (\sigma / x_{\min})^{-\alpha}`.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

FEWEST_IN_TAIL = 5
"""Singular values that a tail has at least."""

_CHUNK = 4096  # spectra at a time: what the search for x_min looks at stays in the cache


class PowerLaw(NamedTuple):
    """Fit of a power law to each spectrum; NaN where there is none.

    Attributes
    ----------
    exponent : array
        Exponent α of the density.
    distance : array
        Kolmogorov-Smirnov distance D of the tail from the fitted law, from 0 (a power law) to 1.
    n_tail : array
        Singular values in the tail.
    """

    exponent: Float[np.ndarray, "*batch"]
    distance: Float[np.ndarray, "*batch"]
    n_tail: Float[np.ndarray, "*batch"]


def fit_power_law(singular_values: Float[np.ndarray, "*batch index"]) -> PowerLaw:
    r"""Fit a power law to the tail of each spectrum, by maximum likelihood.

    With the t values :math:`\sigma_1 \ge \dots \ge \sigma_t = x_{\min}` in the tail,

    .. math:: \hat\alpha_t = 1 + t \Big/ \sum_{i \le t} \ln \frac{\sigma_i}{\sigma_t},
              \qquad D_t = \max_{i \le t} \Big| \frac{\#\{j : \sigma_j \ge \sigma_i\}}{t}
                           - \Big(\frac{\sigma_i}{\sigma_t}\Big)^{1 - \hat\alpha_t} \Big|,

    and :math:`x_{\min}` is the singular value with the smallest :math:`D_t` among those that leave at least half of the
    non-zero values in the tail, and `FEWEST_IN_TAIL`. Without the half, spectra of ten to fifty values are cut down to
    a handful that any law fits. The empirical distribution in :math:`D_t` counts the values below, not up to,
    :math:`\sigma_i`, as in the authors' own program.

    Parameters
    ----------
    singular_values : array
        In any order, NaN where undefined. Zeros take no part.

    Returns
    -------
    PowerLaw
        NaN where fewer than `FEWEST_IN_TAIL` values are positive, where all of them are equal, or where one is
        infinite.

    References
    ----------
    Clauset, Shalizi and Newman 2009, "Power-law distributions in empirical data", SIAM Review 51:661, equations 3.1
    (exponent) and 3.9 (distance and choice of the minimum).
    """
    batch = singular_values.shape[:-1]
    spectra = singular_values.reshape(math.prod(batch), singular_values.shape[-1])
    fits = np.full((3, len(spectra)), np.nan)
    for start in range(0, len(spectra), _CHUNK):
        fits[:, start : start + _CHUNK] = _fit(spectra[start : start + _CHUNK])
    return PowerLaw(*(fit.reshape(batch) for fit in fits))


def _fit(spectra: Float[np.ndarray, "spectrum index"]) -> Float[np.ndarray, "3 spectrum"]:
    """Fit a chunk; values lie along the first axis here, so that each tail is one block of memory."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithms = np.log(-np.sort(-np.where(np.isnan(spectra), 0.0, spectra), axis=-1).T)
    n_positive = np.isfinite(logarithms).sum(axis=0)
    n_positive[np.isposinf(logarithms).any(axis=0)] = 0
    logarithms -= np.where(n_positive > 0, logarithms[0], 0.0)  # the exponent has no scale, and sums stay small
    logarithms = np.where(np.arange(len(logarithms))[:, None] < n_positive, logarithms, 0.0)
    at_least = _count_at_least(logarithms, n_positive)
    fewest = np.maximum(FEWEST_IN_TAIL, (n_positive + 1) // 2)
    totals = np.cumsum(logarithms, axis=0)
    fits = np.full((3, len(spectra)), np.nan)
    nearest = np.full(len(spectra), np.inf)
    for t in range(FEWEST_IN_TAIL, n_positive.max(initial=0) + 1):
        smallest = logarithms[t - 1]
        spread = totals[t - 1] - t * smallest
        candidate = (t >= fewest) & (t <= n_positive) & (at_least[t - 1] == t) & (logarithms[0] > smallest)
        slope = np.divide(t, spread, out=np.zeros_like(spread), where=candidate & (spread > 0))
        survival = np.exp(slope * (smallest - logarithms[:t]))
        survival -= at_least[:t] / t
        distance = np.abs(survival, out=survival).max(axis=0)
        better = candidate & (spread > 0) & (distance < nearest)
        nearest[better] = distance[better]
        fits[:, better] = 1 + slope[better], distance[better], np.full(np.count_nonzero(better), t)
    return fits


def _count_at_least(
    logarithms: Float[np.ndarray, "index spectrum"], n_positive: Int[np.ndarray, "spectrum"]
) -> Float[np.ndarray, "index spectrum"]:
    """Count for each value those that are as large or larger: its place, or that of the last of its equals."""
    place = np.arange(1, len(logarithms) + 1)[:, None]
    last = np.ones(logarithms.shape, dtype=bool)
    last[:-1] = (logarithms[1:] < logarithms[:-1]) | (place[:-1] == n_positive)
    ends = np.where(last, place, len(logarithms)).astype(float)
    return np.minimum.accumulate(ends[::-1], axis=0)[::-1]
