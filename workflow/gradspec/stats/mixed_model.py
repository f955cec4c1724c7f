r"""A linear mixed model of trajectories: the mean difference of the groups, and how it changes over training.

For the feature y of group g (−½ reference, +½ comparison) in run i and epoch e, at time :math:`\tau_e` (−½ first epoch,
+½ last):

.. math:: y = \alpha_e + \beta_1 g + \beta_2 g \tau_e + (u_{0i} + u_{1i}\, g + u_{2i}\, g \tau_e) + \varepsilon .

Here :math:`\alpha_e` is what both groups have in common, whatever its course, :math:`\beta_1` their difference in the
middle of training, and :math:`\beta_2` its change from the first epoch to the last. Random differences of a run
(:math:`u_1, u_2`) beside its random intercept make the run the unit of replication: with the intercept alone, epochs
would be taken for replicates, though they are anything but independent (Barr et al. 2013).

Where the fit does not converge, the two-stage analysis of summary measures takes its place, and the name of the test
says so: a line through the differences of each run, and a t-test of its level and slope (Frison and Pocock 1992).

Runs are taken for independent. Folds are not, so that p-values of a cross-validation are too small; the benchmark of
calibration shows by how much. Take them as a description there.
"""

import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM

Trajectory = Float[np.ndarray, "run epoch"]
Defined = Bool[np.ndarray, "run epoch"]

MIXED = "mixed model"
TWO_STAGE = "two-stage summary measures (the mixed model did not converge)"
EFFECTS = ("group", "group × epoch")


class MixedEffects(NamedTuple):
    """Fixed effects of the group and of its product with time, in the unit of the feature.

    Attributes
    ----------
    estimate, ci_low, ci_high, statistic, p_value : array, shape (2,)
        For the difference in the middle of training, and for its change over training, in the order of `EFFECTS`.
    df : float
        Degrees of freedom of t: runs less one.
    test : str
        What was fitted.
    """

    estimate: Float[np.ndarray, "2"]
    ci_low: Float[np.ndarray, "2"]
    ci_high: Float[np.ndarray, "2"]
    statistic: Float[np.ndarray, "2"]
    p_value: Float[np.ndarray, "2"]
    df: float
    test: str


def fit_mixed_model(reference: Trajectory, comparison: Trajectory, alpha: float = 0.05) -> MixedEffects:
    """Fit the model by restricted maximum likelihood, and check the fit.

    Parameters
    ----------
    reference, comparison : array, shape (run, epoch)
        Trajectories of both groups, in any unit. Epochs that are NaN in a run are left out.
    alpha : float
        One minus the confidence of the intervals.

    Returns
    -------
    MixedEffects
        Effects, with t of runs less one degrees of freedom.

    Raises
    ------
    ValueError
        With fewer than three runs or two epochs in which both groups are defined.
    """
    defined = np.isfinite(reference) & np.isfinite(comparison)
    n_runs = len(reference)
    if n_runs < 3 or (defined.sum(axis=1) < 2).any():
        raise ValueError(f"at least 3 runs with 2 epochs each are needed, got {n_runs} runs of {defined.sum(axis=1)}")
    time = np.linspace(-0.5, 0.5, reference.shape[1])
    scale = float(np.std(np.concatenate([reference[defined], comparison[defined]]))) or 1.0
    fitted = _fit(reference / scale, comparison / scale, defined, time)
    test = MIXED
    if fitted is None:
        fitted, test = _summarise(comparison - reference, defined, time, scale), TWO_STAGE
    estimate, error = fitted[0] * scale, fitted[1] * scale
    df = n_runs - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        statistic = estimate / np.where(error > 0, error, np.nan)
    margin = stats.t.ppf(1 - alpha / 2, df) * error
    p_value = 2 * stats.t.sf(np.abs(statistic), df)
    return MixedEffects(estimate, estimate - margin, estimate + margin, statistic, p_value, df, test)


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


def _summarise(
    differences: Trajectory, defined: Defined, time: Float[np.ndarray, "epoch"], scale: float
) -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "2"]]:
    """Mean level and slope of the lines through the differences of each run, and their standard errors."""
    lines = np.array(
        [
            np.polynomial.polynomial.polyfit(time[here], values[here] / scale, 1)
            for values, here in zip(differences, defined, strict=True)
        ]
    )
    return lines.mean(axis=0), lines.std(axis=0, ddof=1) / np.sqrt(len(lines))
