"""The table of permutation tests: p-values by counting, level under exchangeability, unequal groups, and families."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gradspec.errors import ConfigError
from gradspec.files import write_table
from gradspec.stats.permuted_groups import describe_permutations, test_permuted_groups
from gradspec.stats.plan import read_plan

FEATURES = ["effective_rank", "nuclear_norm"]
FAMILY = {"question": "", "models": [], "layers": [], "kinds": ["gradient"], "correction": "holm"}


def make_table(differences, by="regrouping", groups=("F", "M"), model="mlp"):
    """Features under arrangements, given the difference of groups by arrangement, layer and feature."""
    rows = []
    for permutation, layers in enumerate(differences):
        for layer, values in enumerate(layers):
            for position, group in enumerate(groups):
                about = {"model": model, "grouping": "sex", "by": by, "permutation": permutation, "kind": "gradient"}
                values_of = dict(zip(FEATURES, 5 + position * np.asarray(values), strict=True))
                rows.append({**about, "layer": f"l{layer}", "group": group, "n_runs": 4, **values_of})
    return pd.DataFrame(rows)


def test_p_counts_permutations_that_are_as_far_from_the_mean_of_all():
    rng = np.random.default_rng(0)
    differences = rng.normal(loc=3.0, size=(40, 2, 2))
    table = test_permuted_groups(make_table(differences), FEATURES)
    assert list(table.columns) == list(describe_permutations((0, 1), 0.05))
    flat = differences.reshape(40, 4)
    far = np.abs(flat - flat.mean(axis=0))
    np.testing.assert_allclose(table["p_value"], (1 + (far[1:] >= far[0]).sum(axis=0)) / 40)
    np.testing.assert_allclose(table["difference"], flat[0])
    np.testing.assert_allclose(table["expected"], flat.mean(axis=0))
    z = far / flat.std(axis=0)
    np.testing.assert_allclose(table["p_corrected"], (1 + (z[1:].max(axis=1)[:, None] >= z[0]).sum(axis=0)) / 40)
    assert (table["n_permutations"] == 39).all() and (table["status"] == "exploratory").all()


def test_what_unequal_groups_make_of_a_difference_is_not_found():
    """All arrangements differ by three, as a rank does that the smaller group cannot reach: nothing to find."""
    rng = np.random.default_rng(1)
    p_values = [
        test_permuted_groups(make_table(rng.normal(3.0, size=(20, 1, 2))), FEATURES)["p_value"].min() for _ in range(40)
    ]
    assert np.sum(np.array(p_values) <= 0.05) <= stats.binom(40, 0.1).ppf(0.999)


def test_families_keep_their_level_and_a_difference_is_found():
    rng = np.random.default_rng(2)
    shared = rng.normal(size=(60, 40, 1, 1))
    found = [
        (test_permuted_groups(make_table(part), FEATURES)["p_corrected"] <= 0.05).any()
        for part in shared + rng.normal(size=(60, 40, 2, 2))
    ]
    low, high = stats.binom(60, 0.05).ppf([0.001, 0.999])
    assert low <= sum(found) <= high
    differences = rng.normal(size=(40, 2, 2))
    differences[0, 1, 0] = 9
    table = test_permuted_groups(make_table(differences), FEATURES).set_index(["layer", "feature"])
    assert table.loc[("l1", "effective_rank"), "p_corrected"] == 1 / 40


def test_every_pair_of_groups_is_tested_and_corrected_for():
    differences = np.random.default_rng(3).normal(size=(20, 1, 2))
    table = test_permuted_groups(make_table(differences, groups=("1of3", "2of3", "3of3")), FEATURES)
    pairs = table[["reference", "comparison"]].drop_duplicates().to_numpy().tolist()
    assert pairs == [["1of3", "2of3"], ["1of3", "3of3"], ["2of3", "3of3"]]
    assert set(table["family"]) == {"model mlp, kind gradient, exploratory: 6 tests"}


def test_what_cannot_be_tested_says_why():
    differences = np.random.default_rng(4).normal(size=(20, 2, 2))
    differences[:, 0, 0], differences[3, 0, 1] = 1.0, np.nan
    table = test_permuted_groups(make_table(differences), FEATURES)
    assert table["test"].tolist()[:2] == [
        "not tested: equal in every arrangement",
        "not tested: undefined in 1 of 20 arrangements",
    ]
    assert table["p_value"].isna().tolist() == table["p_corrected"].isna().tolist() == [True, True, False, False]


def test_a_family_of_the_plan_is_confirmatory_for_the_grouping_that_it_names(tmp_path):
    differences = np.random.default_rng(5).normal(size=(20, 2, 2))
    both = pd.concat([make_table(differences), make_table(differences, by="retraining").assign(grouping="diagnosis")])
    plan = {
        "rank": {**FAMILY, "features": ["effective_rank"], "grouping": "sex"},
        "learnt": {**FAMILY, "features": ["nuclear_norm"], "grouping": ""},
    }
    table = test_permuted_groups(both, FEATURES, families=read_plan(plan))
    declared = table[table["status"] == "confirmatory"]
    assert sorted(set(zip(declared["grouping"], declared["feature"], declared["family"], strict=True))) == [
        ("diagnosis", "nuclear_norm", "learnt, confirmatory: 2 tests"),
        ("sex", "effective_rank", "rank, confirmatory: 2 tests"),
    ]
    write_table(table, tmp_path / "permutations.tsv", describe_permutations((0, 1), 0.05))
    plan["rank"]["layers"] = ["absent*"]
    with pytest.raises(ConfigError, match="holds no test"):
        test_permuted_groups(both, FEATURES, families=read_plan(plan))
