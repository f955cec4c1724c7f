"""Batches in which every group has the same number of samples, and in which a group is a slice."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import Sampler, default_collate

from gradspec.capture._lookup import Place, look_up
from gradspec.capture.errors import GroupError

Labels = Int[np.ndarray, " sample"]


class BalancedBatchSampler(Sampler[list[int]]):
    """Draws batches in which every group has the same number of samples, for ``DataLoader(batch_sampler=…)``.

    Singular values and rank of a group's gradient depend on how many *different* samples it has in the batch, so groups
    are compared at equal numbers and no sample occurs twice in a batch. An epoch uses each sample of the largest group
    once and those of the others as evenly as possible; its batches differ in size by at most one sample a group. In a
    batch, samples stand group by group.

    Each iteration is the next epoch, in an order of its own that the seed and the number of the epoch determine.

    Parameters
    ----------
    groups : Tensor or array
        Integer label of each sample of the data set; samples with -1 are left out.
    batch_size : int
        Most samples in a batch; what is left when it is divided by the number of groups remains unused.
    seed : int
        Source of the order.

    Raises
    ------
    GroupError
        When labels are no integers, when there are fewer than two groups, or when the batch is too small to hold every
        group, or too large for the smallest.

    Examples
    --------
    >>> sampler = BalancedBatchSampler(torch.tensor([0, 0, 0, 0, 1, 1, -1]), batch_size=4)
    >>> [len(batch) for batch in sampler]
    [4, 4]
    """

    def __init__(self, groups: Int[Tensor, " sample"] | Labels, batch_size: int, seed: int = 0) -> None:
        self._groups = _as_labels(groups)
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0
        self._sizes = _sizes_a_group(_members(self._groups), batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next iteration is, counted from 0: where training is resumed, for instance."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._sizes)

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng([self._seed, self._epoch])
        self._epoch += 1
        for batch in balanced_batches(self._groups, self._batch_size, rng):
            yield batch.tolist()


def balanced_batches(groups: Labels, batch_size: int, rng: np.random.Generator) -> list[Int[np.ndarray, " batch"]]:
    """Draw the batches of an epoch, as `BalancedBatchSampler` does.

    Parameters
    ----------
    groups : array of int
        Group of each sample, or -1 for one that is left out.
    batch_size : int
        Most samples in a batch.
    rng : Generator
        Source of the order.

    Returns
    -------
    list of arrays
        Indices of samples for every step: first those of the first group, then as many of the next.

    Raises
    ------
    GroupError
        As `BalancedBatchSampler`.
    """
    members = _members(groups)
    sizes = _sizes_a_group(members, batch_size)
    draws = [_draw_evenly(samples, sizes, rng) for samples in members]
    return [np.concatenate(batch) for batch in zip(*draws, strict=True)]


def group_sorting_collate(
    group_of: Place, collate: Callable[[list[Any]], Any] = default_collate
) -> Callable[[Sequence[Any]], Any]:
    """Sort the samples of each batch by group, so that the recorder picks a group without a copy.

    Samples of one group keep their order; those with -1 come last.

    Parameters
    ----------
    group_of : str or int or callable
        Where a sample says its group: a key or an attribute, a position, or what finds it.
    collate : callable
        Makes a batch of a list of samples.

    Returns
    -------
    callable
        For ``DataLoader(collate_fn=…)``.

    Examples
    --------
    >>> collate = group_sorting_collate("group")
    >>> collate([{"x": 5, "group": 1}, {"x": 6, "group": 0}])
    {'x': tensor([6, 5]), 'group': tensor([0, 1])}
    """
    return partial(_collate_sorted, group_of, collate)


def _collate_sorted(group_of: Place, collate: Callable[[list[Any]], Any], samples: Sequence[Any]) -> Any:
    def rank(sample: Any) -> tuple[bool, int]:
        label = int(look_up(sample, group_of))
        return label < 0, label

    return collate(sorted(samples, key=rank))


def _as_labels(groups: Int[Tensor, " sample"] | Labels) -> Labels:
    labels = groups.numpy(force=True) if isinstance(groups, torch.Tensor) else np.asarray(groups)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise GroupError(f"groups must hold one integer a sample, not {labels.dtype} of shape {labels.shape}")
    return labels


def _members(groups: Labels) -> list[Int[np.ndarray, " member"]]:
    """Samples of each group."""
    return [np.flatnonzero(groups == group) for group in np.unique(groups[groups >= 0])]


def _sizes_a_group(members: list[Int[np.ndarray, " member"]], batch_size: int) -> list[int]:
    """How many samples of each group every batch of an epoch has."""
    if len(members) < 2:
        raise GroupError(f"batches are balanced between at least two groups, but the samples are of {len(members)}")
    smallest, largest = min(map(len, members)), max(map(len, members))
    if not 1 <= batch_size // len(members) <= smallest:
        raise GroupError(
            f"batch_size is {batch_size}, but {len(members)} groups, of which the smallest has {smallest} samples, "
            f"make balanced batches of {len(members)} to {len(members) * smallest} samples"
        )
    n_steps = -(-largest // (batch_size // len(members)))
    return [len(part) for part in np.array_split(np.arange(largest), n_steps)]


def _draw_evenly(
    samples: Int[np.ndarray, " member"], sizes: list[int], rng: np.random.Generator
) -> list[Int[np.ndarray, " draw"]]:
    """Draw `sizes[i]` different samples for step i, those used least so far first, in random order."""
    uses = np.zeros(len(samples), dtype=np.int64)
    draws = []
    for size in sizes:
        chosen = np.lexsort((rng.random(len(samples)), uses))[:size]
        uses[chosen] += 1
        draws.append(samples[chosen])
    return draws
