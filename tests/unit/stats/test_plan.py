"""The plan: what it takes, what it leaves to exploration, and what is refused before anything is trained."""

import pandas as pd
import pytest

from gradspec.config import resolve
from gradspec.errors import ConfigError
from gradspec.stats.plan import assign_families, check_plan, read_plan

TESTS = pd.DataFrame(
    [
        (model, layer, kind, feature)
        for model in ("mlp", "lstm")
        for layer in ("hidden.weight", "output.weight")
        for kind in ("gradient", "delta")
        for feature in ("effective_rank", "stable_rank")
    ],
    columns=["model", "layer", "kind", "feature"],
)


def resolved_plan(**families):
    return resolve({"cohort": {"source": "simulated"}, "stats": {"plan": families}})["stats"]["plan"]


def assign(**families):
    return assign_families(TESTS, read_plan(resolved_plan(**families)), "benjamini-hochberg")


def declared(table, name):
    return set(table[table["family"] == name][["model", "layer", "kind", "feature"]].itertuples(index=False, name=None))


def test_an_empty_plan_leaves_everything_exploratory():
    table = assign()
    assert set(table["status"]) == {"exploratory"}
    assert table["family"].nunique() == 4  # a network and kind


def test_a_family_without_keys_takes_all_gradients_with_holm():
    table = assign(everything={})
    rows = table[table["family"] == "everything"]
    assert set(rows["kind"]) == {"gradient"} and len(rows) == 8
    assert set(rows["correction"]) == {"holm"} and set(rows["status"]) == {"confirmatory"}
    assert set(table[table["kind"] == "delta"]["status"]) == {"exploratory"}


def test_keys_of_a_family_narrow_it_together():
    table = assign(
        rank={"models": ["mlp"], "layers": ["hid*"], "kinds": ["gradient", "delta"], "features": ["stable_rank"]}
    )
    assert declared(table, "rank") == {("mlp", "hidden.weight", kind, "stable_rank") for kind in ("gradient", "delta")}


def test_two_families_that_share_a_test_are_refused():
    with pytest.raises(ConfigError, match=r"effective_rank of hidden.weight \(mlp\) is in the families a and b"):
        assign(a={"models": ["mlp"]}, b={"features": ["effective_rank"]})


def test_a_family_that_holds_nothing_names_the_layers_there_are():
    with pytest.raises(ConfigError, match=r"stats.plan.a holds no test; .*conv\*.* are hidden.weight, output.weight"):
        assign(a={"layers": ["conv*"]})


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ({"models": ["cnn3d"]}, "stats.plan.a.models: cnn3d is not in training.models, which has mlp"),
        ({"kinds": ["delta"]}, "stats.plan.a.kinds: delta is not in training.kinds"),
        ({"features": ["entropy"]}, "stats.plan.a.features: entropy is not in stats.features"),
    ],
)
def test_what_will_not_be_there_is_refused_before_training(family, message):
    with pytest.raises(ConfigError, match=message):
        check_plan(resolved_plan(a=family), models=["mlp"], kinds=["gradient"], features=["effective_rank"])


def test_an_unknown_key_of_a_family_is_named():
    with pytest.raises(ConfigError, match=r"stats.plan.a: unknown key 'feature' .did you mean 'features'"):
        resolved_plan(a={"feature": ["entropy"]})
