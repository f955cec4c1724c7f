"""Scores beside covariates: against the formula of statsmodels, and a group that is only age in disguise."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from random_groups import learn_random_groups
from scipy import stats
from scipy.special import expit

from gradspec.errors import ConfigError
from gradspec.files import write_table
from gradspec.stats.covariates import describe_scores, regress_scores
from gradspec.stats.multiplicity import correct
from gradspec.stats.shared_networks import VARIANCE_FACTOR

LEVELS = ["control", "patient"]
IDS = [f"sub-{i:02}" for i in range(60)]


def make_cohort(group_effect=0.0, age_effect=1.0, age_difference=10.0, seed=0, repeats=2):
    """People whose score follows from group and age; patients are older."""
    rng = np.random.default_rng(seed)
    patient = np.arange(60) % 2 == 1
    age = 40 + 8 * rng.normal(size=60) + age_difference * patient
    sex = rng.choice(["F", "M"], 60)
    score = group_effect * patient + age_effect * (age - 45) / 8 + 0.5 * rng.normal(size=60)
    participants = pd.DataFrame({"participant_id": IDS, "age": age, "sex": sex})
    rows = [
        (model, repeat, IDS[i], LEVELS[int(patient[i])], expit(score[i] + 0.1 * (-1) ** repeat))
        for model in ("mlp", "lstm")
        for repeat in range(repeats)
        for i in range(60)
    ]
    columns = ["model", "repeat", "participant_id", "group", "probability"]
    return pd.DataFrame(rows, columns=columns), participants, score


def regress(predictions, participants, covariates=("age", "sex")):
    return regress_scores(
        predictions, participants, levels=LEVELS, covariates=covariates, correction="holm", alpha=0.05
    )


def row_of(table, adjustment, term="group", model="mlp"):
    chosen = (table["adjustment"] == adjustment) & (table["term"] == term) & (table["model"] == model)
    return table[chosen].iloc[0]


def test_rows_are_those_of_the_formula_of_statsmodels():
    predictions, participants, score = make_cohort(group_effect=1.0)
    table = regress(predictions, participants)
    data = participants.assign(y=score, group=(np.arange(60) % 2).astype(float))
    fit = smf.ols("y ~ group + age + C(sex)", data).fit(cov_type="HC3", use_t=True)
    for term, name in (("group", "group"), ("age", "age"), ("sex: M", "C(sex)[T.M]")):
        row = row_of(table, "covariates", term)
        widening = np.sqrt(VARIANCE_FACTOR) if term == "group" else 1.0
        margin = widening * stats.t.ppf(0.975, fit.df_resid) * fit.bse[name]
        assert row["estimate"] == pytest.approx(fit.params[name])
        assert row["statistic"] == pytest.approx(fit.tvalues[name] / widening)
        assert row["p_value"] == pytest.approx(2 * stats.t.sf(abs(fit.tvalues[name] / widening), fit.df_resid))
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((row["estimate"] - margin, row["estimate"] + margin))
    group = row_of(table, "covariates")
    assert group["effect_size"] == pytest.approx((1 - 3 / (4 * 56 - 1)) * fit.params["group"] / fit.mse_resid**0.5)
    assert group["effect_low"] < group["effect_size"] < group["effect_high"]
    assert set(table[["n_participants", "n_missing"]].itertuples(index=False, name=None)) == {(60, 0)}


def test_without_covariates_it_is_nearly_the_t_test_of_welch():
    predictions, participants, score = make_cohort(group_effect=1.0)
    table = regress(predictions, participants, covariates=())
    assert list(table["adjustment"]) == ["none", "none"]
    welch = stats.ttest_ind(score[1::2], score[::2], equal_var=False)
    assert row_of(table, "none")["statistic"] == pytest.approx(welch.statistic / np.sqrt(VARIANCE_FACTOR), rel=0.02)


def test_a_group_that_is_only_age_vanishes_with_age_and_one_that_is_more_stays():
    only_age, more = (regress(*make_cohort(group_effect=effect)[:2]) for effect in (0.0, 2.0))
    assert row_of(only_age, "none")["p_value"] < 0.001 < 0.05 < row_of(only_age, "covariates")["p_value"]
    assert row_of(only_age, "covariates", "age")["p_value"] < 1e-6
    assert row_of(more, "covariates")["p_value"] < 1e-6


def cross_validate(seed):
    """Predictions of random groups, and people with an age."""
    sign, score = learn_random_groups(seed)
    age = 40 + 8 * np.random.default_rng(seed).normal(size=60)
    columns = {"participant_id": IDS, "group": np.where(sign > 0, "patient", "control")}
    predictions = pd.DataFrame({"model": "mlp", **columns, "probability": expit(0.02 * score)})
    return predictions, pd.DataFrame({"participant_id": IDS, "age": age})


@pytest.mark.parametrize("adjustment", ["none", "covariates"])
def test_random_groups_that_were_learnt_differ_in_one_cohort_of_twenty(adjustment):
    n = 400
    rows = [row_of(regress(*cross_validate(seed), ["age"]), adjustment) for seed in range(n)]
    statistic, df = (np.array([row[name] for row in rows], dtype=float) for name in ("statistic", "df"))
    rate, as_they_are = (
        np.mean(2 * stats.t.sf(np.abs(statistic) * factor, df) < 0.05) for factor in (1.0, np.sqrt(VARIANCE_FACTOR))
    )
    low, high = stats.binom(n, 0.05).ppf([0.0005, 0.9995]) / n
    assert low <= rate <= high < as_they_are


def test_networks_are_corrected_together():
    predictions, participants, _ = make_cohort(group_effect=0.2)
    predictions.loc[predictions["model"] == "lstm", "probability"] = np.random.default_rng(0).random(120)
    table = regress(predictions, participants)
    for _, family in table.groupby(["adjustment", "term"]):
        np.testing.assert_allclose(family["p_corrected"], correct(family["p_value"].to_numpy(), "holm"))
        assert len(family) == 2


def test_who_lacks_a_covariate_is_left_out_and_counted():
    predictions, participants, _ = make_cohort()
    participants.loc[[3, 4], "age"] = np.nan
    table = regress(predictions, participants)
    assert set(table[["n_participants", "n_missing"]].itertuples(index=False, name=None)) == {(58, 2)}


def test_certain_predictions_have_a_finite_score():
    predictions, participants, _ = make_cohort()
    predictions.loc[:5, "probability"] = [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]
    assert np.isfinite(regress(predictions, participants)["p_value"]).all()


def test_covariates_that_are_absent_are_named():
    predictions, participants, _ = make_cohort()
    with pytest.raises(ConfigError, match=r"names motion, which participants.tsv has not; it has participant_id, age"):
        regress(predictions, participants, ["motion"])


def test_a_covariate_that_is_the_group_is_not_tested_and_says_why():
    predictions, participants, _ = make_cohort(group_effect=2.0)
    scanner = np.where(np.arange(60) % 2 == 1, "new", "old")
    table = regress(predictions, participants.assign(scanner=scanner), ["scanner"])
    row = row_of(table, "covariates")
    assert row["test"].startswith("not tested: group, scanner: old cannot be told") and np.isnan(row["p_value"])
    assert row_of(table, "none")["p_value"] < 0.01


def test_a_network_that_predicts_nan_is_not_tested_and_the_other_is():
    predictions, participants, _ = make_cohort()
    predictions.loc[predictions["model"] == "lstm", "probability"] = np.nan
    table = regress(predictions, participants)
    assert row_of(table, "covariates", model="lstm")["test"] == "not tested: the network predicts NaN"
    assert np.isfinite(row_of(table, "covariates")["p_value"])


@pytest.mark.parametrize(
    ("alone", "gone", "why"),
    [
        ("D", "site: D", "only those left out have it"),
        ("A", "site: B", "the others are held against it, since those left out are gone"),
    ],
)
def test_the_only_person_of_a_site_is_left_out_with_the_column(alone, gone, why, caplog):
    predictions, participants, _ = make_cohort(group_effect=0.5)
    site = np.random.default_rng(0).choice(["B", "C"], 60).astype(object)
    site[7] = alone
    participants = participants.assign(site=site)
    found = regress(predictions, participants, ["age", "site"])
    others = regress(predictions[predictions["participant_id"] != IDS[7]], participants, ["age", "site"])
    tested = found[~found["test"].str.startswith("not tested")].reset_index(drop=True)
    pd.testing.assert_frame_equal(tested.drop(columns="left_out"), others.drop(columns="left_out"), rtol=1e-9)
    assert set(found["left_out"]) == {IDS[7]} and set(others["left_out"]) == {""}
    assert set(found["n_missing"]) == {0} and IDS[7] in caplog.text
    lost = row_of(found, "covariates", gone)
    assert lost["test"] == f"not tested: {why}" and np.isnan(lost["p_value"])


def test_whoever_is_alone_once_others_are_left_out_is_left_out_too():
    predictions, participants, _ = make_cohort()
    site, scanner = np.tile(["B", "B", "C"], 20).astype(object), np.repeat(["x", "y"], 30).astype(object)
    site[[7, 8]], scanner[7] = "D", "z"
    table = regress(predictions, participants.assign(site=site, scanner=scanner), ["site", "scanner"])
    assert set(table["left_out"]) == {f"{IDS[7]}, {IDS[8]}"}
    assert np.isfinite(row_of(table, "covariates")["p_value"]) and np.isfinite(row_of(table, "none")["p_value"])


def test_a_group_of_one_is_not_tested_and_says_why():
    predictions, participants, _ = make_cohort()
    predictions["group"] = np.where(predictions["participant_id"] == IDS[7], "patient", "control")
    for adjustment in ("none", "covariates"):
        row = row_of(regress(predictions, participants), adjustment)
        assert row["test"].startswith("not tested: without participants of leverage 1") and np.isnan(row["p_value"])


def test_a_cohort_without_covariates_is_not_tested_and_says_why():
    predictions, participants, _ = make_cohort()
    table = regress(predictions, participants.assign(age=np.nan))
    assert table["test"].str.contains("0 participants are too few").all()


def test_the_table_can_be_written(tmp_path):
    table = regress(*make_cohort()[:2])
    write_table(table, tmp_path / "scores.tsv", describe_scores(LEVELS, ["age", "sex"], "holm", 0.05))
    assert "age, sex" in (tmp_path / "scores.json").read_text(encoding="utf-8")
