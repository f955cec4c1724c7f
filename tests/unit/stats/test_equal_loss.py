"""Differences at equal loss: against the formula of statsmodels, and a difference that is only one of fit."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
import xarray as xr
from spectra_maker import make_fold

from gradspec.errors import ConfigError
from gradspec.files import write_table
from gradspec.stats.equal_loss import (
    compare_at_equal_loss,
    describe_equal_loss,
    differences_at_equal_loss,
    read_losses,
)
from gradspec.stats.noise_corrected_jackknife import noise_corrected_jackknife_t_test
from gradspec.stats.runs import Trajectories

LEVELS = ["control", "patient"]
RUNS = [(repeat, fold) for repeat in range(2) for fold in range(4)]
EPOCHS = 10


def make_trajectories(own=0.0, seed=0, epochs=EPOCHS, runs=RUNS):
    """Norms that follow the loss, which falls sooner in patients; `own` is a difference that does not come from it."""
    rng = np.random.default_rng(seed)
    speed = np.array([0.2, 0.35]) + 0.01 * rng.normal(size=(len(runs), 1, 2))
    losses = np.exp(-speed * np.arange(epochs)[:, None] + 0.02 * rng.normal(size=(len(runs), epochs, 2)))
    norms = 3 + 2 * np.log(losses) + own * np.array([-0.5, 0.5]) + 0.05 * rng.normal(size=losses.shape)
    tests = pd.DataFrame({"layer": ["a.weight"], "kind": ["gradient"], "feature": ["nuclear_norm"]})
    sides = (norms[..., [side]] for side in (0, 1))
    return Trajectories("mlp", tests, list(runs), list(range(epochs)), *sides), losses


def make_splits(runs=RUNS):
    rows = [
        (repeat, fold, f"sub-{person:02}", "test" if place % 4 == fold else "train")
        for repeat, fold in runs
        for place, person in enumerate(np.random.default_rng(repeat).permutation(24))  # each repeat deals anew
    ]
    return pd.DataFrame(rows, columns=["repeat", "fold", "participant_id", "set"])


def compare(trajectories, losses):
    options = {"levels": LEVELS, "test": "noise-corrected-jackknife-t", "correction": "holm", "alpha": 0.05}
    return compare_at_equal_loss(trajectories, losses, make_splits(trajectories.runs), **options)


def test_it_is_the_analysis_of_covariance_of_each_run():
    trajectories, losses = make_trajectories(own=0.3)
    found = differences_at_equal_loss(trajectories.reference, trajectories.comparison, losses)
    for run in range(len(RUNS)):
        table = pd.DataFrame(
            {
                "y": np.concatenate([trajectories.reference[run, :, 0], trajectories.comparison[run, :, 0]]),
                "loss": np.log(losses[run].T.ravel()),
                "side": np.repeat([-0.5, 0.5], EPOCHS),
            }
        )
        expected = smf.ols("y ~ loss + I(loss ** 2) + side", table).fit().params["side"]
        assert found[run, 0] == pytest.approx(expected)


def test_a_difference_of_fit_vanishes_and_another_one_stays():
    for own in (0.0, 0.5):
        trajectories, losses = make_trajectories(own=own)
        plain = (trajectories.comparison - trajectories.reference).mean(axis=1).reshape(2, 4)
        row = compare(trajectories, losses).iloc[0]
        assert noise_corrected_jackknife_t_test(plain, 24).p_value < 0.01
        assert (row["p_value"] < 0.01) == (own > 0)
        assert row["difference"] == pytest.approx(own, abs=0.05)


def test_the_row_is_the_test_of_the_adjusted_differences():
    trajectories, losses = make_trajectories(own=0.1)
    row = compare(trajectories, losses).iloc[0]
    differences = differences_at_equal_loss(trajectories.reference, trajectories.comparison, losses)
    expected = noise_corrected_jackknife_t_test(differences.reshape(2, 4), 24)
    for column in ("difference", "ci_low", "ci_high", "effect_size", "statistic", "p_value", "df"):
        assert row[column] == pytest.approx(getattr(expected, column))
    assert row["p_corrected"] == row["p_value"] and row["family"].endswith("exploratory: 1 tests")


def test_equal_losses_throughout_or_undefined_epochs_give_no_difference():
    trajectories, losses = make_trajectories()
    assert np.isnan(
        differences_at_equal_loss(trajectories.reference, trajectories.comparison, np.ones_like(losses))
    ).all()
    reference = trajectories.reference.copy()
    reference[3, 2] = np.nan
    found = differences_at_equal_loss(reference, trajectories.comparison, losses)
    assert np.isnan(found[3]).all() and np.isfinite(np.delete(found, 3, axis=0)).all()


@pytest.mark.parametrize(("epochs", "runs"), [(2, RUNS), (10, RUNS[:2])])
def test_too_few_epochs_or_runs_are_not_tested(epochs, runs):
    trajectories, losses = make_trajectories(epochs=epochs, runs=runs)
    row = compare(trajectories, losses).iloc[0]
    assert row["test"] == f"not tested: {len(runs)} runs of {epochs} epochs, at least 3 of 3 are needed"
    assert np.isnan(row["p_value"])


def test_losses_are_the_means_over_the_steps_of_an_epoch_in_the_order_of_the_runs():
    folds = {run: make_fold(*run) for run in [(0, 1), (0, 0)]}
    roots = [tree.to_dataset() for tree in folds.values()]
    merged = xr.DataTree(
        xr.concat([root[["group_loss"]] for root in roots], "run_index").assign_coords(
            repeat=("run_index", [0, 0]), fold=("run_index", [1, 0]), epoch=("step", roots[0]["epoch"].values)
        )
    )
    trajectories, _ = make_trajectories(epochs=3, runs=[(0, 0), (0, 1)])
    found = read_losses(merged, trajectories, LEVELS)
    for position, run in enumerate(trajectories.runs):
        expected = folds[run]["group_loss"].values[:, :2].reshape(3, 2, 2).mean(axis=1)
        np.testing.assert_allclose(found[position], expected)
    stray, _ = make_trajectories(epochs=3, runs=[(5, 0)])
    with pytest.raises(ConfigError, match="mlp lack repeat 5, fold 0"):
        read_losses(merged, stray, LEVELS)
    with pytest.raises(ConfigError, match="no losses of groups"):
        read_losses(xr.DataTree(merged.to_dataset().drop_vars("group_loss")), trajectories, LEVELS)


def test_the_table_can_be_written(tmp_path):
    write_table(compare(*make_trajectories()), tmp_path / "equal_loss.tsv", describe_equal_loss(LEVELS, 0.05))
    assert "parabola" in (tmp_path / "equal_loss.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("rounding", [0.0, 1e-9])
def test_losses_that_are_equal_but_for_rounding_leave_no_way_to_tell(rounding):
    rng = np.random.default_rng(0)
    reference, comparison = rng.normal(5.0, 1.0, size=(2, 4, EPOCHS, 1))
    losses = 0.3 * (1 + rounding * rng.normal(size=(4, EPOCHS, 2)))
    assert np.isnan(differences_at_equal_loss(reference, comparison, losses)).all()
    apart = np.broadcast_to([0.2, 0.4], (4, EPOCHS, 2)) * (1 + rounding * rng.normal(size=(4, EPOCHS, 2)))
    assert np.isnan(differences_at_equal_loss(reference, comparison, apart)).all()
