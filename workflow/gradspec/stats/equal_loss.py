r"""Differences of the groups at equal loss, for where one group is merely fitted better than the other.

Gradients shrink as the loss does. Where groups are classes, or of unequal size, they are fitted at different speeds,
and their spectra differ for that reason alone. In each run the feature is regressed on the loss that its own group has
in the same epoch, over epochs and both groups together:

.. math:: y_{ge} = b_0 + b_1 \ell_{ge} + b_2 \ell_{ge}^2 + \beta\, g + \varepsilon, \qquad
          \ell_{ge} = \ln(\text{loss of the group}),\ g = \mp \tfrac12 .

Here :math:`\beta` is the difference at equal loss of this run (analysis of covariance), and goes into the paired tests
like any other difference. What differs for another reason than the loss remains, and what depends on the loss in
another way than a parabola remains in part: in groups of 1:3 whose smaller group is shown more often, the norms still
differ (see the benchmark of calibration). It narrows down a difference, and does not clear it of every doubt.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from gradspec.errors import ConfigError
from gradspec.stats.group_differences import (
    FEWEST_RUNS,
    TESTED_COLUMNS,
    choose_test,
    describe_differences,
    mask_untestable,
    tabulate_test,
)
from gradspec.stats.multiplicity import correct
from gradspec.stats.runs import Trajectories

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

FEWEST_EPOCHS = 3

_ROUNDING = 1e-6  # of the logarithm of a loss, which networks compute in single precision


def describe_equal_loss(levels: Sequence[str], alpha: float) -> dict[str, Any]:
    """Descriptions of the columns of the table of differences at equal loss."""
    columns = describe_differences(levels, (0, 1), alpha)
    kept = ("model", "layer", "kind", "feature", "n_runs", *TESTED_COLUMNS, "p_corrected", "correction")
    return {
        **{name: columns[name] for name in kept},
        "difference": (
            f"Mean over runs of {levels[1]!r} minus {levels[0]!r} at equal loss: the coefficient of the group beside a "
            "parabola of the logarithm of its own loss, over all epochs of a run"
        ),
        "status": "Exploratory",
        "family": "Tests that were corrected together, and how many of them could be done",
        "test": "Test that was done, or 'not tested' and why",
    }


def compare_at_equal_loss(
    trajectories: Trajectories,
    losses: Float[np.ndarray, "run epoch 2"],
    splits: "pd.DataFrame",
    *,
    levels: Sequence[str],
    test: str,
    correction: str,
    alpha: float,
) -> "pd.DataFrame":
    """Test the difference between two groups of one network as if both had the same loss.

    Parameters
    ----------
    trajectories : Trajectories
        Features of both groups.
    losses : array, shape (run, epoch, 2)
        What `read_losses` gives.
    splits : DataFrame
        Columns repeat, fold, participant_id, set.
    levels : (str, str)
        Reference and comparison group.
    test, correction : str
        As in `compare_groups` and `correct`; corrected over layers × features of a kind.
    alpha : float
        One minus the confidence of the intervals.

    Returns
    -------
    DataFrame
        A row a layer, kind and feature, with the columns of `describe_equal_loss`.

    Raises
    ------
    ConfigError
        If the splits or a repeat lack a fold.
    """
    import pandas as pd

    runs, model = trajectories.runs, trajectories.model
    n_tests = len(trajectories.tests)
    columns: dict[str, Any] = {"difference": np.full(n_tests, np.nan), **dict.fromkeys(TESTED_COLUMNS, np.nan)}
    if len(trajectories.epochs) < FEWEST_EPOCHS or len(runs) < FEWEST_RUNS:
        reasons = [f"{len(runs)} runs of {len(trajectories.epochs)} epochs, at least 3 of 3 are needed"] * n_tests
        tested_by = ""
    else:
        differences = differences_at_equal_loss(trajectories.reference, trajectories.comparison, losses)
        testable, reasons = mask_untestable(differences, *trajectories.means((0.0, 1.0)))
        paired_test, tested_by = choose_test(splits, runs, model, test, alpha)
        columns = {"difference": differences.mean(axis=0), **tabulate_test(paired_test(testable), alpha)}
    table = trajectories.tests.assign(
        model=model,
        n_runs=len(runs),
        **columns,
        correction=correction,
        status="exploratory",
        test=[f"not tested: {reason}" if reason else f"{tested_by}, at equal loss" for reason in reasons],
    )
    families = [
        part.assign(
            p_corrected=correct(part["p_value"].to_numpy(dtype=float), correction),
            family=f"model {model}, kind {kind}, exploratory: {part['p_value'].notna().sum()} tests",
        )
        for kind, part in table.groupby("kind", sort=False)
    ]
    return pd.concat(families).sort_index()[list(describe_equal_loss(levels, alpha))]


def differences_at_equal_loss(
    reference: Float[np.ndarray, "run epoch test"],
    comparison: Float[np.ndarray, "run epoch test"],
    losses: Float[np.ndarray, "run epoch 2"],
) -> Float[np.ndarray, "run test"]:
    """Difference of the groups in each run, adjusted for the loss of each group.

    Parameters
    ----------
    reference, comparison : array, shape (run, epoch, test)
        Features of both groups.
    losses : array, shape (run, epoch, 2)
        Loss of the reference and of the comparison group, above 0.

    Returns
    -------
    array, shape (run, test)
        In the unit of the feature; NaN where an epoch is undefined in a run, or the losses leave no way to tell.

    Raises
    ------
    ValueError
        With fewer than three epochs.
    """
    n_epochs = reference.shape[1]
    if n_epochs < FEWEST_EPOCHS:
        raise ValueError(f"at least {FEWEST_EPOCHS} epochs are needed for a parabola, got {n_epochs}")
    side = np.tile([-0.5, 0.5], n_epochs)
    found = []
    for of_reference, of_comparison, loss in zip(reference, comparison, losses, strict=True):
        values = np.stack([of_reference, of_comparison], axis=1).reshape(2 * n_epochs, -1)
        found.append(_adjust(values, loss.ravel(), side))
    return np.array(found)


def read_losses(
    tree: "xr.DataTree", trajectories: Trajectories, levels: Sequence[str]
) -> Float[np.ndarray, "run epoch 2"]:
    """Mean loss of both groups in every run and epoch of the trajectories.

    Parameters
    ----------
    tree : DataTree
        Merged spectra of a model.
    trajectories : Trajectories
        Gives the runs and epochs, and their order.
    levels : (str, str)
        Reference and comparison group.

    Returns
    -------
    array, shape (run, epoch, 2)
        Mean over the steps of an epoch in which the loss was recorded.

    Raises
    ------
    ConfigError
        If a run, or the losses of the groups, are not in the spectra.
    """
    if "group_loss" not in tree:
        raise ConfigError(f"The spectra of model {trajectories.model} have no losses of groups; run the training again")
    runs = list(zip(map(int, tree["repeat"].values), map(int, tree["fold"].values), strict=True))
    absent = [run for run in trajectories.runs if run not in runs]
    if absent:
        raise ConfigError(
            f"The spectra of model {trajectories.model} lack repeat {absent[0][0]}, fold {absent[0][1]}, which its "
            f"features have; delete features/{trajectories.model}.tsv and run again"
        )
    places = [[str(name) for name in tree["group"].values].index(level) for level in levels]
    losses = tree["group_loss"].values[[runs.index(run) for run in trajectories.runs]][:, :, places]
    epoch_of_step = tree["epoch"].values
    return np.stack([np.nanmean(losses[:, epoch_of_step == epoch], axis=1) for epoch in trajectories.epochs], axis=1)


def _adjust(
    values: Float[np.ndarray, "row test"], loss: Float[np.ndarray, "row"], side: Float[np.ndarray, "row"]
) -> Float[np.ndarray, "test"]:
    """Coefficient of the side beside a parabola of the logarithm of the loss."""
    undefined = np.full(values.shape[1], np.nan)
    if not (np.isfinite(loss).all() and (loss > 0).all()):
        return undefined
    log_loss = np.log(loss)
    spread = log_loss.std()
    if np.ptp(log_loss) <= _ROUNDING:
        return undefined
    scaled = (log_loss - log_loss.mean()) / spread
    design = np.column_stack([np.ones_like(scaled), scaled, np.square(scaled), side])
    if np.linalg.matrix_rank(design, tol=_ROUNDING) < design.shape[1]:
        return undefined
    defined = np.isfinite(values).all(axis=0)
    coefficients = np.linalg.lstsq(design, values[:, defined], rcond=None)[0]
    undefined[defined] = coefficients[-1]
    return undefined
