"""What a test could have found: the smallest difference that it sees as often as one asks."""

import numpy as np
from jaxtyping import Float
from scipy import stats
from scipy.special import nctdtrinc

from gradspec.stats.permutation_tail import FEWEST

POWER = 0.8
"""Share of studies in which a difference is to be found that a test is said to be able to find."""

Critical = float | Float[np.ndarray, "*test"]


def least_noncentrality(critical: Critical, df: Critical, power: float = POWER) -> Float[np.ndarray, "*test"]:
    """Smallest difference, in standard errors, that is found as often as one asks.

    Parameters
    ----------
    critical : float or array
        t beyond which a difference is found; infinite where none can be.
    df : float or array
        Degrees of freedom of t.
    power : float
        Share of studies that find it.

    Returns
    -------
    array
        Noncentrality of t; infinite where `critical` is. That a difference is found with the wrong sign, which happens
        in fewer than one study of 10,000, is not counted.
    """
    known = np.isfinite(critical)
    least = nctdtrinc(df, 1 - power, np.where(known, critical, 1.0))
    noncentrality: Float[np.ndarray, "*test"] = np.where(known, least, critical)
    return noncentrality


def detectable_z(n_permutations: int, level: float, power: float = POWER) -> float:
    """Smallest statistic that a one-sided test among permutations finds as often as one asks.

    Parameters
    ----------
    n_permutations : int
        Permutations; their statistics are taken to be normal.
    level : float
        Level of the test, after any correction.
    power : float
        Share of studies that find it.

    Returns
    -------
    float
        In standard deviations of the permutations, from their mean; NaN where so few can find nothing.
    """
    if n_permutations < FEWEST and 1 / (1 + n_permutations) >= level:
        return float("nan")
    df = n_permutations - 1
    critical = float(stats.t.isf(level, df))
    return float(least_noncentrality(critical, df, power) * np.sqrt(1 + 1 / n_permutations))
