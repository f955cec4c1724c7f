"""One reading a feature: from one test, whose verdict and interval agree, and which could have found what it says."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gradspec.stats.group_differences import correct_families
from gradspec.stats.multiplicity import CORRECTIONS, correct, critical_p
from gradspec.stats.permutation_tail import corrected_p, critical_t, t_of_z
from gradspec.stats.permuted_groups import test_permuted_groups as permute_groups
from gradspec.stats.plan import read_plan
from gradspec.stats.power import least_noncentrality
from gradspec.stats.readings import FIRST_LOOK, SPREADS, describe_readings, read_tests

LEVELS = ["control", "patient"]
PEOPLE = {"control": 30, "patient": 20}
DF = 16


def make_differences(t):
    """The table of paired tests with a standard error of a half."""
    t = np.asarray(t, dtype=float)
    half = stats.t.isf(0.025, DF) / 2
    table = pd.DataFrame({"difference": t / 2, "ci_low": t / 2 - half, "ci_high": t / 2 + half, "statistic": t})
    table = table.assign(model="mlp", kind="gradient", feature="entropy", layer=[f"l{i}" for i in range(len(t))], df=DF)
    table = table.assign(effect_size=t, effect_low=t, effect_high=t, mean_reference=9.0, mean_comparison=9.0 + t / 2)
    test = np.where(np.isnan(t), "not tested: no runs", "corrected resampled t")
    return table.assign(p_value=2 * stats.t.sf(np.abs(t), DF), p_equivalent=0.5, n_runs=20, test=test)


def make_permuted(values):
    """Features under arrangements, given the difference of groups by arrangement and layer."""
    rows = [
        {"model": "mlp", "grouping": "group", "by": "retraining", "permutation": number, "layer": f"l{layer}"}
        | {"kind": "gradient", "group": group, "n_runs": 10, "entropy": 9 + place * value}
        for number, of_layers in enumerate(values)
        for layer, value in enumerate(of_layers)
        for place, group in enumerate(LEVELS)
    ]
    return pd.DataFrame(rows)


def read(differences, **options):
    return read_tests(differences, PEOPLE, levels=LEVELS, alpha=0.05, margin=0.1, **options)


def read_permuted(values, p_network, families=()):
    permutations = permute_groups(make_permuted(values), ["entropy"], families=families, learnt="group")
    omnibus = pd.DataFrame({"model": ["mlp"], "level": ["network"], "p_corrected": [p_network]})
    return read(pd.DataFrame(), permutations=permutations, omnibus=omnibus)


def assert_agreement(table):
    """Every interval excludes zero exactly where a difference is found."""
    tested = table[table["reading"] != "not tested"]
    apart = (tested["ci_low"] > 0) | (tested["ci_high"] < 0)
    assert (apart == (tested["reading"] == "different")).all()
    assert (apart == ((tested["effect_low"] > 0) | (tested["effect_high"] < 0))).all()
    assert (apart == (tested["p_corrected"] < 0.05)).all()


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_the_critical_p_parts_what_is_found_from_what_is_not(correction):
    rng = np.random.default_rng(0)
    for _ in range(200):
        p_values = rng.uniform(size=rng.integers(1, 12)) ** rng.uniform(1, 6)
        found = correct(p_values, correction) < 0.05
        np.testing.assert_array_equal(p_values < critical_p(p_values, correction, 0.05) * (1 + 1e-9), found)


@pytest.mark.parametrize("draw", ["normal", "standard_cauchy"])
@pytest.mark.parametrize("n", [19, 20, 49, 99])
def test_the_critical_t_parts_what_is_found_from_what_is_not(draw, n):
    rng = np.random.default_rng(n)
    for _ in range(60):
        values = getattr(rng, draw)(size=(n + 1, 4))
        values[0] *= 3
        z = (values - values.mean(axis=0)) / values.std(axis=0)
        found = corrected_p(z)[0] < 0.05
        np.testing.assert_array_equal(np.abs(t_of_z(z[0], n)) > critical_t(z, 0.05) * (1 + 1e-9), found)


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_verdict_and_interval_of_a_first_look_agree(correction):
    t = [6.0, -4.0, 2.4, 2.2, 0.3, 0.0, np.nan]
    readings = read(correct_families([make_differences(t)], (), correction))
    assert_agreement(readings)
    assert list(readings) == list(describe_readings(LEVELS, 0.05, 0.1))
    assert readings["reading"].iloc[0] == "different" and readings["reading"].iloc[-1] == "not tested"
    assert readings["test"].iloc[0].startswith(FIRST_LOOK)
    np.testing.assert_allclose(readings["effect_size"], t)
    assert readings["people"].iloc[0] == pytest.approx(6.0 * np.sqrt(1 / 30 + 1 / 20))


def test_groups_are_alike_where_the_corrected_interval_says_so():
    table = correct_families([make_differences([0.1])], ())
    assert read(table)["reading"].tolist() == ["undecided"]  # 0.05 ± 1.06, where a tenth of the mean is 0.9
    table = table.assign(mean_reference=20.0, mean_comparison=20.05)
    assert read(table)["reading"].tolist() == ["alike"]


def test_verdict_and_interval_agree_under_permuted_groups():
    rng = np.random.default_rng(1)
    for _ in range(10):
        values = rng.normal(2.0, 1.0, size=(50, 5))
        values[0, 0] += rng.uniform(0, 8)
        readings = read_permuted(values, 0.01)
        assert_agreement(readings)
        assert set(readings["effect_unit"]) == {SPREADS}
        np.testing.assert_allclose(readings["difference"], values[0] - values[1:].mean(axis=0))


def test_an_exploratory_feature_is_found_only_where_its_network_is():
    values = np.random.default_rng(2).normal(size=(50, 3))
    values[0, 0] = 9.0
    asked = {"question": "", "models": [], "layers": ["l0"], "kinds": ["gradient"], "features": []}
    plan = read_plan({"asked": asked | {"correction": "holm"}})
    tables = read_permuted(values, 0.01), read_permuted(values, 0.3), read_permuted(values, 0.3, plan)
    assert [table["reading"].iloc[0] for table in tables] == ["different", "undecided", "different"]
    assert tables[1]["p_corrected"].iloc[0] == 0.3
    for table in tables:
        assert_agreement(table)


def test_too_few_permutations_could_have_found_nothing():
    values = np.random.default_rng(3).normal(size=(10, 2))
    readings = read_permuted(values, 0.01)
    assert readings["detectable"].isna().all() and (readings["reading"] == "undecided").all()
    assert readings[["ci_low", "ci_high", "effect_low", "effect_high"]].isna().all(axis=None)


def test_a_detectable_difference_is_found_in_eighty_percent_of_studies():
    rng = np.random.default_rng(4)
    n, n_studies, critical = 49, 20_000, stats.t.isf(0.004, 48)
    shift = least_noncentrality(critical, n - 1) * np.sqrt(1 + 1 / n)
    permuted = rng.normal(size=(n_studies, n))
    observed = rng.normal(shift, size=n_studies)
    t = (observed - permuted.mean(axis=1)) / (permuted.std(axis=1, ddof=1) * np.sqrt(1 + 1 / n))
    assert np.mean(np.abs(t) > critical) == pytest.approx(0.8, abs=0.015)
