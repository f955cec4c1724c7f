"""Result of a paired t-test, for any number of tests at once."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

ROUNDING = 1e-12
"""A spread this small beside the values themselves is rounding of double precision."""

SINGLE_PRECISION = float(np.finfo(np.float32).eps)
"""And this small it is rounding of the networks, of which features cannot tell more."""


class PairedTest(NamedTuple):
    """Result of a paired test, one entry a test.

    Attributes
    ----------
    difference, ci_low, ci_high : array
        Mean difference over runs, and its confidence interval.
    effect_size : array
        Mean difference over its standard deviation between runs (Cohen's d_z).
    standard_error : array
        Of the mean difference.
    statistic, p_value : array
        t, and the two-sided p-value.
    df : float
        Degrees of freedom of t.
    """

    difference: Float[np.ndarray, "*test"]
    ci_low: Float[np.ndarray, "*test"]
    ci_high: Float[np.ndarray, "*test"]
    effect_size: Float[np.ndarray, "*test"]
    standard_error: Float[np.ndarray, "*test"]
    statistic: Float[np.ndarray, "*test"]
    p_value: Float[np.ndarray, "*test"]
    df: float


def refer_to_t(
    differences: Float[np.ndarray, "run *test"], variance_of_mean: Float[np.ndarray, "*test"], df: float, alpha: float
) -> PairedTest:
    """Refer the mean of paired differences to Student's t, given the variance of that mean.

    Parameters
    ----------
    differences : array, shape (run, …)
        One difference a run. Where all runs are equal but for rounding, the statistic is NaN.
    variance_of_mean : array
        Estimated variance of the mean over runs.
    df : float
        Degrees of freedom of that estimate.
    alpha : float
        One minus the confidence of the interval.

    Returns
    -------
    PairedTest
        Difference, interval, effect size, statistic and p-value of each test.
    """
    mean = differences.mean(axis=0)
    deviation = differences.std(axis=0, ddof=1)
    # Equal differences have a mean that rounding moves, so that their deviation need not be 0.
    varies = np.ptp(differences, axis=0) > ROUNDING * np.abs(differences).max(axis=0)
    deviation = np.where(varies, deviation, np.nan)
    standard_error = np.sqrt(np.where(varies, variance_of_mean, np.nan))
    statistic = mean / standard_error
    margin = stats.t.ppf(1 - alpha / 2, df) * standard_error
    return PairedTest(
        difference=mean,
        ci_low=mean - margin,
        ci_high=mean + margin,
        effect_size=mean / deviation,
        standard_error=standard_error,
        statistic=statistic,
        p_value=2 * stats.t.sf(np.abs(statistic), df),
        df=df,
    )
