"""The mixed model against brute force, statsmodels and the analysis of each run; its level, and when it gives way."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
import trajectory_tables
from restricted_likelihood import fit_on_a_grid
from scipy import linalg, stats
from trajectory_tables import draw_table, over_runs

from gradspec.stats.mixed_model import (
    COMPLETE,
    DISAGREE,
    FACTOR,
    MIXED,
    NO_NOISE,
    SAME,
    TWO_STAGE,
    WEIGHTED,
    fit_mixed_model,
)
from gradspec.stats.noise_corrected_jackknife import noise_corrected_jackknife_t_test

N_RUNS, N_EPOCHS = 8, 10
TIME = np.linspace(-0.5, 0.5, N_EPOCHS)


def jackknife(lines):
    """Test of the runs of two repeats of four folds, of 40 people."""
    return noise_corrected_jackknife_t_test(lines.reshape(2, 4, -1), 40)


def make_trajectories(seed=0, group=0.0, interaction=0.0, noise=0.2):
    """Runs with a common curve, an intercept, and differences of their own around the true ones."""
    rng = np.random.default_rng(seed)
    intercept, own_group, own_slope = rng.normal(size=(3, N_RUNS, 1))
    common = 4 + np.exp(-5 * TIME) + intercept
    difference = group + 0.3 * own_group + (interaction + 0.3 * own_slope) * TIME
    return tuple(common + side * difference + noise * rng.normal(size=(N_RUNS, N_EPOCHS)) for side in (-0.5, 0.5))


def lines_of(reference, comparison):
    """Level and slope of each run, by numpy."""
    differences = comparison - reference
    time = np.linspace(-0.5, 0.5, differences.shape[1])
    runs = ((time[here], values[here]) for values, here in zip(differences, np.isfinite(differences), strict=True))
    return np.array([np.polynomial.polynomial.polyfit(at, values, 1) for at, values in runs])


def leave_gaps(trajectories, seed):
    """The same without a quarter of the epochs, and without the later ones of two runs."""
    reference, comparison = (values.copy() for values in trajectories)
    absent = np.random.default_rng(seed).random(reference.shape) < 0.25
    absent[:2, 5:] = True
    absent[:, :2] = False
    reference[absent] = np.nan
    return reference, comparison


def error_of(fit, alpha=0.05):
    return (fit.ci_high - fit.ci_low) / 2 / stats.t.ppf(1 - alpha / 2, fit.df)


@pytest.mark.parametrize("noise", [0.2, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_where_the_restricted_likelihood_is_largest(seed, noise):
    """With much noise the covariance of the random effects is singular, or beyond."""
    reference, comparison = make_trajectories(seed, group=0.5, noise=noise)
    found = fit_mixed_model(reference, comparison, over_runs)
    estimate, error = fit_on_a_grid(comparison - reference, np.isfinite(reference))
    np.testing.assert_allclose(found.estimate, estimate, rtol=1e-3)
    np.testing.assert_allclose(error_of(found), error, rtol=1e-3)
    assert found.test == MIXED and found.note == (COMPLETE, COMPLETE)


def weigh_observations(reference, comparison):
    """Estimates, errors and degrees of freedom where runs have other epochs, of dense matrices of all observations."""
    differences = comparison - reference
    defined, lines = np.isfinite(differences), lines_of(reference, comparison)
    time = np.linspace(-0.5, 0.5, differences.shape[1])
    designs = [np.column_stack([np.ones(here.sum()), time[here]]) for here in defined]
    values = [run[here] for run, here in zip(differences, defined, strict=True)]
    left_over = [y - x @ line for y, x, line in zip(values, designs, lines, strict=True)]
    noise = sum((one**2).sum() for one in left_over) / sum(len(one) - 2 for one in left_over)
    by_noise = np.mean([np.linalg.inv(x.T @ x) for x in designs], axis=0)
    half = linalg.sqrtm(by_noise)
    roots, axes = np.linalg.eigh(np.linalg.inv(half) @ np.cov(lines.T) @ np.linalg.inv(half) - noise * np.eye(2))
    psi = half @ (axes * np.maximum(roots, 0)) @ axes.T @ half
    variance = linalg.block_diag(*(x @ psi @ x.T + noise * np.eye(len(x)) for x in designs))
    design, y, n = np.concatenate(designs), np.concatenate(values), len(designs)
    of_estimate = np.linalg.inv(design.T @ np.linalg.inv(variance) @ design)
    projection = of_estimate @ design.T @ np.linalg.inv(variance)
    residual = y - design @ (projection @ y)
    of_residual = variance - design @ of_estimate @ design.T
    run = np.repeat(np.arange(n), [len(x) for x in designs])
    errors, dfs = [], []
    for weights in projection:
        by_run = np.where(run == np.arange(n)[:, None], weights, 0.0)
        enlarged = np.diag(by_run @ variance @ by_run.T) / np.diag(by_run @ of_residual @ by_run.T)
        covariance = np.sqrt(np.outer(enlarged, enlarged)) * (by_run @ of_residual @ by_run.T)
        errors.append(np.sqrt((enlarged * (by_run @ residual) ** 2).sum()))
        dfs.append(np.trace(covariance) ** 2 / (covariance**2).sum())
    return projection @ y, np.array(errors), np.array(dfs)


@pytest.mark.parametrize("noise", [0.2, 2.0])
@pytest.mark.parametrize("seed", [0, 1, 3])
def test_runs_of_other_epochs_are_weighed_as_all_observations_at_once_would_be(seed, noise):
    trajectories = leave_gaps(make_trajectories(seed, group=0.5, noise=noise), seed)
    found = fit_mixed_model(*trajectories, over_runs)
    assert found.note == (WEIGHTED, WEIGHTED)
    estimate, error, df = weigh_observations(*trajectories)
    np.testing.assert_allclose(found.estimate, estimate, rtol=1e-5)
    np.testing.assert_allclose(error_of(found), error, rtol=1e-5)
    np.testing.assert_allclose(found.df, df, rtol=1e-5)


def test_it_is_the_model_that_the_formula_of_statsmodels_gives():
    reference, comparison = make_trajectories(group=0.5)
    rows = [
        (run, epoch, side, TIME[epoch], values[run, epoch])
        for side, values in ((-0.5, reference), (0.5, comparison))
        for run in range(N_RUNS)
        for epoch in range(N_EPOCHS)
    ]
    table = pd.DataFrame(rows, columns=["run", "epoch", "side", "time", "y"])
    formula = smf.mixedlm("y ~ C(epoch) + side + side:time", table, groups="run", re_formula="side + side:time")
    expected = formula.fit(reml=True)
    found = fit_mixed_model(reference, comparison, over_runs)
    assert found.test == MIXED
    np.testing.assert_allclose(found.estimate, expected.params[["side", "side:time"]], rtol=1e-3)
    np.testing.assert_allclose(found.statistic, expected.tvalues[["side", "side:time"]], rtol=0.02)
    np.testing.assert_allclose(found.p_value, 2 * stats.t.sf(np.abs(found.statistic), N_RUNS - 1))


def test_with_complete_runs_the_group_effect_is_the_mean_of_the_runs():
    reference, comparison = make_trajectories(group=0.5, noise=0.01)
    found = fit_mixed_model(reference, comparison, over_runs)
    per_run = (comparison - reference).mean(axis=1)
    assert found.estimate[0] == pytest.approx(per_run.mean())
    assert found.statistic[0] == pytest.approx(stats.ttest_1samp(per_run, 0.0).statistic, rel=0.02)


def test_unit_of_the_feature_does_not_matter():
    reference, comparison = make_trajectories(group=0.5)
    found, scaled = (fit_mixed_model(factor * reference, factor * comparison, over_runs) for factor in (1.0, 1e-6))
    np.testing.assert_allclose(scaled.estimate, 1e-6 * found.estimate, rtol=1e-6)
    np.testing.assert_allclose(scaled.p_value, found.p_value, rtol=1e-5)


def test_level_is_kept_over_independent_runs():
    n = 100
    null = np.array([fit_mixed_model(*make_trajectories(seed), over_runs).p_value for seed in range(n)])
    low, high = stats.binom(n, 0.05).ppf([0.0005, 0.9995]) / n
    assert ((null < 0.05).mean(axis=0) >= low).all() and ((null < 0.05).mean(axis=0) <= high).all()


def test_planted_effects_move_the_estimates_by_as_much_and_are_found():
    null, found = (
        fit_mixed_model(*make_trajectories(**effects), over_runs)
        for effects in ({}, {"group": 1.0, "interaction": 2.0})
    )
    np.testing.assert_allclose(found.estimate - null.estimate, [1.0, 2.0], rtol=1e-3)
    np.testing.assert_allclose(found.ci_high - found.ci_low, null.ci_high - null.ci_low, rtol=0.02)
    assert (found.p_value < 0.01).all()


def test_epochs_that_are_missing_are_left_out():
    reference, comparison = make_trajectories(group=0.5)
    reference[2, 3:5] = np.nan
    found = fit_mixed_model(reference, comparison, over_runs)
    assert found.test == MIXED and np.isfinite(found.p_value).all()


def test_the_level_is_kept_where_runs_have_other_epochs():
    n = 400
    fits = [fit_mixed_model(*leave_gaps(make_trajectories(seed, noise=1.0), seed), over_runs) for seed in range(n)]
    low, high = stats.binom(n, 0.05).ppf([0.0001, 0.9999]) / n
    rate = np.mean([fit.p_value < 0.05 for fit in fits], axis=0)
    assert (low <= rate).all() and (rate <= high).all()
    assert np.mean([fit.test == MIXED for fit in fits]) > 0.8


def test_weighing_runs_is_more_precise_than_taking_them_for_alike():
    found, alike = [], []
    for seed in range(200):
        trajectories = leave_gaps(make_trajectories(seed, noise=1.0), seed)
        found.append(fit_mixed_model(*trajectories, over_runs).estimate)
        alike.append(lines_of(*trajectories).mean(axis=0))
    assert (np.std(found, axis=0) < 0.95 * np.std(alike, axis=0)).all()


def test_an_epoch_that_is_missing_changes_little():
    """No boundary, and no other test, lies between complete and nearly complete trajectories."""
    for seed in range(20):
        reference, comparison = make_trajectories(seed, noise=2.0)
        complete = fit_mixed_model(reference, comparison, over_runs)
        reference[0, 4] = np.nan
        lines = lines_of(reference, comparison)
        nearly, paired = fit_mixed_model(reference, comparison, over_runs), over_runs(lines)
        assert nearly.test == complete.test == MIXED
        np.testing.assert_allclose(nearly.relative_width, 1.0, atol=0.05)
        np.testing.assert_allclose(nearly.p_value, paired.p_value, atol=0.05)


def test_where_both_analyses_disagree_the_two_stage_one_stands_and_says_so():
    """Half of the runs have two epochs next to each other, through which the lines go anywhere."""
    reference, comparison = make_trajectories(noise=1.0)
    reference[:4, 2:] = np.nan
    found, expected = fit_mixed_model(reference, comparison, over_runs), over_runs(lines_of(reference, comparison))
    assert found.test == TWO_STAGE and found.note == (DISAGREE, DISAGREE)
    for name in ("p_value", "ci_low", "ci_high", "statistic"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name))
    np.testing.assert_array_equal(found.relative_width, 1.0)


def test_runs_of_two_epochs_tell_no_noise():
    reference, comparison = (values[:, :3].copy() for values in make_trajectories())
    reference[:4, 0] = reference[4:, 2] = np.nan
    found = fit_mixed_model(reference, comparison, over_runs)
    assert found.test == TWO_STAGE and found.note == (NO_NOISE, NO_NOISE)


def test_trajectories_without_noise_are_those_of_their_lines():
    trajectories = make_trajectories(noise=0.0)
    expected = over_runs(lines_of(*trajectories))
    for of_groups in (trajectories, leave_gaps(trajectories, 0)):
        found = fit_mixed_model(*of_groups, over_runs)
        assert found.test == MIXED
        np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-6)


def test_an_effect_that_is_the_same_in_every_run_but_for_rounding_is_not_tested():
    reference, comparison = make_trajectories(noise=0.0)
    comparison = reference + 0.1 + np.arange(N_RUNS)[:, None] / 3 + 0.7 * TIME
    found = fit_mixed_model(reference, comparison, over_runs)
    assert found.note == (COMPLETE, SAME)
    assert np.isfinite(found.p_value[0]) and np.isnan(found.p_value[1]) and np.isnan(found.ci_low[1])
    assert found.estimate[1] == pytest.approx(0.7)


@pytest.mark.parametrize("n_tables", [100, pytest.param(2000, marks=pytest.mark.long)])
def test_no_interval_is_much_wider_or_narrower_than_that_of_the_two_stage_analysis(n_tables):
    """Of 3 to 40 runs, complete or not, singular, constant, nearly constant, of any unit."""
    notes = set()
    for seed in range(n_tables):
        trajectories, sort, gaps = draw_table(seed)
        found, lines = fit_mixed_model(*trajectories, over_runs), lines_of(*trajectories)
        two_stage = over_runs(lines)
        width = (found.ci_high - found.ci_low) / (two_stage.ci_high - two_stage.ci_low)
        for effect, note in enumerate(found.note):
            what = f"seed {seed} ({sort}, {gaps}): {note}, {width[effect]:.3g}"
            notes.add(note)
            if note == SAME:
                assert np.ptp(lines[:, effect]) < 1e-10 * np.nanmax(np.abs(trajectories)), what
                assert np.isnan(found.p_value[effect]) and np.isfinite(found.estimate[effect]), what
                continue
            assert 0 <= found.p_value[effect] <= 1, what
            assert width[effect] == pytest.approx(found.relative_width[effect], rel=1e-4), what
            least, most = (1 / FACTOR, FACTOR) if note == WEIGHTED else (1, 1)
            assert least * (1 - 1e-4) < width[effect] < most * (1 + 1e-4), what
    assert notes >= {COMPLETE, WEIGHTED, DISAGREE, SAME}


@pytest.mark.slow
def test_no_kernel_of_the_processor_changes_anything():
    """Of numpy's OpenBLAS; a name that the processor does not know counts as the nearest."""
    there = "avx512f" in Path("/proc/cpuinfo").read_text(encoding="utf-8") if sys.platform == "linux" else False
    kernels = ["Haswell", "Sandybridge", "Prescott", *(["SkylakeX"] if there else [])]
    found = []
    for kernel in kernels:
        path = os.pathsep.join(sys.path)
        process = subprocess.run(
            [sys.executable, trajectory_tables.__file__, "200"],
            env={**os.environ, "OPENBLAS_CORETYPE": kernel, "PYTHONPATH": path},
            check=True,
            capture_output=True,
            text=True,
        )
        found.append(json.loads(process.stdout))
    for fits in found[1:]:
        for fit, of_first in zip(fits, found[0], strict=True):
            assert fit[-2:] == of_first[-2:]
            np.testing.assert_allclose(np.array(fit[:-2]), np.array(of_first[:-2]), rtol=1e-6)


