"""Folds: a partition, stratified, and the same whatever the order of the table."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradspec.errors import ConfigError
from gradspec.training.seeds import derive_seed
from gradspec.training.splits import SPLIT_COLUMNS, get_fold, make_splits


def cohort(n_control, n_patient):
    groups = ["control"] * n_control + ["patient"] * n_patient
    return pd.DataFrame({"participant_id": [f"sub-{i:02d}" for i in range(len(groups))], "group": groups, "age": 30})


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 5), st.integers(1, 3), st.integers(5, 17), st.integers(5, 17), st.integers(0, 2**32 - 1))
def test_every_repeat_is_a_stratified_partition(folds, repeats, n_control, n_patient, seed):
    participants = cohort(n_control, n_patient)
    splits = make_splits(participants, folds, repeats, seed)
    assert list(splits) == list(SPLIT_COLUMNS)
    assert len(splits) == repeats * folds * len(participants)
    for _, repeat in splits.groupby("repeat"):
        test = repeat[repeat["set"] == "test"]
        assert sorted(test["participant_id"]) == list(participants["participant_id"])  # each is tested once
        for group, size in (("control", n_control), ("patient", n_patient)):
            counts = (test["group"] == group).groupby(test["fold"]).sum()
            assert set(counts) <= {size // folds, -(-size // folds)}
    for _, fold in splits.groupby(["repeat", "fold"]):
        assert sorted(fold["participant_id"]) == list(participants["participant_id"])  # and is on one side
        assert set(fold["set"]) == {"train", "test"}


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 4), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=4), st.data())
def test_sites_and_groups_are_both_spread_evenly(folds, sizes, data):
    sizes = [(folds, folds), *sizes]  # one site at least is in every fold
    participants = cohort(sum(n for n, _ in sizes), sum(n for _, n in sizes))
    sites = [f"site{i}" for group in (0, 1) for i, pair in enumerate(sizes) for _ in range(pair[group])]
    participants["site"] = sites
    shuffled = participants.sample(frac=1, random_state=data.draw(st.integers(0, 99)))
    participants = shuffled.assign(participant_id=participants["participant_id"].to_numpy())  # ids tell nothing
    splits = make_splits(participants, folds, 1, seed=0, split="site-stratified", site="site")
    test = splits[splits["set"] == "test"].merge(participants[["participant_id", "site"]], on="participant_id")
    assert sorted(test["participant_id"]) == sorted(participants["participant_id"])
    for by in (["group"], ["group", "site"]):
        for _, stratum in test.groupby(by):
            counts = stratum["fold"].value_counts().reindex(range(folds), fill_value=0)
            assert counts.max() - counts.min() <= 1


def test_each_site_is_left_out_once():
    participants = cohort(9, 9).assign(site=[1, 2, 3] * 6)
    splits = make_splits(participants, 3, 2, seed=0, split="leave-site-out", site="site")
    test = splits[splits["set"] == "test"].merge(participants[["participant_id", "site"]], on="participant_id")
    assert test.groupby(["repeat", "fold"])["site"].agg(["nunique", "size"]).to_numpy().tolist() == [[1, 6]] * 6
    with pytest.raises(ConfigError, match=r"3 sites \(1, 2, 3\), so set training.folds to 3"):
        make_splits(participants, 4, 1, seed=0, split="leave-site-out", site="site")


def test_validation_participants_come_out_of_training_alone():
    plain, inner = (make_splits(cohort(20, 10), 5, 2, seed=1, validation=share) for share in (0.0, 0.25))
    pd.testing.assert_series_equal(plain["set"] == "test", inner["set"] == "test")
    for _, fold in inner.groupby(["repeat", "fold"]):
        drawn = fold[fold["set"] == "validation"]
        assert drawn["group"].value_counts().to_dict() == {"control": 4, "patient": 2}
    drawn = [tuple(fold["set"] == "validation") for _, fold in inner.groupby(["repeat", "fold"])]
    assert len(set(drawn)) == len(drawn)


def group_sizes(rows):
    return rows.pivot_table(index=["repeat", "fold"], columns="group", values="participant_id", aggfunc="count")


@settings(max_examples=25, deadline=None)
@given(st.integers(5, 17), st.integers(5, 17), st.sampled_from([0.0, 0.3]))
def test_training_sets_can_have_equally_many_of_both_groups(n_control, n_patient, validation):
    participants = cohort(n_control, n_patient)
    whole = make_splits(participants, 3, 2, seed=1, validation=validation)
    equal = make_splits(participants, 3, 2, seed=1, validation=validation, equal_groups=True)
    train = equal[equal["set"] == "train"]
    counts = group_sizes(train)
    assert (counts["control"] == counts["patient"]).all()
    moved = equal[equal["set"] != whole["set"]]
    assert set(moved["set"]) <= {"unused"}
    assert (whole.loc[moved.index, "set"] == "train").all()
    before = group_sizes(whole[whole["set"] == "train"])
    assert (counts["control"] == before.min(axis=1)).all()  # nobody is left out without need


def test_those_who_are_left_out_of_training_differ_between_runs():
    splits = make_splits(cohort(5, 15), 5, 4, seed=0, equal_groups=True)
    unused = splits[splits["set"] == "unused"].groupby(["repeat", "fold"])["participant_id"].agg(tuple)
    assert unused.nunique() == len(unused) == 20
    assert set(splits.loc[splits["set"] == "train", "participant_id"]) == set(splits["participant_id"])


def test_errors_say_what_is_wrong_with_sites_and_validation():
    participants = cohort(6, 6).assign(site=["a"] * 6 + ["b"] * 6)
    with pytest.raises(ConfigError, match="only group 'patient'"):
        make_splits(participants, 2, 1, seed=0, split="leave-site-out", site="site")
    with pytest.raises(ConfigError, match="No site has 6 participants"):
        many = cohort(6, 6).assign(site=list("abcabcabcabc"))
        make_splits(many, 6, 1, seed=0, split="site-stratified", site="site")
    participants.loc[3, "site"] = None
    with pytest.raises(ConfigError, match="sub-03 have no 'site'"):
        make_splits(participants, 2, 1, seed=0, split="site-stratified", site="site")
    for share in (0.01, 0.9):
        with pytest.raises(ConfigError, match=r"training\.validation is"):
            make_splits(cohort(4, 4), 4, 1, seed=0, validation=share)


def test_order_of_the_table_does_not_matter_but_the_seed_does():
    participants = cohort(10, 10)
    splits = make_splits(participants, 5, 2, seed=1)
    pd.testing.assert_frame_equal(splits, make_splits(participants.sample(frac=1, random_state=3), 5, 2, seed=1))
    assert not splits.equals(make_splits(participants, 5, 2, seed=2))


def test_repeats_differ_and_more_of_them_keep_the_first():
    splits = make_splits(cohort(10, 10), 5, 2, seed=1)
    first, second = (splits.loc[splits["repeat"] == repeat, "set"].to_numpy() for repeat in (0, 1))
    assert (first != second).any()
    pd.testing.assert_frame_equal(splits, make_splits(cohort(10, 10), 5, 3, seed=1).iloc[: len(splits)])


def test_a_fold_is_read_back():
    splits = make_splits(cohort(6, 6), 3, 2, seed=0)
    sides = get_fold(splits, repeat=1, fold=2)
    assert {name: len(ids) for name, ids in sides.items()} == {"train": 8, "test": 4}
    assert not set(sides["train"]) & set(sides["test"])
    with pytest.raises(ConfigError, match="no fold 3 in repeat 0"):
        get_fold(splits, repeat=0, fold=3)


def test_errors_say_what_is_wrong_with_the_cohort():
    with pytest.raises(ConfigError, match=r"'patient' has 3 usable participant\(s\), fewer than training.folds \(4\)"):
        make_splits(cohort(9, 3), 4, 1, seed=0)
    with pytest.raises(ConfigError, match="two groups, but found only 'control'"):
        make_splits(cohort(9, 0), 4, 1, seed=0)
    with pytest.raises(ConfigError, match="sub-00 more than once"):
        make_splits(pd.concat([cohort(9, 9), cohort(1, 0)]), 4, 1, seed=0)


def test_derived_seeds_are_stable_and_distinct():
    assert derive_seed(20240617, "lstm", 0, 1) == 3323332671  # a change here changes every result
    seeds = [
        derive_seed(seed, model, repeat, fold)
        for seed in range(3)
        for model in ("mlp", "lstm", "transformer")
        for repeat in range(5)
        for fold in range(5)
    ]
    assert len(np.unique(seeds)) == len(seeds)
