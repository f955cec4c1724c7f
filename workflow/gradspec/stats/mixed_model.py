r"""A linear mixed model of trajectories: the mean difference of the groups, and how it changes over training.

For the feature y of group g (−½ reference, +½ comparison) in run i and epoch e, at time :math:`\tau_e` (−½ first epoch,
+½ last):

.. math:: y = \alpha_e + \beta_1 g + \beta_2 g \tau_e + (u_{0i} + u_{1i}\, g + u_{2i}\, g \tau_e) + \varepsilon .

Here :math:`\alpha_e` is what both groups have in common, whatever its course, :math:`\beta_1` their difference in the
middle of training, and :math:`\beta_2` its change from the first epoch to the last. Random differences of a run
(:math:`u_1, u_2`) beside its random intercept make the run the unit of replication: with the intercept alone, epochs
would be taken for replicates, though they are anything but independent (Barr et al. 2013).

What both groups have in common leaves their difference in an epoch, :math:`d_{ie} = \beta_1 + u_{1i} + (\beta_2 +
u_{2i}) \tau_e + \varepsilon`. Least squares gives the line of each run, :math:`b_i`, its level and slope, with variance

.. math:: V_i = \Psi + \sigma^2 A_i, \qquad A_i = (X_i^\top X_i)^{-1},

where Ψ is the covariance of :math:`(u_1, u_2)` and :math:`X_i` has a row :math:`(1, \tau_e)` for each epoch of the run.

**The same epochs in every run.** All :math:`V_i` are one V, so that whatever it is, generalised least squares gives the
mean of the lines, and restricted likelihood estimates V by their sample covariance S: the error of β is the root of
:math:`S / J`, and Student's t of J - 1 degrees of freedom is exact. There is nothing to search. Only V has to be a
covariance, not Ψ, which the estimate :math:`S - \hat\sigma^2 A` need not be (Verbeke and Molenberghs 2000). A search
that keeps Ψ one ends at its boundary wherever runs hardly differ, and there errors are too large by chance.

**Other epochs in other runs** (where training stopped early, say). The variances are fitted by moments, again without a
search: :math:`\hat\sigma^2` from what the lines leave over, and :math:`\hat\Psi = S - \hat\sigma^2 \bar A`, of which
the nearest covariance is taken (Swamy 1970). Generalised least squares weighs the lines by them,

.. math:: \hat\beta = M \sum_i V_i^{-1} b_i, \qquad M = \Bigl(\sum_i V_i^{-1}\Bigr)^{-1},
          \qquad w_i = V_i^{-1} M c

for the effect that c picks. Few runs tell little of Ψ, and M alone gives errors that are too small where it is taken
for too small. So the error is what the weighted lines show, each enlarged to the expectation that M has,

.. math:: \hat v = \sum_i h_i \bigl(w_i^\top (b_i - \hat\beta)\bigr)^2, \qquad
          h_i = \frac{w_i^\top V_i w_i}{w_i^\top (V_i - M) w_i},

with Satterthwaite's degrees of freedom of that sum (bias-reduced linearisation: Bell and McCaffrey 2002; Pustejovsky
and Tipton 2018), which are J - 1 of equal runs. The weights are then only a matter of precision. In simulations of 3 to
40 runs, of which epochs are missing here and there or from some epoch on, it rejects a true null in 2 to 6 % at 5 %;
errors from M alone did in 0 to 9 %.

The two-stage analysis of summary measures takes every line for as good as another (Frison and Pocock 1992); it keeps
its level without any variance being fitted, since t is cautious where variances differ (Bakirov and Székely 2005). It
stands in for the model, and the test says so, where the widths of their intervals are not within a factor of `FACTOR`,
or no run has more than two epochs.

The model takes runs for independent, which folds are not. So the variance of each effect is multiplied by the design
effect of the cross-validation (Kish 1965): the variance that a paired test which is valid for such runs, the
noise-corrected jackknife say, finds for the level and slope of the lines through each run, over the :math:`S / J` of J
independent runs. Student's t has the degrees of freedom of that test, less by as much as Satterthwaite's are less than
J - 1. With the same epochs in every run the model is the paired test of the lines.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from gradspec.stats.paired_test import ROUNDING, PairedTest

Trajectory = Float[np.ndarray, "run epoch"]
Defined = Bool[np.ndarray, "run epoch"]
Lines = Float[np.ndarray, "run 2"]
PairedTestOfRuns = Callable[[Lines], PairedTest]

MIXED = "mixed model"
TWO_STAGE = "two-stage summary measures"
EFFECTS = ("group", "group × epoch")

COMPLETE = "the same epochs in every run: equal to the two-stage analysis"
WEIGHTED = "other epochs in other runs, which are weighed by the variances that were fitted"
NO_NOISE = "no run has more than two epochs, so that the mixed model cannot tell noise from differences of runs"
SAME = "the same in every run"

FACTOR = 2.0
"""By how much the intervals of the model and of the two-stage analysis may differ for the model to be trusted."""
DISAGREE = f"the interval of the mixed model is not within a factor of {FACTOR:g} of that of the two-stage analysis"

_RIDGE = 1e-8  # share of all variance that is added to that of a line, so that a singular one can be inverted


class MixedEffects(NamedTuple):
    """Fixed effects of the group and of its product with time, in the unit of the feature.

    Attributes
    ----------
    estimate, ci_low, ci_high, statistic, p_value : array, shape (2,)
        For the difference in the middle of training, and for its change over training, in the order of `EFFECTS`. An
        effect that is the same in every run has an estimate only.
    design_effect : array, shape (2,)
        By which the variance of the model was multiplied.
    relative_width : array, shape (2,)
        Width of the interval over that of the two-stage analysis.
    df : array, shape (2,)
        Degrees of freedom of t.
    test : str
        What stands: `MIXED` or `TWO_STAGE`.
    note : tuple of str
        Why, for each effect.
    """

    estimate: Float[np.ndarray, "2"]
    ci_low: Float[np.ndarray, "2"]
    ci_high: Float[np.ndarray, "2"]
    statistic: Float[np.ndarray, "2"]
    p_value: Float[np.ndarray, "2"]
    design_effect: Float[np.ndarray, "2"]
    relative_width: Float[np.ndarray, "2"]
    df: Float[np.ndarray, "2"]
    test: str
    note: tuple[str, str]


class Fit(NamedTuple):
    """Estimates of both effects, their standard errors and degrees of freedom, as if runs were independent."""

    estimate: Float[np.ndarray, "2"]
    error: Float[np.ndarray, "2"]
    df: Float[np.ndarray, "2"]


def fit_mixed_model(
    reference: Trajectory, comparison: Trajectory, paired_test: PairedTestOfRuns, alpha: float = 0.05
) -> MixedEffects:
    """Fit the model without a search, and hold it against the two-stage analysis.

    Parameters
    ----------
    reference, comparison : array, shape (run, epoch)
        Trajectories of both groups, in any unit. Epochs that are NaN in a run are left out.
    paired_test : callable
        Test of differences, an array (run, effect), that is valid for these runs.
    alpha : float
        One minus the confidence of the intervals.

    Returns
    -------
    MixedEffects
        Effects, with the standard errors of the model, enlarged by the design effect.

    Raises
    ------
    ValueError
        With fewer than three runs or two epochs in which both groups are defined.

    References
    ----------
    Swamy 1970, "Efficient inference in a random coefficient regression model", Econometrica 38:311.
    Bell and McCaffrey 2002, "Bias reduction in standard errors for linear regression with multi-stage samples", Survey
    Methodology 28:169. Pustejovsky and Tipton 2018, J Bus Econ Stat 36:672.
    Bakirov and Székely 2005, "Student's t-test for Gaussian scale mixtures".
    Kish 1965, "Survey sampling".
    """
    defined = np.isfinite(reference) & np.isfinite(comparison)
    n_runs = len(reference)
    if n_runs < 3 or (defined.sum(axis=1) < 2).any():
        raise ValueError(f"at least 3 runs with 2 epochs each are needed, got {n_runs} runs of {defined.sum(axis=1)}")
    time = np.linspace(-0.5, 0.5, reference.shape[1])
    level = float(np.abs(np.concatenate([reference[defined], comparison[defined]])).max()) or 1.0
    differences = np.where(defined, (comparison - reference) / level, 0.0)
    lines, shape = _fit_lines(differences, defined, time), _shapes(defined, time)
    paired = paired_test(lines)
    rounding = ROUNDING * np.sqrt(1 + np.einsum("iee->ie", shape).max(axis=0))
    varies = (np.ptp(lines, axis=0) > rounding) & np.isfinite(paired.standard_error)
    df = np.full(2, float(paired.df))
    two_stage = Fit(lines.mean(axis=0), lines.std(axis=0, ddof=1) / np.sqrt(n_runs), df)
    chosen, test, reason = two_stage, MIXED, COMPLETE
    if varies.any() and (defined != defined[0]).any():
        chosen, test, reason = _weigh(differences, defined, time, lines, shape, two_stage, varies, alpha)
    with np.errstate(invalid="ignore", divide="ignore"):
        design_effect = np.where(varies, np.square(paired.standard_error / two_stage.error), np.nan)
        error = chosen.error * np.sqrt(design_effect)
        statistic = chosen.estimate / error
        margin = stats.t.ppf(1 - alpha / 2, chosen.df) * error
        relative_width = _margin(chosen, alpha) / np.where(varies, _margin(two_stage, alpha), np.nan)
    return MixedEffects(
        estimate=chosen.estimate * level,
        ci_low=(chosen.estimate - margin) * level,
        ci_high=(chosen.estimate + margin) * level,
        statistic=statistic,
        p_value=2 * stats.t.sf(np.abs(statistic), chosen.df),
        design_effect=design_effect,
        relative_width=relative_width,
        df=chosen.df,
        test=test,
        note=(reason if varies[0] else SAME, reason if varies[1] else SAME),
    )


def _weigh(
    differences: Trajectory,
    defined: Defined,
    time: Float[np.ndarray, "epoch"],
    lines: Lines,
    shape: Float[np.ndarray, "run 2 2"],
    two_stage: Fit,
    varies: Bool[np.ndarray, "2"],
    alpha: float,
) -> tuple[Fit, str, str]:
    """Fit runs of different epochs, and give what stands, its name, and why."""
    left_over = np.where(defined, differences - lines[:, :1] - lines[:, 1:] * time, 0.0)
    noise_df = int((defined.sum(axis=1) - 2).sum())
    if noise_df == 0:
        return two_stage, TWO_STAGE, NO_NOISE
    weighted = weigh_lines(lines, shape, float(np.square(left_over).sum()) / noise_df)
    weighted = weighted._replace(df=two_stage.df * weighted.df / (len(lines) - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = (_margin(weighted, alpha) / _margin(two_stage, alpha))[varies]
    if ((ratio >= 1 / FACTOR) & (ratio <= FACTOR)).all():
        return weighted, MIXED, WEIGHTED
    return two_stage, TWO_STAGE, DISAGREE


def weigh_lines(lines: Lines, shape: Float[np.ndarray, "run 2 2"], noise: float) -> Fit:
    r"""Mean of lines of unequal precision by generalised least squares, with bias-reduced errors.

    Parameters
    ----------
    lines : array, shape (run, 2)
        Level and slope of each run.
    shape : array, shape (run, 2, 2)
        :math:`A_i`, the covariance of level and slope of a run by noise, over the variance of the noise.
    noise : float
        Variance of the noise of an epoch.

    Returns
    -------
    Fit
        With the degrees of freedom of Satterthwaite.
    """
    spread, by_noise = np.cov(lines.T), noise * shape
    between = _nearest_covariance(spread - by_noise.mean(axis=0), shape.mean(axis=0))
    ridge = _RIDGE * np.trace(spread + by_noise.mean(axis=0)) * np.eye(2)
    variance = between + by_noise + ridge
    precision = np.linalg.inv(variance)
    of_mean = np.linalg.inv(precision.sum(axis=0))
    middle = lines.mean(axis=0)  # taken off first, so that rounding is that of what the runs differ by
    estimate = middle + of_mean @ np.einsum("iab,ib->a", precision, lines - middle)
    weights = precision @ of_mean  # of run i in effect c: weights[i, :, c]
    deviation = np.einsum("iac,ia->ic", weights, lines - estimate)
    own = np.einsum("iac,iab,ibc->ic", weights, variance, weights)
    covariance = -np.einsum("iac,ab,jbc->ijc", weights, of_mean, weights)
    run = np.arange(len(lines))
    covariance[run, run] += own
    enlarged = own / covariance[run, run]
    error = np.sqrt((enlarged * np.square(deviation)).sum(axis=0))
    covariance *= np.sqrt(enlarged[:, None] * enlarged[None])
    return Fit(estimate, error, np.square(own.sum(axis=0)) / np.square(covariance).sum(axis=(0, 1)))


def _nearest_covariance(matrix: Float[np.ndarray, "2 2"], unit: Float[np.ndarray, "2 2"]) -> Float[np.ndarray, "2 2"]:
    """Set the negative eigenvalues of a symmetric matrix, in units of a covariance, to zero."""
    root = np.linalg.cholesky(unit)
    inverse = np.linalg.inv(root)
    values, vectors = np.linalg.eigh(inverse @ matrix @ inverse.T)
    half = root @ vectors * np.sqrt(np.maximum(values, 0.0))
    return np.asarray(half @ half.T)


def _margin(fit: Fit, alpha: float) -> Float[np.ndarray, "2"]:
    """Half the width of the interval, before the design effect, by which both analyses are multiplied."""
    return np.asarray(stats.t.ppf(1 - alpha / 2, fit.df) * fit.error)


def _fit_lines(differences: Trajectory, defined: Defined, time: Float[np.ndarray, "epoch"]) -> Lines:
    """Level and slope of the line through the differences of each run, where they are defined."""
    count = defined.sum(axis=1)
    values = np.where(defined, differences, 0.0)
    middle, mean = (np.where(defined, each, 0.0).sum(axis=1) / count for each in (time, values))
    at = np.where(defined, time - middle[:, None], 0.0)
    slope = (at * (values - mean[:, None])).sum(axis=1) / np.square(at).sum(axis=1)
    return np.column_stack([mean - slope * middle, slope])


def _shapes(defined: Defined, time: Float[np.ndarray, "epoch"]) -> Float[np.ndarray, "run 2 2"]:
    """Covariance of level and slope of each line for noise of variance 1."""
    design = np.where(defined[..., None], np.column_stack([np.ones_like(time), time]), 0.0)
    return np.linalg.inv(np.einsum("iea,ieb->iab", design, design))
