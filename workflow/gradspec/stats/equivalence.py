r"""Equivalence: evidence that a difference is small, which a large p-value of a test of difference is not.

Two one-sided tests (Schuirmann 1987) refuse, each at level α, that the difference is as large as a margin. The margin
is a share m of the mean of both groups, which is itself estimated; so what is tested is not a difference against a
number but, in each run, the contrast

.. math:: d^\pm = (y_c - y_r) \mp m\, \tfrac12 (|y_r| + |y_c|) ,

whose mean is zero where the relative difference is ±m (Sasabuchi 1988; Hauschke et al. 1999 for the ratio of means).
Whatever paired test is valid for differences is valid for these.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy import stats

from gradspec.stats.paired_test import PairedTest

Values = Float[np.ndarray, "run test"]


def equivalence_p(
    test: Callable[[Values], PairedTest], reference: Values, comparison: Values, margin: float
) -> Float[np.ndarray, "test"]:
    """Test whether two groups differ by less than a share of their mean.

    Parameters
    ----------
    test : callable
        Gives the paired test of differences, shape (run, test).
    reference, comparison : array, shape (run, test)
        Values of the groups in each run; NaN gives NaN.
    margin : float
        Largest difference that counts as none, as a share of the mean of both groups' magnitudes.

    Returns
    -------
    array, shape (test,)
        The larger of the two one-sided p-values: small where the groups are shown to be alike.

    Raises
    ------
    ValueError
        If the margin is not positive.

    References
    ----------
    Schuirmann 1987, J Pharmacokinet Biopharm 15:657. Hauschke, Kieser, Diletti and Burke 1999, Stat Med 18:93.
    """
    if margin <= 0:
        raise ValueError(f"the margin of equivalence must be positive, got {margin}")
    shift = margin * (np.abs(reference) + np.abs(comparison)) / 2
    below, above = test(comparison - reference - shift), test(comparison - reference + shift)
    p_values: Float[np.ndarray, test] = np.maximum(
        stats.t.cdf(below.statistic, below.df), stats.t.sf(above.statistic, above.df)
    )
    return p_values
