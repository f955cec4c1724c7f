r"""The noise-corrected jackknife t-test: paired differences of repeated cross-validation, with people as the sample.

A spectrum of gradients follows from the participants that a network is trained on, and folds share most of them. The
difference d of the groups in fold k of repeat r is taken as

.. math:: d_{rk} = \mu + \bar a_{-rk} + \varepsilon_{rk}, \qquad r = 1 \dots R,\; k = 1 \dots K,

the mean effect of its training participants plus the noise of one training (initial weights, order of batches). Within
a repeat everybody is left out once. With :math:`\bar a_{-k} - \bar a = -(\bar a_k - \bar a) / (K - 1)`, where
:math:`\bar a_k` is the mean of the fold that is left out, the two mean squares of a one-way analysis of variance expect

.. math::
    W = \frac{\sum_{rk} (d_{rk} - \bar d_r)^2}{R (K - 1)}, \quad
    \mathrm{E} W = \sigma_\varepsilon^2 + \frac{\operatorname{Var} \bar a_k}{(K - 1)^2} =: \sigma_W^2; \qquad
    B = \frac{K \sum_r (\bar d_r - \bar d)^2}{R - 1}, \quad \mathrm{E} B = \sigma_\varepsilon^2 ,

since the mean of a repeat holds every participant equally often, so that repeats differ by noise alone. The mean of
all J = RK differences varies from one sample of participants to the next by :math:`\operatorname{Var} \bar a_k / K`
and by noise:

.. math:: V = c\, (\sigma_W^2 - \sigma_\varepsilon^2) + \sigma_\varepsilon^2 / J, \qquad c = (K - 1)^2 / K .

If no noise is taken off, this is the delete-fold jackknife, c W (Shao and Tu 1995): always enough, but the noise counts
c times in it instead of 1/J times. Putting in W and B is unbiased, but B has only :math:`\nu_B = R - 1` degrees of
freedom: the difference is often far too small, or negative. What is put in are the means of :math:`\sigma_W^2 = (\nu_W
W) / \chi^2_{\nu_W + 2}` and :math:`\sigma_\varepsilon^2 = (\nu_B B) / \chi^2_{\nu_B + 2}` given that
:math:`\sigma_\varepsilon^2 \le \sigma_W^2`: the posterior of Tiao and Tan (1965), but with the prior under which the
means would be W and B themselves without that condition. With the regularised incomplete beta function
:math:`I_u(a, b)` and :math:`u = \nu_W W / (\nu_W W + \nu_B B)`,

.. math::
    \hat\sigma_W^2 = W \frac{I_u(\nu_W / 2, \nu_B / 2 + 1)}{I_u(\nu_W / 2 + 1, \nu_B / 2 + 1)}, \qquad
    \hat\sigma_\varepsilon^2 = B \frac{I_u(\nu_W / 2 + 1, \nu_B / 2)}{I_u(\nu_W / 2 + 1, \nu_B / 2 + 1)} .

Without noise (B = 0) this is the jackknife; with few repeats it takes off little. V is never taken for less than B / J,
what the repeats themselves show, should they differ more than the model allows. Student's t has the degrees of freedom
of W, :math:`1 / \nu_W = 1 / (n - 2) + (1 / (K - 1) - 1 / (n - 2)) / R`: repeats part the same n participants of two
groups anew, so that they add less and less (variance of a mean square over random partitions of normal effects).

Where sites are left out, every repeat has the same partition: the sites are the sample, of which repeats add none, so
that :math:`\nu_W = K - 1` (with few sites the test finds little; it is about other sites, not only other people).

With one repeat there is no B, and the test is the delete-fold jackknife itself. Both are on the safe side where noise
prevails, and where effects of participants are not additive (Efron and Stein 1981). Folds are taken as equally large.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import betainc

from gradspec.stats.paired_test import PairedTest, refer_to_t


def noise_corrected_jackknife_t_test(
    differences: Float[np.ndarray, "repeat fold *test"],
    n_participants: int,
    alpha: float = 0.05,
    *,
    one_partition: bool = False,
) -> PairedTest:
    """Test whether paired differences have mean zero over participants, from runs of a repeated cross-validation.

    Parameters
    ----------
    differences : array, shape (repeat, fold, …)
        One difference a run, for any number of tests at once. Where a run is NaN, or all runs are equal, the statistic
        is NaN. With one repeat the test is the delete-fold jackknife.
    n_participants : int
        Participants of the cohort, of both groups.
    alpha : float
        One minus the confidence of the interval.
    one_partition : bool
        Whether all repeats leave out the same folds, as sites are.

    Returns
    -------
    PairedTest
        Difference, interval, effect size, statistic and p-value of each test.

    Raises
    ------
    ValueError
        With fewer than two folds, or fewer participants than four.

    References
    ----------
    Tiao and Tan 1965, "Bayesian analysis of random-effect models in the analysis of variance. I", Biometrika 52:37.
    Shao and Tu 1995, "The jackknife and bootstrap", section 2.3 (groups left out).
    Efron and Stein 1981, "The jackknife estimate of variance", Annals of Statistics 9:586.
    """
    n_repeats, n_folds = differences.shape[:2]
    if n_folds < 2 or n_participants < 4:
        raise ValueError(f"at least 2 folds and 4 participants are needed, got {n_folds} and {n_participants}")
    means = differences.mean(axis=1)
    within = np.square(differences - means[:, None]).sum(axis=(0, 1)) / (n_repeats * (n_folds - 1))
    df = within_df(1 if one_partition else n_repeats, n_folds, n_participants)
    n_runs, jackknife = n_repeats * n_folds, (n_folds - 1) ** 2 / n_folds
    variance = jackknife * within
    if n_repeats > 1:
        between = n_folds * means.var(axis=0, ddof=1)
        within, noise = _restricted_means(within, between, df, n_repeats - 1)
        variance = np.maximum(jackknife * (within - noise) + noise / n_runs, between / n_runs)
    return refer_to_t(differences.reshape(n_runs, *differences.shape[2:]), variance, df, alpha)


def within_df(n_repeats: int, n_folds: int, n_participants: int) -> float:
    """Degrees of freedom of the mean square within repeats."""
    people, once = 1 / (n_participants - 2), 1 / (n_folds - 1)
    return 1 / (people + (once - people) / n_repeats)


def _restricted_means(
    within: Float[np.ndarray, "*test"], between: Float[np.ndarray, "*test"], df_within: float, df_between: float
) -> tuple[Float[np.ndarray, "*test"], Float[np.ndarray, "*test"]]:
    """Posterior means of the variance within repeats and of the noise, given that the noise is no larger."""
    a, b = df_within / 2, df_between / 2
    with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0 where all runs are equal: NaN there
        u = a * within / (a * within + b * between)
        mass = betainc(a + 1, b + 1, u)
        restricted = within * betainc(a, b + 1, u) / mass, between * betainc(a + 1, b, u) / mass
    # Where repeats differ beyond all measure, the mass underflows; this is the limit.
    pooled = (a * within + b * between) / (a + b + 1)
    lost = mass == 0
    return np.where(lost, pooled * (a + 1) / a, restricted[0]), np.where(lost, pooled, restricted[1])
