"""The benchmark of the tests: seeded, networks that learn random labels give what is claimed, and a figure of it."""

import numpy as np
import pytest
from scipy import stats

from gradspec.figures.rejection_rates import LEVEL, OTHER_FOLDS, THINNED, UNEQUAL, plot_rejection_rates
from gradspec.figures.saving import save_figure
from gradspec.stats import calibration
from gradspec.stats.retrained_cohorts import retrain_cohort
from gradspec.stats.toy_networks import NAMES, Design, permute_cohort, train_cohort

N_COHORTS = 20
NAIVE = ["naive: t over steps", "naive: paired t over runs", "naive: corrected resampled t of test errors"]


@pytest.fixture(scope="module")
def quick():
    return calibration.measure(calibration.SIZES["quick"]._replace(cohorts=1))


def null_rates(design):
    """Share of null cohorts in which each test rejects but the mixed model, which is slow and has tests of its own."""
    cohorts = [train_cohort(seed, 0.0, design) for seed in range(N_COHORTS)]
    tests = {**calibration.TESTS, **calibration.EQUIVALENCE}
    names = [name for name in tests if name != "mixed model"]
    return {name: np.mean([tests[name](one) <= 0.05 for one in cohorts], axis=0) for name in names}


AT_MOST = stats.binom(N_COHORTS, 0.05).ppf(0.999) / N_COHORTS


def test_random_labels_mislead_naive_tests_but_not_those_by_the_jackknife():
    rates = null_rates(Design(30, 30, 2, 5))
    for name in rates:
        if not name.startswith("naive"):
            assert (rates[name] <= AT_MOST).all(), name
    for name in NAIVE:
        assert (rates[name] >= rates["corrected resampled t"]).all(), name
    assert all(rates[name].mean() > AT_MOST for name in NAIVE[:2])


def test_fewer_patients_mislead_unless_the_larger_group_is_thinned():
    """In balanced batches the few are seen more often and fitted sooner: their gradients are really smaller."""
    as_they_are, thinned = (
        null_rates(Design(45, 15, 2, 5, thin))["noise-corrected jackknife t"] for thin in (False, True)
    )
    assert as_they_are[NAMES.index("nuclear_norm")] > 0.5
    assert (thinned <= AT_MOST).all()


def test_a_large_planted_difference_is_found():
    rank = NAMES.index("effective_rank")
    for seed in range(3):
        cohort = train_cohort(seed, 1.0, Design(30, 30, 2, 5))
        assert calibration.TESTS["noise-corrected jackknife t"](cohort)[rank] < 0.05
        assert calibration.TESTS["clusters, jackknife draws"](cohort)[rank] < 0.05
        assert permute_cohort(seed, 1.0, 48, learns_group=False)[rank] <= 0.05
    assert retrain_cohort(0, 1.0, (30, 30))[0][rank] <= 0.05


def test_the_same_seed_gives_the_same_networks():
    design = Design(24, 12, 2, 3)
    one, same, other = (train_cohort(seed, 0.5, design) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.steps, same.steps)
    np.testing.assert_array_equal(one.probability, same.probability)
    assert one.differences.shape == (2, 3, 4) and not np.isclose(one.differences, other.differences).any()
    assert one.trajectories.shape == (2, 3, 20, 2, 4) and one.probability.shape == (2, 36)


def test_the_plain_jackknife_of_the_benchmark_is_the_one_of_the_library():
    """With one repeat there is no noise to take off."""
    cohort = train_cohort(0, 0.0, Design(30, 30, 1, 5))
    np.testing.assert_allclose(calibration.plain_jackknife(cohort), calibration.jackknife(cohort))


def test_rejections_are_judged_against_the_binomial_interval():
    verdicts = {count: calibration.judge(count, 100, 0.0)["verdict"] for count in (0, 1, 10, 11)}
    assert verdicts == {0: "cautious", 1: "as promised", 10: "as promised", 11: "too eager"}
    assert calibration.judge(50, 100, 0.5)["verdict"] == "power"
    p_values = np.array([[0.02, 0.04, 0.03, 0.5], [0.01, 0.9, 0.9, 0.9]])
    rows = {row["feature"]: row["rejected"] for row in calibration.count_rejections(p_values, 0.0)}
    assert rows["spectral_norm"] == 100 and rows["nuclear_norm"] == 50
    assert rows["any (holm)"] == 50 and rows["any (benjamini-hochberg)"] == 50


def test_every_condition_has_every_test_and_naive_practice_beside(quick):
    null = quick[quick["size"] == 0]
    assert set(null["groups"]) == {"30:30", "45:15", "45:15, thinned", "24:24"}
    of_runs = (null["folds"] == "5 × 2") & (null["test"] != calibration.RETRAINING)
    for _, rows in null[of_runs].groupby("groups"):
        expected = list(calibration.TESTS)
        if rows["groups"].iloc[0] != "45:15":
            expected += [*calibration.EQUIVALENCE, calibration.ALIKE]
        assert list(dict.fromkeys(rows["test"])) == expected
    assert set(quick[quick["folds"] == "one training"]["test"]) == set(calibration.REGROUPINGS)
    retrained = quick[quick["test"] == calibration.RETRAINING]
    assert set(zip(retrained["groups"], retrained["size"], strict=True)) == {("30:30", 0), ("45:15", 0), ("30:30", 1)}
    assert list(dict.fromkeys(retrained["feature"])) == [*NAMES, "any (smallest p)", "omnibus"]
    assert (quick["low"] <= quick["rejected"]).all() and (quick["rejected"] <= quick["high"]).all()


def test_the_figure_shows_every_test_and_has_its_table(quick, tmp_path):
    figure = plot_rejection_rates(quick)
    equal, unequal, thinned, power = figure.axes
    tests = list(dict.fromkeys(quick["test"]))
    assert [label.get_text() for label in equal.get_yticklabels()] == [t for t in tests if t != calibration.ALIKE]
    assert all("cohorts" in ax.get_xlabel() for ax in (equal, unequal, thinned))
    assert [line.get_label() for line in power.lines if not line.get_label().startswith("_")]
    files = {end: tmp_path / f"calibration.{end}" for end in ("png", "svg", "tsv")}
    save_figure(figure, quick, calibration.COLUMNS, **files)
    assert all(file.stat().st_size > 0 for file in files.values())


def test_groups_that_are_alike_are_shown_to_be_by_a_wide_margin_only():
    cohort = train_cohort(0, 0.0, Design(30, 30, 2, 5))
    noise = 1 + 0.01 * np.random.default_rng(0).normal(size=(2, 5, 1, len(NAMES)))
    steps = np.stack([cohort.steps[..., 0, :], noise * cohort.steps[..., 0, :]], axis=3)
    cohort = cohort._replace(steps=steps)
    alike, at_margin = (calibration.equivalence(margin)(cohort) for margin in (0.0, calibration.MARGIN))
    assert (alike < 0.01).all() and (at_margin > 0.01).all()


def test_the_figure_and_the_measure_speak_of_the_same_conditions():
    assert (LEVEL, THINNED) == (calibration.LEVEL, calibration.THINNED)
    assert "{}:{}".format(*calibration.UNEQUAL) == UNEQUAL
    assert f"{calibration.RETRAINED_FOLDS} × {calibration.RETRAINED_REPEATS}" in OTHER_FOLDS
