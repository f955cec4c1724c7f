"""The mixed model against statsmodels' formula and the analysis of each run, its level, and its fallback."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats

from gradspec.stats import mixed_model
from gradspec.stats.corrected_t import corrected_resampled_t_test
from gradspec.stats.mixed_model import MIXED, TWO_STAGE, fit_mixed_model
from gradspec.stats.noise_corrected_jackknife import noise_corrected_jackknife_t_test

N_RUNS, N_EPOCHS = 8, 10
TIME = np.linspace(-0.5, 0.5, N_EPOCHS)


def over_runs(lines):
    """Test of independent runs."""
    return corrected_resampled_t_test(lines, 0.0)


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


def test_a_fit_that_does_not_converge_falls_back_and_says_so(monkeypatch):
    reference, comparison = make_trajectories(group=0.5)
    fitted = fit_mixed_model(reference, comparison, over_runs)

    def fail(*arguments, **options):
        raise np.linalg.LinAlgError("Singular matrix")

    monkeypatch.setattr(mixed_model.MixedLM, "fit", fail)
    found = fit_mixed_model(reference, comparison, over_runs)
    assert found.test == TWO_STAGE
    lines = [np.polyfit(TIME, run, 1) for run in comparison - reference]
    expected = stats.ttest_1samp(np.array(lines)[:, ::-1], 0.0)
    np.testing.assert_allclose(found.p_value, expected.pvalue)
    np.testing.assert_allclose(found.estimate, fitted.estimate, rtol=1e-6)


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
    assert found.test == MIXED and found.df == expected.df
    np.testing.assert_allclose(found.p_value, expected.p_value, rtol=0.05)
    np.testing.assert_allclose(
        found.design_effect, np.square(expected.standard_error / over_runs(lines).standard_error)
    )
    np.testing.assert_allclose(found.estimate, independent.estimate)
    np.testing.assert_allclose(independent.design_effect, 1.0)


@pytest.mark.parametrize("shape", [(2, 5), (4, 1)])
def test_too_few_runs_or_epochs_are_refused(shape):
    with pytest.raises(ValueError, match="at least 3 runs with 2 epochs"):
        fit_mixed_model(np.ones(shape), np.ones(shape), over_runs)
