r"""The corrected resampled t-test: paired differences of training runs that share training samples.

Folds of a cross-validation train on mostly the same participants, so their results vary less than those of independent
experiments. An ordinary paired t-test takes them for independent and finds differences where there are none. Nadeau and
Bengio (2003) inflate the variance of the mean of J runs from :math:`s^2 / J` to

.. math:: \left( \frac{1}{J} + \frac{n_\text{test}}{n_\text{train}} \right) s^2 ,

which is exact where any two runs correlate by :math:`\rho = n_\text{test} / (n_\text{train} + n_\text{test})`. With
repeated cross-validation the same formula holds for all J = repeats × folds runs (Bouckaert and Frank 2004). It
speaks about training again on folds of the same cohort. ρ was meant for errors on test sets; a quantity that follows
from the training participants, as spectra of their gradients do, can correlate more strongly between folds, and then
the variance is still too small and the test too eager: see `noise_corrected_jackknife`, the default.
"""

import numpy as np
from jaxtyping import Float

from gradspec.stats.paired_test import PairedTest, refer_to_t


def corrected_resampled_t_test(
    differences: Float[np.ndarray, "run *test"], test_train_ratio: float, alpha: float = 0.05
) -> PairedTest:
    """Test whether paired differences have mean zero, over runs of a (repeated) cross-validation.

    Parameters
    ----------
    differences : array, shape (run, …)
        One difference a run, for any number of tests at once. Where a run is NaN, or all runs are equal, the statistic
        is NaN.
    test_train_ratio : float
        Test over training participants of a run; 0 gives the ordinary paired t-test.
    alpha : float
        One minus the confidence of the interval.

    Returns
    -------
    PairedTest
        Difference, interval, effect size, statistic and p-value of each test.

    Raises
    ------
    ValueError
        With fewer than two runs, or a negative ratio.

    References
    ----------
    Nadeau and Bengio 2003, "Inference for the generalization error", Machine Learning 52:239, equation 9 and section 4.
    Bouckaert and Frank 2004, "Evaluating the replicability of significance tests for comparing learning algorithms".
    """
    n_runs = len(differences)
    if n_runs < 2 or test_train_ratio < 0:
        raise ValueError(f"at least two runs and a ratio of at least 0 are needed, got {n_runs} and {test_train_ratio}")
    variance = differences.var(axis=0, ddof=1) * (1 / n_runs + test_train_ratio)
    return refer_to_t(differences, variance, n_runs - 1, alpha)
