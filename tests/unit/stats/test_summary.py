"""The summary says what the tables hold: numbers of tests and runs, directions, and what was not shown."""

from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from gradspec.stats.plan import read_plan
from gradspec.stats.summary import render_summary, summarise_tests

LEVELS = ["control", "patient"]
PLAN = read_plan(
    {
        "rank": {
            "question": "Does the rank differ?",
            "models": ["mlp"],
            "layers": [],
            "kinds": ["gradient"],
            "features": ["effective_rank"],
            "correction": "holm",
        }
    }
)


def make_reading(layer, feature, difference, p, reading, status="exploratory"):
    return {
        "model": "mlp",
        "layer": layer,
        "kind": "gradient",
        "feature": feature,
        "n_runs": 20,
        "mean_reference": 10 - difference / 2,
        "mean_comparison": 10 + difference / 2,
        "difference": difference,
        "ci_low": difference - 0.5,
        "ci_high": difference + 0.5,
        "p_value": p,
        "p_corrected": p,
        "reading": reading,
        "effect_size": difference,
        "effect_unit": "standard errors",
        "correction": "holm" if status == "confirmatory" else "benjamini-hochberg",
        "status": status,
        "family": "rank, confirmatory: 2 tests" if status == "confirmatory" else "model mlp, exploratory",
        "test": "noise-corrected jackknife t",
    }


@pytest.fixture
def tables():
    differences = pd.DataFrame(
        [
            make_reading("a.weight", "effective_rank", -2.0, 0.0004, "different", "confirmatory"),
            make_reading("b.weight", "effective_rank", 0.1, 0.6, "alike", "confirmatory"),
            make_reading("a.weight", "stable_rank", 1.0, 0.3, "undecided"),
            make_reading("b.weight", "stable_rank", np.nan, np.nan, "not tested"),
        ]
    )
    cluster = {
        "model": "mlp",
        "layer": "a.weight",
        "kind": "gradient",
        "feature": "effective_rank",
        "test": "cluster mass",
    }
    clusters = pd.DataFrame(
        [
            {**cluster, "first_epoch": 3, "last_epoch": 9, "p_corrected": 0.02},
            {**cluster, "first_epoch": 12, "last_epoch": 13, "p_corrected": 0.8},
            {**cluster, "layer": "b.weight", "p_corrected": np.nan},
            {**cluster, "layer": "c.weight", "p_corrected": np.nan, "test": "not tested: one epoch is no trajectory"},
        ]
    )
    area = {"metric": "roc_auc", "n_participants": 40, "n_runs": 20}
    performance = pd.DataFrame(
        [
            {**area, "model": "mlp", "estimate": 0.8, "ci_low": 0.7, "ci_high": 0.9, "p_value": 0.001},
            {**area, "model": "lstm", "estimate": 0.62, "ci_low": 0.51, "ci_high": 0.7, "p_value": 0.09},
            {**area, "model": "cnn", "estimate": np.nan, "ci_low": np.nan, "ci_high": np.nan},
        ]
    )
    score = {"model": "mlp", "term": "group", "n_participants": 38, "test": "least squares, HC3"}
    effect = {"effect_size": 0.9, "effect_low": 0.3, "effect_high": 1.5}
    scores = pd.DataFrame(
        [
            {**score, **effect, "adjustment": "none", "p_corrected": 0.004},
            {**score, **effect, "adjustment": "covariates", "p_corrected": 0.2, "effect_low": -0.3},
            {**score, "adjustment": "covariates", "term": "age", "p_corrected": 0.001},
        ]
    )
    equal_loss = differences.assign(p_corrected=[0.4, 0.01, 0.9, np.nan])
    return [differences, equal_loss, clusters, performance, scores]


def summarise(tables, families=PLAN):
    return summarise_tests(*tables, families=families, levels=LEVELS, alpha=0.05, margin=0.1, learned_from=(30, 32))


def test_a_declared_difference_is_told_with_direction_size_and_runs(tables):
    count, found = summarise(tables)["A cheap first look: confirmatory tests"]
    assert count.startswith("rank: Does the rank differ? 2 of 2 tests could be done, on 20 training runs each; 1 found")
    assert "1 showed the groups to be alike within 10 % of their mean." in count and "undecided" not in count
    assert found == (
        "mlp: the effective rank of the gradient of a.weight is larger in control than in patient, by 20 % of the mean "
        "of both (corrected 95 % interval 15 to 25 %; noise-corrected jackknife t, corrected p < 0.001, 20 runs)."
    )


def test_what_was_explored_is_apart_and_no_difference_is_not_called_equality(tables):
    (text,) = summarise(tables)["A cheap first look: exploratory tests"]
    assert "1 of 2 tests could be done" in text and "0 found a difference" in text
    assert text.endswith("1 are undecided: they show neither.")


def test_without_a_plan_nothing_is_confirmatory(tables):
    tables[0] = tables[0].assign(status="exploratory")
    assert "nothing here is confirmatory" in summarise(tables, families=[])["A cheap first look: confirmatory tests"][0]


def test_differences_that_vanish_at_equal_loss_are_counted(tables):
    (text,) = summarise(tables)["Group or fit?"]
    assert text == (
        "mlp: of 1 differences that were found, 0 remain at equal loss of the groups; a first look at equal loss finds "
        "1 in 3 tests."
    )
    tables[1] = tables[0]
    assert "of 1 differences that were found, 1 remain" in summarise(tables)["Group or fit?"][0]


def test_networks_that_learned_nothing_are_named(tables):
    mlp, lstm, cnn = summarise(tables)["Did the networks learn?"]
    assert (
        "trained 20 times, each on 30 to 32 of the participants, and scored on 40 in all" in mlp
        and "0.80 (95 % interval 0.70 to 0.90)" in mlp
    )
    assert "better than chance" not in mlp and "not been shown to be better than chance" in lstm
    assert cnn == "cnn predicts NaN: it did not train."


def test_only_networks_are_said_to_have_spectra(tables):
    tables[3] = tables[3].assign(p_value=[0.9, 0.9, np.nan], model=["mlp", "logistic", "dummy"], estimate=0.5)
    mlp, *baselines = summarise(tables)["Did the networks learn?"]
    assert mlp.endswith("better than chance: its spectra say how it fits, not what differs.")
    assert all(text.endswith("better than chance.") for text in baselines)


def test_when_is_not_asked_of_features_that_were_not_found_to_differ(tables):
    tables[0] = tables[0].assign(reading="undecided")
    assert summarise(tables)["When in training"] == ["mlp: no feature was found to differ, so that none is asked when."]


def test_clusters_are_counted_by_trajectory(tables):
    (text,) = summarise(tables)["When in training"]
    assert (
        text.startswith("mlp: of 1 features that differ, a first look finds 1 to do so")
        and "from epoch 3 to 9 (corrected p = 0.02)" in text
    )


def test_a_difference_of_scores_that_vanishes_with_covariates_is_told(tables):
    (text,) = summarise(tables)["Group or covariates?"]
    assert "patient and control differ (g = 0.90 [0.30, 1.50], corrected p = 0.004)" in text
    assert "with the covariates they have not been shown to differ (g = 0.90 [-0.30, 1.50]" in text


def test_the_page_holds_every_sentence_and_escapes_names(tables):
    sections = {**summarise(tables), "A <b> & c": ["x < y & z"]}
    found = []
    parser = HTMLParser()
    parser.handle_data = found.append
    parser.feed(render_summary(sections))
    for title, sentences in sections.items():
        assert title in found
        assert set(sentences) <= set(found)
