"""The table of group differences: against loops over the features, and what is not tested and why."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from gradspec.errors import ConfigError
from gradspec.files import write_table
from gradspec.stats.corrected_t import corrected_resampled_t_test, mean_overlap
from gradspec.stats.effect_size import effect_interval
from gradspec.stats.equivalence import equivalence_p
from gradspec.stats.group_differences import compare_groups, correct_families, describe_differences
from gradspec.stats.multiplicity import CORRECTIONS, correct
from gradspec.stats.noise_corrected_jackknife import noise_corrected_jackknife_t_test, within_df
from gradspec.stats.plan import read_plan
from gradspec.stats.runs import fold_shape, select_epochs, training_sets

LEVELS = ["control", "patient"]
NAMES = ["spectral_norm", "effective_rank"]
LAYERS = ["hidden.weight", "a.weight"]
RUNS = [(repeat, fold) for repeat in range(2) for fold in range(4)]


def make_features(runs=RUNS, kinds=("gradient",), n_epochs=4):
    rng = np.random.default_rng(0)
    rows = [
        {"model": "mlp", "repeat": repeat, "fold": fold, "layer": layer, "kind": kind, "epoch": epoch, "group": group}
        for repeat, fold in runs
        for layer in LAYERS
        for kind in kinds
        for epoch in range(n_epochs)
        for group in [*LEVELS, "pooled"]
    ]
    return pd.DataFrame(rows).assign(**{name: rng.gamma(3.0, size=len(rows)) for name in NAMES})


def make_splits(n_participants=12, runs=RUNS):
    """Folds that each repeat deals anew."""
    n_folds = 1 + max(fold for _, fold in runs)
    return pd.DataFrame(
        [
            (repeat, fold, f"sub-{person:02}", LEVELS[person % 2], "test" if place % n_folds == fold else "train")
            for repeat, fold in runs
            for place, person in enumerate(np.random.default_rng(repeat).permutation(n_participants))
        ],
        columns=["repeat", "fold", "participant_id", "group", "set"],
    )


def compare(features, *, families=(), correction="benjamini-hochberg", **options):
    tables = []
    for _, part in features.groupby("model", sort=False):
        runs = list(part[["repeat", "fold"]].drop_duplicates().itertuples(index=False, name=None))
        tables.append(compare_groups(part, make_splits(runs=runs), levels=LEVELS, names=NAMES, **options))
    return correct_families(tables, families, correction)


def row_of(table, layer, feature):
    return table[(table["layer"] == layer) & (table["feature"] == feature)].iloc[0]


TESTED = {
    "noise-corrected-jackknife-t": (
        "noise-corrected jackknife t",
        lambda runs: noise_corrected_jackknife_t_test(np.array(runs).reshape(2, 4), n_participants=12),
    ),
    "corrected-resampled-t": (
        "corrected resampled t",
        lambda runs: corrected_resampled_t_test(
            np.array(runs), mean_overlap(training_sets(make_splits(), RUNS, "mlp")), df=within_df(2, 4, 12)
        ),
    ),
}


@pytest.mark.parametrize("test", TESTED)
@pytest.mark.parametrize("window", [(0.0, 1.0), (0.5, 1.0)])
def test_every_row_is_what_a_loop_finds(window, test):
    features = make_features().sample(frac=1, random_state=0)  # runs are told by their columns, not by their order
    epochs = range(4) if window[0] == 0 else range(2, 4)
    table = compare(features.sort_values("layer", ascending=False, kind="stable"), window=window, test=test)
    assert list(table.columns) == list(describe_differences(LEVELS, window, 0.05))
    assert list(table[["layer", "feature"]].itertuples(index=False, name=None)) == [
        (layer, name) for layer in LAYERS for name in NAMES
    ]
    for layer in LAYERS:
        for name in NAMES:
            means = {
                group: np.array(
                    [
                        np.mean(
                            [
                                row[name]
                                for _, row in features.iterrows()
                                if (row["repeat"], row["fold"], row["layer"], row["group"]) == (*run, layer, group)
                                and row["epoch"] in epochs
                            ]
                        )
                        for run in RUNS
                    ]
                )
                for group in LEVELS
            }
            difference = means["patient"] - means["control"]
            name_of_test, do = TESTED[test]
            expected = do(difference)
            row = row_of(table, layer, name)
            assert row["mean_reference"] == pytest.approx(means["control"].mean())
            assert row["mean_comparison"] == pytest.approx(means["patient"].mean())
            assert row["difference"] == pytest.approx(difference.mean())
            for column in ("effect_size", "statistic", "p_value", "ci_low", "ci_high", "df"):
                assert row[column] == pytest.approx(getattr(expected, column))
            assert (row["n_runs"], row["test"]) == (8, name_of_test)
            assert tuple(row[["effect_low", "effect_high"]]) == pytest.approx(
                effect_interval(expected.effect_size, expected.statistic, expected.df)
            )
            equivalent = equivalence_p(
                lambda values, do=do: do(values[:, 0]), *(means[g][:, None] for g in LEVELS), 0.1
            )
            assert row["p_equivalent"] == pytest.approx(equivalent)


def test_one_repeat_falls_back_to_the_plain_jackknife_and_says_so():
    table = compare(make_features(runs=RUNS[:4]))
    assert set(table["test"]) == {"delete-fold jackknife t"}
    assert table["df"].to_numpy() == pytest.approx(3) and table["p_value"].notna().all()


def test_a_repeat_that_lacks_a_fold_is_named():
    with pytest.raises(ConfigError, match="lack repeat 1, fold 3"):
        compare(make_features(runs=RUNS[:-1]))
    assert fold_shape(RUNS, "mlp") == (2, 4)


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_p_values_are_corrected_within_a_kind(correction):
    table = compare(make_features(kinds=("gradient", "delta")), correction=correction)
    for kind, family in table.groupby("kind"):
        expected = multipletests(family["p_value"], method=CORRECTIONS[correction])[1]
        np.testing.assert_allclose(family["p_corrected"], expected)
        assert set(family["correction"]) == {correction}
        assert set(family["family"]) == {f"model mlp, kind {kind}, exploratory: 4 tests"}
        expected = multipletests(family["p_equivalent"], method=CORRECTIONS[correction])[1]
        np.testing.assert_allclose(family["p_equivalent_corrected"], expected)


def test_a_family_of_the_plan_is_corrected_alone_across_networks():
    features = pd.concat([make_features(), make_features().assign(model="lstm")])
    plan = read_plan(
        {
            "rank": {
                "question": "",
                "models": [],
                "layers": ["a.*"],
                "kinds": ["gradient"],
                "features": ["effective_rank"],
                "correction": "holm",
            }
        }
    )
    table = compare(features, families=plan)
    declared = table["status"] == "confirmatory"
    assert list(table[declared][["model", "layer", "feature"]].itertuples(index=False, name=None)) == [
        ("mlp", "a.weight", "effective_rank"),
        ("lstm", "a.weight", "effective_rank"),
    ]
    assert set(table[declared]["family"]) == {"rank, confirmatory: 2 tests"}
    np.testing.assert_allclose(table[declared]["p_corrected"], correct(table[declared]["p_value"].to_numpy(), "holm"))
    for _, rest in table[~declared].groupby("model"):
        assert set(rest["status"]) == {"exploratory"} and len(rest) == 3
        np.testing.assert_allclose(rest["p_corrected"], correct(rest["p_value"].to_numpy(), "benjamini-hochberg"))


def test_what_is_not_tested_does_not_count_in_the_correction():
    p_values = np.array([0.01, np.nan, 0.03, 0.5])
    found = correct(p_values, "holm")
    np.testing.assert_allclose(found, [0.03, np.nan, 0.06, 0.5])
    assert np.isnan(correct(np.array([np.nan]), "holm")).all()


def change(features, layer, name, values, **where):
    chosen = features["layer"] == layer
    for column, value in where.items():
        chosen &= features[column] == value
    features.loc[chosen, name] = values
    return features


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda table: change(table, "a.weight", "effective_rank", 1.0), "the groups are equal in every run"),
        (
            lambda table: change(
                change(table, "a.weight", "effective_rank", 0.3), "a.weight", "effective_rank", 0.1, group="control"
            ),
            "the difference is the same in every run",
        ),
        (
            lambda table: change(table, "a.weight", "effective_rank", np.nan, repeat=1, fold=2, group="control"),
            "undefined in 1 of 8 runs",
        ),
    ],
)
def test_a_feature_that_cannot_be_tested_says_why_and_the_others_are_tested(spoil, reason):
    table = compare(spoil(make_features()))
    row = row_of(table, "a.weight", "effective_rank")
    assert row["test"] == f"not tested: {reason}"
    assert row[["effect_low", "effect_high", "p_equivalent"]].isna().all()
    assert row[["ci_low", "ci_high", "effect_size", "statistic", "p_value", "p_corrected"]].isna().all()
    assert (table["test"] == "noise-corrected jackknife t").sum() == 3
    assert table["family"].str.endswith(": 3 tests").all()


@pytest.mark.parametrize("n_runs", [1, 2])
def test_too_few_runs_are_not_tested(n_runs):
    table = compare(make_features(runs=RUNS[:n_runs]))
    assert set(table["test"]) == {f"not tested: {n_runs} runs, at least 3 are needed"}
    assert table["difference"].notna().all() and table["p_value"].isna().all()


def test_an_epoch_that_one_group_lacks_is_left_out_for_both():
    features = change(make_features(), "a.weight", "effective_rank", np.nan, epoch=0, group="control")
    row = row_of(compare(features), "a.weight", "effective_rank")
    later = row_of(compare(features[features["epoch"] > 0]), "a.weight", "effective_rank")
    assert row["mean_comparison"] == pytest.approx(later["mean_comparison"])
    assert row["p_value"] == pytest.approx(later["p_value"])


def test_a_planted_difference_is_found():
    features = make_features()
    planted = features["group"].eq("patient") & features["layer"].eq("a.weight")
    features.loc[planted, "effective_rank"] += 10
    table = compare(features)
    found = row_of(table, "a.weight", "effective_rank")
    assert found["p_corrected"] < 0.02 and 0 < found["ci_low"] < 10 < found["ci_high"]
    assert (table["p_corrected"] < 0.05).sum() == 1


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ((0.0, 1.0), range(10)),
        ((0.7, 1.0), [7, 8, 9]),
        ((0.1, 0.3), [1, 2]),
        ((0.25, 0.35), [2, 3]),
        ((0.0, 0.0), [0]),
        ((1.0, 1.0), [9]),
    ],
)
def test_window_takes_the_epochs_that_it_touches(window, expected):
    assert select_epochs(list(range(10)), window) == list(expected)


def test_a_window_that_ends_before_it_begins_is_refused():
    with pytest.raises(ConfigError, match=r"stats\.window is \[0\.6, 0\.5\]"):
        select_epochs([0, 1], (0.6, 0.5))


def test_training_sets_are_those_of_the_splits_run_by_run():
    splits = make_splits(n_participants=10)
    found = training_sets(splits, RUNS[::-1], "mlp")
    people = sorted(splits["participant_id"].unique())
    for (repeat, fold), row in zip(RUNS[::-1], found, strict=True):
        of_run = splits[(splits["repeat"] == repeat) & (splits["fold"] == fold) & (splits["set"] == "train")]
        assert {people[i] for i in np.flatnonzero(row)} == set(of_run["participant_id"])


def test_runs_that_the_splits_do_not_know_are_named():
    with pytest.raises(ConfigError, match="mlp have repeat 5, fold 0"):
        training_sets(make_splits(), [(5, 0)], "mlp")


def test_groups_and_features_that_are_absent_are_named():
    features = make_features()
    with pytest.raises(ConfigError, match="no group 'case'; they have control, patient, pooled"):
        compare_groups(features, make_splits(), levels=["control", "case"], names=NAMES)
    with pytest.raises(ConfigError, match="no feature 'entropy'"):
        compare_groups(features, make_splits(), levels=LEVELS, names=["entropy"])


def test_the_table_can_be_written(tmp_path):
    write_table(compare(make_features()), tmp_path / "differences.tsv", describe_differences(LEVELS, (0, 1), 0.05))
    assert "95 %" in (tmp_path / "differences.json").read_text(encoding="utf-8")
