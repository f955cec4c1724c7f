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


def critical_p(p_values: Float[np.ndarray, "test"], correction: str, alpha: float) -> float:
    """P-value that parts the tests of a family that are found from those that are not.

    Intervals of one minus this coverage exclude zero exactly where the corrected p is below `alpha`. For the two rates
    of false discoveries they are those of Benjamini and Yekutieli 2005, "False discovery rate-adjusted multiple
    confidence intervals" (J Am Stat Assoc 100:71).

    Parameters
    ----------
    p_values : array, shape (test,)
        All p-values of a family; NaN where there is no test.
    correction : str
        One of `CORRECTIONS`.
    alpha : float
        Level of the corrected p.
    """
    known = p_values[~np.isnan(p_values)]
    n_tests = max(len(known), 1)
    n_found = int((correct(known, correction) < alpha).sum())
    if correction == "holm":
        return alpha / max(n_tests - n_found, 1)
    harmonic = float((1 / np.arange(1, n_tests + 1)).sum()) if correction == "benjamini-yekutieli" else 1.0
    return alpha * max(n_found, 1) / (n_tests * harmonic)
