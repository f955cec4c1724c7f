r"""What a cross-validation does to tests of people whom the networks of the other people scored.

Everybody trained the networks that scored the others. Take groups :math:`y_i = \pm 1` that mean nothing, and networks
whose score is, to first order, a sum over the training set with a symmetric kernel (Jacot et al. 2018),
:math:`s_i = \sum_{j \ne i} k_{ij} y_j`. The difference between the scores of the groups is in proportion to

.. math:: \sum_i y_i s_i = 2 \sum_{i < j} k_{ij} y_i y_j, \qquad
          \text{whose variance } 4 \sum_{i < j} k_{ij}^2 \text{ is twice the } \sum_i s_i^2 = 2 \sum_{i < j} k_{ij}^2

on average that is found where people are taken for independent: what i does for the score of j, j does for that of i.
So a test whether networks tell groups apart at all has twice the variance. The benchmark of calibration shows that it
then keeps its level, and that without the factor one in six cohorts of random groups seems to be told apart.
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from gradspec.stats.paired_test import ROUNDING

VARIANCE_FACTOR = 2.0


def p_against_chance(votes: Float[np.ndarray, "participant"], in_group: Bool[np.ndarray, "participant"]) -> float:
    r"""Two-sided p-value of what the networks say of people inside and outside of a group being the same on average.

    Parameters
    ----------
    votes : array
        What they say of people whom they did not see in training. With ranks of the predictions it is the test of
        Wilcoxon, Mann and Whitney, of an area under the ROC curve of 0.5.
    in_group : array of bool
        Who is in the group; both sides have somebody.

    Returns
    -------
    float
        Of the normal distribution with the variance of the difference of the means under permutations of the groups
        (Cox and Hinkley 1974, section 6.2), :math:`s^2 (1/n_0 + 1/n_1)`, s² being that of all people, times
        `VARIANCE_FACTOR`. NaN where all votes are equal.
    """
    sizes = int(in_group.sum()), int((~in_group).sum())
    variance = VARIANCE_FACTOR * votes.var(ddof=1) * sum(1 / size for size in sizes)
    difference = votes[in_group].mean() - votes[~in_group].mean()
    if np.ptp(votes) <= ROUNDING * np.abs(votes).max():  # the variance of equal votes need not be exactly 0
        return float("nan")
    return float(2 * stats.norm.sf(abs(difference) / np.sqrt(variance)))
