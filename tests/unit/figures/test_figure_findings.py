"""What was found, in sentences: the right test first, every number as in the tables, no more claimed than was shown."""

import numpy as np
import pandas as pd
import pytest
from figure_inputs import LEVELS, cluster_table, group_tests, performance_table

from gradspec.figures.findings import (
    find_epochs,
    name_window,
    percent_of_mean,
    rank_differences,
    tell_difference,
    tell_learning,
    tell_omnibus,
    tell_overfitting,
    tell_recovery,
)

CURVES = pd.DataFrame(
    [
        {"set": side, "metric": metric, "epoch": epoch, "mean": value}
        for (side, metric), values in {
            ("train", "balanced_accuracy"): [0.6, 1.0, 0.9, 1.0, 1.0],
            ("test", "loss"): [0.7, 0.68, 0.8, 1.1, 1.5],
        }.items()
        for epoch, value in enumerate(values)
    ]
)
KEY = ("mlp", "b.weight", "effective_rank")


def test_found_stands_before_declared_and_declared_before_explored():
    tests = group_tests({KEY: 0.5, ("mlp", "a.weight", "entropy"): 1.5, ("lstm", "a.weight", "entropy"): 0.6})
    tests.loc[0, "status"] = "confirmatory"
    assert rank_differences(tests, 0.05)["model"].tolist() == ["mlp", "mlp", "lstm"]
    assert rank_differences(tests, 0.05)["feature"].tolist() == ["entropy", "effective_rank", "entropy"]


def test_tests_that_were_not_done_are_left_out():
    tests = group_tests({KEY: np.nan})
    assert rank_differences(tests.assign(p_corrected=np.nan), 0.05).empty
    assert "could be tested" in tell_difference(rank_differences(tests.assign(p_corrected=np.nan), 0.05), LEVELS, 0.05)


@pytest.mark.parametrize(
    ("effect", "larger"), [(1.5, "larger in patient than in control"), (-1.5, "larger in control than in patient")]
)
def test_a_difference_is_told_with_its_direction_size_and_interval(effect, larger):
    text = tell_difference(rank_differences(group_tests({KEY: effect}), 0.05), LEVELS, 0.05)
    assert text.startswith("In 1 of 1 tests")
    assert larger in text
    assert f"({effect:.2f} standard errors [{effect - 1:.2f}, {effect + 1:.2f}], as groups whose means are 0.75" in text
    assert "a cheap first look" in text and text.endswith("misses smaller ones more often.")
    assert "finds a difference of 3 (" in text
    assert "corrected p = 0.01, exploratory, 8 training runs" in text
    assert f"by {100 * 1.5 / (2 + effect / 2):.3g} % of the mean of both" in text


def test_no_difference_found_is_not_told_as_no_difference():
    text = tell_difference(rank_differences(group_tests({KEY: 0.5}), 0.05), LEVELS, 0.05)
    assert text.startswith("In none of 1 tests")
    assert "does not show that they are alike" in text


def omnibus_table(**p_corrected):
    """The table of tests of networks, each with one layer that is as sure."""
    row = {"n_permutations": 49, "n_runs": 20, "z": 2.5}
    return pd.DataFrame(
        [
            row | {"model": model, "level": level, "layer": layer, "p_value": p, "p_corrected": p}
            for model, p in p_corrected.items()
            for level, layer in (("network", None), ("layer", "a.weight"))
        ]
    )


def test_networks_whose_spectra_differ_as_a_whole_are_named():
    text = tell_omnibus(omnibus_table(lstm=0.4, mlp=0.01), 0.05)
    assert text.startswith("The spectra of the groups differ in 1 of 2 networks, against 49 permutations")
    assert "mlp (z = 2.5, p = 0.01)" in text and "lstm" not in text and "in a of mlp. It finds z = 2.9 in 80 %" in text
    assert "it found no difference (nearest: mlp" in tell_omnibus(omnibus_table(mlp=0.2, lstm=0.4), 0.05)
    assert tell_omnibus(omnibus_table(mlp=0.2).assign(n_permutations=9), 0.05).endswith("however large.")
    assert tell_omnibus(omnibus_table(mlp=np.nan), 0.05) == "No network could be tested as a whole."


def test_learning_names_the_best_network_beside_the_best_baseline():
    areas = performance_table({"mlp": (0.7, 0.55, 0.8), "lstm": (0.6, 0.4, 0.7), "logistic": (0.9, 0.8, 1.0)})
    text = tell_learning(areas, ["mlp", "lstm"], LEVELS, 0.05)
    assert "mlp told patient from control best of 2 networks" in text
    assert "0.70 (95 % interval 0.55 to 0.80), better than chance" in text
    assert "the best baseline (logistic) reached 0.90" in text


