r"""A linear mixed model of trajectories: the mean difference of the groups, and how it changes over training.

For the feature y of group g (−½ reference, +½ comparison) in run i and epoch e, at time :math:`\tau_e` (−½ first epoch,
+½ last):

.. math:: y = \alpha_e + \beta_1 g + \beta_2 g \tau_e + (u_{0i} + u_{1i}\, g + u_{2i}\, g \tau_e) + \varepsilon .

Here :math:`\alpha_e` is what both groups have in common, whatever its course, :math:`\beta_1` their difference in the
middle of training, and :math:`\beta_2` its change from the first epoch to the last. Random differences of a run
(:math:`u_1, u_2`) beside its random intercept make the run the unit of replication: with the intercept alone, epochs
would be taken for replicates, though they are anything but independent (Barr et al. 2013).

Where the fit does not converge, the two-stage analysis of summary measures takes its place (Frison and Pocock 1992),
and the name of the test says so: a line through the differences of each run, and the paired test of its level and
slope.

The model takes runs for independent, which folds are not. So the variance of each effect is multiplied by the design
effect of the cross-validation (Kish 1965): the variance that a paired test which is valid for such runs, the
noise-corrected jackknife say, finds for the level and slope of the lines through each run, over the :math:`s^2 / J` of
J independent runs. Student's t has the degrees of freedom of that test. Where every epoch is defined the estimates are
the means of those lines, and the test is the paired one.
"""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM

from gradspec.stats.paired_test import PairedTest

Trajectory = Float[np.ndarray, "run epoch"]
Defined = Bool[np.ndarray, "run epoch"]
PairedTestOfRuns = Callable[[Float[np.ndarray, "run effect"]], PairedTest]

MIXED = "mixed model"
TWO_STAGE = "two-stage summary measures (the mixed model did not converge)"
EFFECTS = ("group", "group × epoch")


class MixedEffects(NamedTuple):
    """Fixed effects of the group and of its product with time, in the unit of the feature.

    Attributes
    ----------
    estimate, ci_low, ci_high, statistic, p_value : array, shape (2,)
        For the difference in the middle of training, and for its change over training, in the order of `EFFECTS`.
    design_effect : array, shape (2,)
        By which the variance of the model was multiplied.
    df : float
        Degrees of freedom of t.
    test : str
        What was fitted.
    """

    estimate: Float[np.ndarray, "2"]
    ci_low: Float[np.ndarray, "2"]
    ci_high: Float[np.ndarray, "2"]
    statistic: Float[np.ndarray, "2"]
    p_value: Float[np.ndarray, "2"]
    design_effect: Float[np.ndarray, "2"]
    df: float
    test: str


def fit_mixed_model(
    reference: Trajectory, comparison: Trajectory, paired_test: PairedTestOfRuns, alpha: float = 0.05
) -> MixedEffects:
    """Fit the model by restricted maximum likelihood, and check the fit.

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
    Kish 1965, "Survey sampling".
    """
    defined = np.isfinite(reference) & np.isfinite(comparison)
    n_runs = len(reference)
    if n_runs < 3 or (defined.sum(axis=1) < 2).any():
        raise ValueError(f"at least 3 runs with 2 epochs each are needed, got {n_runs} runs of {defined.sum(axis=1)}")
    time = np.linspace(-0.5, 0.5, reference.shape[1])
    scale = float(np.std(np.concatenate([reference[defined], comparison[defined]]))) or 1.0
    fitted = _fit(reference / scale, comparison / scale, defined, time)
    lines = _fit_lines((comparison - reference) / scale, defined, time)
    independent = lines.std(axis=0, ddof=1) / np.sqrt(n_runs)
    paired = paired_test(lines)
    estimate, error = (lines.mean(axis=0), independent) if fitted is None else fitted
    with np.errstate(invalid="ignore", divide="ignore"):
        design_effect = np.square(paired.standard_error / independent)
        error = error * np.sqrt(design_effect)
        statistic = estimate / np.where(error > 0, error, np.nan)
    estimate, error = estimate * scale, error * scale
    margin = stats.t.ppf(1 - alpha / 2, paired.df) * error
    return MixedEffects(
        estimate=estimate,
        ci_low=estimate - margin,
        ci_high=estimate + margin,
        statistic=statistic,
        p_value=2 * stats.t.sf(np.abs(statistic), paired.df),
        design_effect=design_effect,
        df=paired.df,
        test=TWO_STAGE if fitted is None else MIXED,
    )


def _fit(
    reference: Trajectory, comparison: Trajectory, defined: Defined, time: Float[np.ndarray, "epoch"]
) -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "2"]] | None:
    """Estimates and standard errors of both effects, or None where the fit cannot be trusted."""
    run, epoch = np.nonzero(defined)
    values = np.concatenate([reference[defined], comparison[defined]])
    side = np.repeat([-0.5, 0.5], len(run))
    run, time = np.tile(run, 2), np.tile(time[epoch], 2)
    level = (np.tile(epoch, 2)[:, None] == np.unique(epoch)).astype(float)
    fixed = np.column_stack([level, side, side * time])
    random = np.column_stack([np.ones(len(values)), side, side * time])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whether it converged is asked below
        try:
            result = MixedLM(values, fixed, groups=run, exog_re=random).fit(reml=True, method=["lbfgs", "powell"])
            estimate, error = np.asarray(result.fe_params)[-2:], np.asarray(result.bse_fe)[-2:]
        except (np.linalg.LinAlgError, ValueError):
            return None
    trusted = result.converged and np.isfinite(error).all() and (error > 0).all()
    return (estimate, error) if trusted else None


def _fit_lines(
    differences: Trajectory, defined: Defined, time: Float[np.ndarray, "epoch"]
) -> Float[np.ndarray, "run 2"]:
    """Level and slope of the line through the differences of each run."""
    lines = [
        np.polynomial.polynomial.polyfit(time[here], values[here], 1)
        for values, here in zip(differences, defined, strict=True)
    ]
    return np.array(lines)
