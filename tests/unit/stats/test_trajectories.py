"""Tables of trajectories: every row is what the tests give alone, and what is not tested says why."""

import numpy as np
import pandas as pd
import pytest
from restricted_likelihood import fit_on_a_grid
from scipy import stats
from trajectory_tables import over_runs

from gradspec.files import write_table
from gradspec.stats.cluster import cluster_p, find_clusters, jackknife_draws, largest_mass
from gradspec.stats.mixed_model import COMPLETE, MIXED, WEIGHTED, fit_mixed_model
from gradspec.stats.multiplicity import correct
from gradspec.stats.noise_corrected_jackknife import noise_corrected_jackknife_t_test
from gradspec.stats.runs import pair_groups
from gradspec.stats.trajectories import (
    describe_clusters,
    describe_mixed_models,
    find_differing_epochs,
    model_trajectories,
)

LEVELS = ["control", "patient"]
NAMES = ["spectral_norm", "effective_rank"]
REPEATS, FOLDS, EPOCHS = 2, 4, 8


def make_features(shift=None, kinds=("gradient",)):
    """Two layers; the effective rank of a.weight may be shifted in patients in the last half of the epochs."""
    rng = np.random.default_rng(0)
    rows = [
        {"model": "mlp", "repeat": repeat, "fold": fold, "layer": layer, "kind": kind, "epoch": epoch, "group": group}
        for repeat in range(REPEATS)
        for fold in range(FOLDS)
        for layer in ("hidden.weight", "a.weight")
        for kind in kinds
        for epoch in range(EPOCHS)
        for group in [*LEVELS, "pooled"]
    ]
    table = pd.DataFrame(rows).assign(**{name: 5 + 0.1 * rng.normal(size=len(rows)) for name in NAMES})
    if shift:
        late = (table["epoch"] >= EPOCHS // 2) & (table["group"] == "patient") & (table["layer"] == "a.weight")
        table.loc[late, "effective_rank"] += shift
    return table


def make_splits():
    rng = np.random.default_rng(1)
    rows = [
        (repeat, fold, f"sub-{i:02}", "test" if of_repeat[i] == fold else "train")
        for repeat, of_repeat in enumerate(rng.permutation(np.arange(24) % FOLDS) for _ in range(REPEATS))
        for fold in range(FOLDS)
        for i in range(24)
    ]
    return pd.DataFrame(rows, columns=["repeat", "fold", "participant_id", "set"])


def jackknife(lines):
    return noise_corrected_jackknife_t_test(lines.reshape(REPEATS, FOLDS, -1), 24)


def find(features, **options):
    trajectories = pair_groups(features, LEVELS, NAMES)
    return find_differing_epochs(trajectories, 24, **{"threshold": 0.05, "n_draws": 500, "seed": 3, **options})


def model(features):
    options = {"test": "noise-corrected-jackknife-t", "correction": "holm", "alpha": 0.05}
    return model_trajectories(pair_groups(features, LEVELS, NAMES), make_splits(), **options)


def rows_of(table, layer="a.weight", feature="effective_rank"):
    return table[(table["layer"] == layer) & (table["feature"] == feature)]


def test_a_shift_in_late_epochs_is_one_cluster_there():
    table = find(make_features(shift=2.0))
    row = rows_of(table).sort_values("p_value").iloc[0]
    assert (row["first_epoch"], row["last_epoch"]) == (EPOCHS // 2, EPOCHS - 1)
    assert row["mass"] > 0 and row["p_value"] <= row["p_corrected"] < 0.05
    assert (table[table["layer"] == "hidden.weight"]["p_corrected"].dropna() > 0.05).all()
    assert set(table["family"]) == {"model mlp, kind gradient, exploratory: 4 trajectories"}


def test_clusters_are_those_of_the_tests_alone():
    features = make_features(shift=0.3)
    trajectories = pair_groups(features, LEVELS, NAMES)
    differences = (trajectories.comparison - trajectories.reference).reshape(REPEATS, FOLDS, EPOCHS, -1)
    draws = jackknife_draws(differences, 24, 500, np.random.default_rng([3, *b"mlp"]))
    table = find(features)
    for test, (layer, feature) in enumerate(trajectories.tests[["layer", "feature"]].itertuples(index=False)):
        result = noise_corrected_jackknife_t_test(differences[..., test], 24)
        threshold = stats.t.ppf(0.975, result.df)
        clusters = find_clusters(result.statistic, threshold)
        rows = rows_of(table, layer, feature)
        if not clusters:
            assert list(rows["cluster"]) == [0] and rows["p_value"].isna().all()
            continue
        np.testing.assert_allclose(rows["mass"], [cluster.mass for cluster in clusters])
        np.testing.assert_allclose(rows["p_value"], cluster_p(clusters, largest_mass(draws[..., test], threshold)))
        of_all = largest_mass(draws, threshold).max(axis=1)
        np.testing.assert_allclose(rows["p_corrected"], cluster_p(clusters, of_all))


def test_the_seed_fixes_the_draws():
    features = make_features(shift=0.1)
    pd.testing.assert_frame_equal(find(features), find(features))
    assert not find(features, threshold=0.5).equals(find(features, threshold=0.5, seed=4))


def test_mixed_models_are_those_of_each_trajectory_alone():
    features = make_features(shift=0.5, kinds=("gradient", "delta"))
    trajectories = pair_groups(features, LEVELS, NAMES)
    table = model(features)
    assert len(table) == 2 * len(trajectories.tests)
    for test, names in trajectories.tests.iterrows():
        rows = rows_of(table[table["kind"] == names["kind"]], names["layer"], names["feature"])
        alone = fit_mixed_model(trajectories.reference[..., test], trajectories.comparison[..., test], jackknife)
        assert list(rows["effect"]) == ["group", "group × epoch"]
        for column in (
            "estimate",
            "ci_low",
            "ci_high",
            "statistic",
            "p_value",
            "design_effect",
            "df",
            "relative_width",
        ):
            np.testing.assert_allclose(rows[column], getattr(alone, column))
    for _, family in table.groupby("kind"):
        np.testing.assert_allclose(family["p_corrected"], correct(family["p_value"].to_numpy(), "holm"))
        assert family["family"].str.endswith("exploratory: 8 tests").all()
    assert (rows_of(table)["p_value"] < 0.05).all()


def test_mixed_models_are_those_of_brute_force():
    trajectories = pair_groups(make_features(shift=0.5, kinds=("gradient", "delta")), LEVELS, NAMES)
    for reference, comparison in zip(
        np.moveaxis(trajectories.reference, 2, 0), np.moveaxis(trajectories.comparison, 2, 0), strict=True
    ):
        found = fit_mixed_model(reference, comparison, over_runs)
        estimate, error = fit_on_a_grid(comparison - reference, np.isfinite(reference))
        np.testing.assert_allclose(found.estimate, estimate, rtol=1e-3)
        np.testing.assert_allclose(found.estimate / found.statistic, error, rtol=1e-3)


def spoil(features, where, value):
    features.loc[where & features["layer"].eq("hidden.weight"), "effective_rank"] = value
    return features


def test_where_a_run_lacks_an_epoch_there_are_no_clusters_but_a_mixed_model():
    features = make_features(shift=0.5)
    features = spoil(features, features["epoch"].eq(2) & features["fold"].eq(1), np.nan)
    clusters, models = find(features), model(features)
    assert set(rows_of(clusters, "hidden.weight")["test"]) == {"not tested: undefined in some epochs"}
    assert set(rows_of(models, "hidden.weight")["note"]) == {WEIGHTED} and models["p_value"].notna().all()
    assert set(rows_of(models)["note"]) == {COMPLETE} and set(models["test"]) == {MIXED}


def test_epochs_in_which_the_groups_differ_by_rounding_alone_are_in_no_cluster():
    features = make_features(shift=2.0)
    rounding = 5 + 1e-9 * (1 + features["group"].eq("patient")) * (1 + 1e-3 * features["fold"])
    features = spoil(features, features["epoch"].lt(4), rounding)
    late = features["layer"].eq("hidden.weight") & features["group"].eq("patient") & features["epoch"].ge(4)
    features.loc[late, "effective_rank"] += 2.0
    found = rows_of(find(features), "hidden.weight")
    assert found["first_epoch"].min() == 4


def test_a_run_of_one_epoch_has_no_line():
    features = make_features()
    features = spoil(features, features["epoch"].gt(0) & features["fold"].eq(1), np.nan)
    rows = rows_of(model(features), "hidden.weight")
    assert set(rows["test"]) == {"not tested: undefined in all epochs but one, or in all, of a run"}


@pytest.mark.parametrize("rounding", [0.0, 1e-15])
def test_a_difference_that_is_the_same_everywhere_but_for_rounding_is_not_tested(rounding):
    features = make_features(shift=0.5)
    value = 1 + 0.1 * features["group"].eq("patient") + rounding * np.random.default_rng(0).normal(size=len(features))
    features = spoil(features, features["epoch"].ge(0), value)
    for table in (find(features), model(features)):
        rows = rows_of(table, "hidden.weight")
        assert set(rows["test"]) == {"not tested: the difference is the same in every run and epoch"}
        assert rows["p_value"].isna().all() and not rows_of(table)["test"].str.startswith("not tested").any()


def test_an_effect_that_is_the_same_in_every_run_is_not_tested_and_the_other_is():
    features = make_features()
    value = 1 + features["group"].eq("patient") * (0.1 * features["epoch"] + features["fold"] / 3 + features["repeat"])
    rows = rows_of(model(spoil(features, features["epoch"].ge(0), value)), "hidden.weight")
    assert list(rows["test"]) == [MIXED, "not tested: the same in every run"]
    assert list(rows["p_value"].notna()) == [True, False] and rows["estimate"].iloc[1] == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("keep", "reason"),
    [
        (lambda table: table["epoch"].eq(0), "one epoch is no trajectory"),
        (lambda table: table["repeat"].eq(0) & table["fold"].lt(2), "2 runs, at least 3 are needed"),
    ],
)
def test_too_short_or_too_few_trajectories_are_not_tested(keep, reason):
    features = make_features()
    for table in (find(features[keep(features)]), model(features[keep(features)])):
        assert set(table["test"]) == {f"not tested: {reason}"} and table["p_corrected"].isna().all()


def test_the_tables_can_be_written(tmp_path):
    features = make_features()
    write_table(find(features), tmp_path / "clusters.tsv", describe_clusters(LEVELS, 0.05, 500))
    write_table(model(features), tmp_path / "mixed_models.tsv", describe_mixed_models(LEVELS, "holm", 0.05))
    assert "500 draws" in (tmp_path / "clusters.json").read_text(encoding="utf-8")
