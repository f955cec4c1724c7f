"""Balanced batches of any number of groups, and batches in which a group is a slice."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from gradspec.capture import BalancedBatchSampler, GroupError, group_sorting_collate
from gradspec.capture._groups import Groups


@st.composite
def samplers(draw: st.DrawFn) -> tuple[np.ndarray, int, int]:
    sizes = draw(st.lists(st.integers(1, 25), min_size=2, max_size=5))
    labels = np.repeat(np.arange(-1, len(sizes)), [draw(st.integers(0, 5)), *sizes])
    labels = np.random.default_rng(draw(st.integers(0, 99))).permutation(labels)
    batch_size = draw(st.integers(1, min(sizes))) * len(sizes) + draw(st.integers(0, len(sizes) - 1))
    return labels, batch_size, draw(st.integers(0, 2**32 - 1))


@settings(max_examples=200)
@given(samplers())
def test_groups_are_balanced_and_an_epoch_is_complete(case: tuple[np.ndarray, int, int]) -> None:
    labels, batch_size, seed = case
    sampler = BalancedBatchSampler(labels, batch_size, seed)
    batches = list(sampler)
    sizes = np.bincount(labels[labels >= 0])
    assert len(batches) == len(sampler) == -(-sizes.max() // (batch_size // len(sizes)))
    for batch in batches:
        assert len(set(batch)) == len(batch) <= batch_size
        assert (labels[batch] == np.repeat(np.arange(len(sizes)), len(batch) // len(sizes))).all()
    uses = np.bincount(np.concatenate(batches), minlength=len(labels))
    assert not uses[labels < 0].any()
    for group in range(len(sizes)):
        mine = uses[labels == group]
        assert mine.sum() == sizes.max() and mine.max() - mine.min() <= 1  # so the largest group is used once each


def test_every_iteration_is_the_next_epoch_and_the_seed_decides_the_order() -> None:
    labels = torch.arange(30) % 3
    sampler, again, other = (BalancedBatchSampler(labels, 9, seed) for seed in (1, 1, 2))
    epochs = [list(sampler) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs == [list(again) for _ in range(3)]
    assert epochs[0] != list(other)
    sampler.set_epoch(1)
    assert [list(sampler), list(sampler)] == epochs[1:]


def test_a_data_loader_takes_the_sampler() -> None:
    labels = torch.tensor([0, 1, 1, -1, 0, 1, 1])
    loader = DataLoader(TensorDataset(labels), batch_sampler=BalancedBatchSampler(labels, 2))
    assert [batch.tolist() for (batch,) in loader] == [[0, 1]] * 4


def test_groups_that_no_sample_has_are_no_matter() -> None:
    assert len(BalancedBatchSampler(torch.tensor([4, 1, 4, 1]), 2)) == 2


@pytest.mark.parametrize(
    ("labels", "batch_size", "message"),
    [
        ([0, 0, -1], 2, "at least two groups, but the samples are of 1"),
        ([0, 1, 2], 2, "batch_size is 2, but 3 groups"),
        ([0, 0, 0, 1, 1], 6, "the smallest has 2 samples, make balanced batches of 2 to 4"),
        ([0.0, 1.0], 2, "one integer a sample, not float"),
        ([[0, 1]], 2, r"of shape \(1, 2\)"),
    ],
)
def test_batches_that_cannot_be_balanced_are_refused(labels: list[int], batch_size: int, message: str) -> None:
    for groups in (np.array(labels), torch.tensor(labels)):
        with pytest.raises(GroupError, match=message):
            BalancedBatchSampler(groups, batch_size)


def test_sorted_batches_have_slices_for_groups_and_keep_the_order_within() -> None:
    labels = torch.tensor([1, 0, -1, 1, 0, 2, 0])
    data = TensorDataset(torch.arange(7), labels)
    ((index, group),) = DataLoader(data, batch_size=7, collate_fn=group_sorting_collate(1))
    assert index.tolist() == [1, 4, 6, 0, 3, 5, 2]
    assert group.tolist() == [0, 0, 0, 1, 1, 2, -1]
    parts = Groups(group, ["a", "b", "c"]).parts
    assert parts == [slice(0, 3), slice(3, 5), slice(5, 6), slice(6, 7)]


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (lambda i, g: {"i": i, "g": g}, "g"),
        (lambda i, g: (i, g), 1),
        (lambda i, g: (i, g), -1),
        (lambda i, g: SimpleNamespace(i=i, g=g), "g"),
        (lambda i, g: f"{i}/{g}", lambda sample: int(sample[-1])),
    ],
    ids=["key", "position", "from the end", "attribute", "callable"],
)
def test_the_group_is_found_where_a_sample_has_it(make, place) -> None:
    samples = [make(i, g) for i, g in enumerate([1, 0, 1, 0])]
    assert group_sorting_collate(place, collate=list)(samples) == [samples[i] for i in (1, 3, 0, 2)]


def test_a_sample_without_a_group_is_an_error() -> None:
    with pytest.raises(GroupError, match="there is no 'group' in what the data loader gives: dict"):
        group_sorting_collate("group")([{"x": 1}])


def test_workers_can_be_sent_the_collate_function() -> None:
    collate = pickle.loads(pickle.dumps(group_sorting_collate(1, collate=list)))
    assert collate([(0, 1), (1, 0)]) == [(1, 0), (0, 1)]
