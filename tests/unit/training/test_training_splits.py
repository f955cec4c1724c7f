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
    train, test = get_fold(splits, repeat=1, fold=2)
    assert len(train) == 8 and len(test) == 4 and not set(train) & set(test)
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
