r"""The corrected resampled t-test: paired differences of training runs that share training participants.

Folds of a cross-validation train on mostly the same participants, so their results vary less than those of independent
experiments. An ordinary paired t-test takes them for independent and finds differences where there are none. Nadeau and
Bengio (2003) inflate the variance of the mean of J runs from :math:`s^2 / J` to

.. math:: \left( \frac{1}{J} + \frac{\rho}{1 - \rho} \right) s^2 ,

which is exact where two runs correlate by :math:`\rho` on average. For the *error on the test set* they put in
:math:`\rho = n_\text{test} / (n_\text{train} + n_\text{test})`. A spectrum of gradients follows from the *training*
set: with the effects of people adding up, two runs correlate by the share of their training participants that they
have in common, which is far more (in one repeat of K folds, (K - 2) / (K - 1) instead of 1 / K). That share is taken
here (`mean_overlap`); the noise of training only makes the test cautious. For a balanced cross-validation whose repeats
do not differ it is the delete-fold jackknife; see `noise_corrected_jackknife`, the default, which takes the noise off.
"""

import numpy as np
from jaxtyping import Bool, Float

from gradspec.stats.paired_test import PairedTest, refer_to_t


def corrected_resampled_t_test(
    differences: Float[np.ndarray, "run *test"], correlation: float, alpha: float = 0.05, df: float | None = None
) -> PairedTest:
    """Test whether paired differences have mean zero, over runs of a (repeated) cross-validation.

    Parameters
    ----------
    differences : array, shape (run, …)
        One difference a run, for any number of tests at once. Where a run is NaN, or all runs are equal, the statistic
        is NaN.
    correlation : float
        Mean correlation ρ between two runs; 0 gives the ordinary paired t-test.
    alpha : float
        One minus the confidence of the interval.
    df : float, optional
        Degrees of freedom of t; runs less one if not given.

    Returns
    -------
    PairedTest
        Difference, interval, effect size, statistic and p-value of each test.

    Raises
    ------
    ValueError
        With fewer than two runs, or a correlation outside [0, 1).

    References
    ----------
    Nadeau and Bengio 2003, "Inference for the generalization error", Machine Learning 52:239, section 3, equation 9.
    Bouckaert and Frank 2004, "Evaluating the replicability of significance tests for comparing learning algorithms".
    """
    n_runs = len(differences)
    if n_runs < 2 or not 0 <= correlation < 1:
        raise ValueError(f"at least two runs and a correlation in [0, 1) are needed, got {n_runs} and {correlation}")
    variance = differences.var(axis=0, ddof=1) * (1 / n_runs + correlation / (1 - correlation))
    return refer_to_t(differences, variance, n_runs - 1 if df is None else df, alpha)


def mean_overlap(is_training: Bool[np.ndarray, "run participant"]) -> float:
    r"""Share of their training participants that two runs have in common, mean over all pairs of runs.

    It is :math:`|A \cap B| / \sqrt{|A| |B|}`, the correlation of the means over A and B of independent effects.

    Parameters
    ----------
    is_training : array of bool, shape (run, participant)
        Who trained which run; everybody once at least, and nobody all alone.

    Returns
    -------
    float
        Between 0 and 1.
    """
    directions = is_training / np.sqrt(is_training.sum(axis=1, keepdims=True))
    n_runs = len(directions)
    overlap = (np.square(directions.sum(axis=0)).sum() - n_runs) / (n_runs * (n_runs - 1))
    return float(overlap)
