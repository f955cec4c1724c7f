"""Confidence intervals of standardised effects, by inverting the noncentral t distribution."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import nctdtrinc


class EffectInterval(NamedTuple):
    """Ends of the interval of an effect size, one entry a test."""

    low: Float[np.ndarray, "*test"]
    high: Float[np.ndarray, "*test"]


def effect_interval(
    effect_size: Float[np.ndarray, "*test"], statistic: Float[np.ndarray, "*test"], df: float, alpha: float = 0.05
) -> EffectInterval:
    r"""Confidence interval of a standardised difference, such as Cohen's d.

    The noncentrality :math:`\delta` of t is the effect size over :math:`k = d / t`, the standard error of the
    difference in standard deviations. Its ends are those under which so large, or so small, a t has the
    probability α/2.
    Exact for the ordinary and the corrected resampled t, where k is known beforehand; for the jackknife k is estimated,
    and the interval is approximate.

    Parameters
    ----------
    effect_size, statistic : array
        Standardised difference, and t of the same difference.
    df : float
        Degrees of freedom of t.
    alpha : float
        One minus the confidence.

    Returns
    -------
    EffectInterval
        NaN where the statistic is NaN. It holds zero exactly where the test does not reject at `alpha`.

    References
    ----------
    Steiger and Fouladi 1997, "Noncentrality interval estimation"; Goulet-Pelletier and Cousineau 2018 for d_z.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.where(statistic == 0, np.nan, effect_size / statistic)
    # The quantile function is asked for positive t only, where its search is stable; the sign is put back.
    size = np.abs(statistic)
    near, far = nctdtrinc(df, 1 - alpha / 2, size), nctdtrinc(df, alpha / 2, size)
    negative = statistic < 0
    low, high = np.where(negative, -far, near), np.where(negative, -near, far)
    return EffectInterval(scale * low, scale * high)
