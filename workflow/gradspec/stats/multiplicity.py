"""Correction of p-values for their number, within a family of tests that is named."""

import numpy as np
from jaxtyping import Float
from statsmodels.stats.multitest import multipletests

CORRECTIONS = {"benjamini-hochberg": "fdr_bh", "holm": "holm", "benjamini-yekutieli": "fdr_by"}


def correct(p_values: Float[np.ndarray, "test"], correction: str) -> Float[np.ndarray, "test"]:
    """Correct p-values for their number; NaN (not tested) stays and is not counted.

    Parameters
    ----------
    p_values : array, shape (test,)
        All p-values of a family.
    correction : str
        One of `CORRECTIONS`: Holm bounds the chance of any false discovery, the other two bound the expected share of
        false ones among the discoveries (Benjamini and Yekutieli whatever the dependence of the tests).

    Returns
    -------
    array, shape (test,)
        Corrected p-values.

    References
    ----------
    Holm 1979; Benjamini and Hochberg 1995; Benjamini and Yekutieli 2001.
    """
    corrected = np.full(len(p_values), np.nan)
    tested = ~np.isnan(p_values)
    if tested.any():
        corrected[tested] = multipletests(p_values[tested], method=CORRECTIONS[correction])[1]
    return corrected


def interval_level(p_values: Float[np.ndarray, "test"], correction: str, alpha: float) -> Float[np.ndarray, "test"]:
    r"""One minus the confidence of the interval that goes with each corrected p-value.

    An interval of this level holds zero exactly where the corrected p is not below `alpha`, so that the two never say
    different things. For Benjamini and Hochberg it is :math:`\alpha R / m`, R of m tests being found: of those that
    are found, the expected share of intervals that miss their value is then at most `alpha`.

    Parameters
    ----------
    p_values : array, shape (test,)
        All p-values of a family, not corrected; NaN where there is no test.
    correction : str
        One of `CORRECTIONS`.
    alpha : float
        Level of the corrected p.

    Returns
    -------
    array, shape (test,)
        Never above `alpha`.

    References
    ----------
    Benjamini and Yekutieli 2005, "False discovery rate-adjusted multiple confidence intervals".
    """
    found = correct(p_values, correction) < alpha
    n_tests, n_found = int((~np.isnan(p_values)).sum()), int(found.sum())
    if not n_tests:
        return np.full(len(p_values), alpha)
    if correction == "holm":  # the last that was found was held against the first of these, the next against the second
        return np.where(found, alpha / (n_tests - n_found + 1), alpha / max(n_tests - n_found, 1))
    harmonic = (1 / np.arange(1, n_tests + 1)).sum() if correction == "benjamini-yekutieli" else 1.0
    return np.full(len(p_values), alpha * max(n_found, 1) / (n_tests * harmonic))
