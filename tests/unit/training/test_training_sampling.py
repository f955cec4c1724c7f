"""Batches: balanced, complete, and free of repeated samples."""

import logging

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gradspec.capture.sampling import balanced_batches
from gradspec.training.sampling import cap_batch_size


@st.composite
def draws(draw):
    groups = np.repeat([0, 1], [draw(st.integers(1, 40)), draw(st.integers(1, 40))])
    groups = np.random.default_rng(draw(st.integers(0, 99))).permutation(groups)
    return groups, cap_batch_size(groups, 2 * draw(st.integers(1, 30))), draw(st.integers(0, 2**32 - 1))


@settings(max_examples=200, deadline=None)
@given(draws())
def test_batches_are_balanced_and_an_epoch_is_complete(case):
    groups, batch_size, seed = case
    batches = balanced_batches(groups, batch_size, np.random.default_rng(seed))
    larger = np.bincount(groups).max()
    sizes = [len(batch) for batch in batches]
    assert len(batches) == -(-larger // (batch_size // 2))
    assert max(sizes) <= batch_size and max(sizes) - min(sizes) <= 2
    for batch in batches:
        assert (groups[batch] == 0).sum() == (groups[batch] == 1).sum()
        assert len(np.unique(batch)) == len(batch)
    uses = np.bincount(np.concatenate(batches), minlength=len(groups))
    for group in (0, 1):
        mine = uses[groups == group]
        assert mine.sum() == larger and mine.max() - mine.min() <= 1  # so the larger group is used once each


def test_order_follows_the_generator():
    groups = np.arange(30) % 2
    first, again, other = (
        np.concatenate(balanced_batches(groups, 8, np.random.default_rng(seed))) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_batch_larger_than_the_data_is_capped_and_logged(caplog):
    groups = np.repeat([0, 1], [9, 5])
    with caplog.at_level(logging.WARNING):
        assert cap_batch_size(groups, 8) == 8
        assert not caplog.records
        assert cap_batch_size(groups, 64) == 10
    assert "training.batch_size is 64, but the smaller group has only 5" in caplog.text
