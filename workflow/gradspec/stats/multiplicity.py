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
