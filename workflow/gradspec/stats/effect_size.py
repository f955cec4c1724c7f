"""Confidence intervals of standardised effects, by inverting the noncentral t distribution."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import nctdtrinc

from gradspec.stats.paired_test import PairedTest


class EffectInterval(NamedTuple):
    """Ends of the interval of an effect size, one entry a test."""

    low: Float[np.ndarray, "*test"]
    high: Float[np.ndarray, "*test"]


def effect_interval(test: PairedTest, alpha: float = 0.05) -> EffectInterval:
    r"""Confidence interval of Cohen's d_z.

    The noncentrality :math:`\delta` of t is the effect size over :math:`k = d_z / t`, the standard error of the mean in
    standard deviations of a run. Its ends are those under which so large, or so small, a t has the probability α/2.
    Exact for the ordinary and the corrected resampled t, where k is known beforehand; for the jackknife k is estimated,
    and the interval is approximate.

    Parameters
    ----------
    test : PairedTest
        Result of a paired test.
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
        scale = np.where(test.statistic == 0, np.nan, test.effect_size / test.statistic)
    # The quantile function is asked for positive t only, where its search is stable; the sign is put back.
    size = np.abs(test.statistic)
    near, far = nctdtrinc(test.df, 1 - alpha / 2, size), nctdtrinc(test.df, alpha / 2, size)
    negative = test.statistic < 0
    low, high = np.where(negative, -far, near), np.where(negative, -near, far)
    return EffectInterval(scale * low, scale * high)