def make_folds(seed):
    """Trajectories whose differences are the mean effect of the people who trained a run, and a little noise."""
    rng = np.random.default_rng(seed)
    folds = [rng.permutation(np.arange(40) % 4) for _ in range(2)]
    is_training = np.array([of_repeat != fold for of_repeat in folds for fold in range(4)])
    level, slope = (is_training @ rng.normal(size=(2, 40, 1)) / 30).squeeze(-1)[..., None]
    difference = level + slope * TIME
    return tuple(4 + side * difference + 0.02 * rng.normal(size=(N_RUNS, N_EPOCHS)) for side in (-0.5, 0.5))


def test_level_is_kept_over_folds_by_the_design_effect_only():
    n = 50
    fits = [fit_mixed_model(*make_folds(seed), jackknife) for seed in range(n)]
    as_they_are = [2 * stats.t.sf(np.abs(fit.statistic) * np.sqrt(fit.design_effect), N_RUNS - 1) for fit in fits]
    most = stats.binom(n, 0.05).ppf(0.9995) / n
    assert (np.mean([fit.p_value < 0.05 for fit in fits], axis=0) <= most).all()
    assert (np.mean(np.array(as_they_are) < 0.05, axis=0) > 0.3).all()


def test_over_folds_it_is_the_paired_test_of_the_lines_through_complete_runs():
    reference, comparison = make_folds(0)
    found, independent = (fit_mixed_model(reference, comparison, test) for test in (jackknife, over_runs))
    lines = np.array([np.polyfit(TIME, run, 1)[::-1] for run in comparison - reference])
    expected = jackknife(lines)
    assert found.test == MIXED and (found.df == expected.df).all()
    np.testing.assert_allclose(found.p_value, expected.p_value)
    np.testing.assert_allclose(
        found.design_effect, np.square(expected.standard_error / over_runs(lines).standard_error)
    )
    np.testing.assert_allclose(found.estimate, independent.estimate)
    np.testing.assert_allclose(independent.design_effect, 1.0)


@pytest.mark.parametrize("shape", [(2, 5), (4, 1)])
def test_too_few_runs_or_epochs_are_refused(shape):
    with pytest.raises(ValueError, match="at least 3 runs with 2 epochs"):
        fit_mixed_model(np.ones(shape), np.ones(shape), over_runs)