@pytest.mark.parametrize(("area", "p_value"), [(0.6, 0.06), (0.3, 0.01)])
def test_what_is_not_surely_above_chance_is_not_better_than_chance(area, p_value):
    areas = performance_table({"mlp": (area, area - 0.09, area + 0.09)}).assign(p_value=p_value)
    text = tell_learning(areas, ["mlp"], LEVELS, 0.05)
    assert "has not been shown to be better than chance" in text
    assert "baseline" not in text


def test_a_network_without_scores_is_said_to_have_none():
    areas = performance_table({"mlp": (np.nan, np.nan, np.nan)})
    assert tell_learning(areas, ["mlp"], LEVELS, 0.05) == "No network could be scored on held-out participants."


def test_epochs_are_those_of_the_test_and_significant():
    clusters = cluster_table(*KEY, 2, 4)
    test = dict(zip(("model", "layer", "feature"), KEY, strict=True)) | {"kind": "gradient"}
    assert find_epochs(clusters, test, 0.05) == [(2, 4)]
    assert find_epochs(clusters, test, 0.001) == []
    assert find_epochs(clusters, test | {"layer": "a.weight"}, 0.05) == []


def test_percent_of_a_mean_of_zero_is_not_defined():
    test = {"mean_reference": 0.0, "mean_comparison": 0.0, "difference": 0.0, "ci_low": 0.0, "ci_high": 0.0}
    assert np.isnan(percent_of_mean(test)["difference"])


def test_overfitting_is_said_with_its_epochs_and_the_window_of_the_test():
    (text,) = tell_overfitting({"mlp": CURVES}, "the first 20 % of the epochs")
    assert (
        "the loss of mlp on participants that it had not seen rises from 0.68 (epoch 1) to 1.5 (epoch 4, the last)"
        in text
    )
    assert "no error (accuracy 1.0) from epoch 3." in text
    assert "tested over the first 20 % of the epochs, as the configuration declared beforehand" in text


def test_a_network_that_goes_on_learning_does_not_overfit():
    better = CURVES.assign(mean=CURVES["mean"].where(CURVES["metric"] != "loss", 1 / (1 + CURVES["epoch"])))
    assert tell_overfitting({"mlp": better, "lstm": better[:0]}, "") == []


def test_the_window_is_that_of_the_test_that_was_run():
    settings = {"window": [0.0, 0.5], "permutation": {"retraining": 0, "epochs": 0.2}}
    assert name_window(settings) == "the epochs from 0 to 50 % of training (stats.window)"
    settings["permutation"]["retraining"] = 49
    assert name_window(settings).startswith("the first 20 % of the epochs")


def test_groups_that_are_shown_to_be_alike_are_told_apart_from_those_undecided():
    tests = group_tests({KEY: 0.5, ("mlp", "a.weight", "entropy"): 0.2})
    text = tell_difference(rank_differences(tests.assign(reading=["alike", "undecided"]), 0.05), LEVELS, 0.05)
    assert "(corrected p < 0.05): 1 show them to be alike within the margin" in text and "and 1 are undecided." in text


def test_where_nothing_could_have_been_found_no_interval_is_told():
    readings = group_tests({KEY: 0.5}).assign(effect_low=np.nan, effect_high=np.nan, detectable=np.nan)
    text = tell_difference(rank_differences(readings, 0.05), LEVELS, 0.05)
    assert "nan" not in text and text.endswith("So few permutations could have found no difference, however large.")


def test_what_was_recovered_of_a_simulated_truth_is_counted_by_maps_that_correlate_with_it() -> None:
    maps = [("map", 0.9, None, None), ("map", 0.6, None, None), ("map", 0.3, None, None), ("map", None, None, None)]
    pairs = [("connectivity difference", None, true, 2 * true) for true in (-0.2, 0.1, 0.4)]
    recovery = pd.DataFrame([*maps, *pairs], columns=["measure", "correlation", "true", "recovered"])
    assert tell_recovery(recovery) == (
        "Group ICA recovered 2 of the 4 networks that were simulated (maps that correlate by 0.5 or more with the "
        "truth; median of all 0.45), and the group difference of their connectivity with r = 1.00 over 3 pairs."
    )
    assert tell_recovery(recovery[:4]).endswith("median of all 0.45).")
