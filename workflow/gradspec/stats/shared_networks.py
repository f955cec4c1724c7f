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
from jaxtyping import Float
from scipy import stats

VARIANCE_FACTOR = 2.0


def p_against_chance(estimate: float, resamples: Float[np.ndarray, "resample"], chance: float) -> float:
    """Two-sided p-value of a measure of performance that would be `chance` if nothing had been learnt.

    Parameters
    ----------
    estimate : float
        Its value on people whom the networks did not see in training.
    resamples : array
        Its values on bootstrap resamples of these people.
    chance : float
        Its expectation where the groups mean nothing.

    Returns
    -------
    float
        Of the normal distribution with the standard deviation of the resamples, enlarged for the networks that people
        share; NaN where that is zero or not defined.
    """
    deviation = np.sqrt(VARIANCE_FACTOR) * float(np.std(resamples, ddof=1))
    return float(2 * stats.norm.sf(abs(estimate - chance) / deviation)) if deviation > 0 else float("nan")
