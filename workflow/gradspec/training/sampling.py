"""Batches in which both groups have the same number of samples."""

import logging

import numpy as np
from jaxtyping import Int

_log = logging.getLogger(__name__)


def cap_batch_size(groups: Int[np.ndarray, "sample"], batch_size: int) -> int:
    """Batch size that leaves no sample twice in a batch; a lower one than asked for is logged."""
    smaller = int(min((groups == group).sum() for group in (0, 1)))
    if batch_size // 2 <= smaller:
        return batch_size
    _log.warning(
        "training.batch_size is %d, but the smaller group has only %d training samples: batches hold at most %d",
        batch_size,
        smaller,
        2 * smaller,
    )
    return 2 * smaller


def balanced_batches(
    groups: Int[np.ndarray, "sample"], batch_size: int, rng: np.random.Generator
) -> list[Int[np.ndarray, "batch"]]:
    """Draw the batches of an epoch: each group fills half of every batch.

    Singular values and rank of a group's gradient depend on how many *different* samples it has in the batch, so
    groups are compared at equal numbers and no sample occurs twice in a batch. An epoch uses each sample of the larger
    group once and those of the smaller one as evenly as possible; its batches differ in size by at most one sample a
    group.

    Parameters
    ----------
    groups : array of int
        Group (0 or 1) of each sample; both must occur.
    batch_size : int
        Most samples in a batch (even); at most twice the size of the smaller group, see `cap_batch_size`.
    rng : Generator
        Source of the order.

    Returns
    -------
    list of arrays
        Indices of samples for every step: first those of group 0, then as many of group 1.
    """
    members = [np.flatnonzero(groups == group) for group in (0, 1)]
    larger = max(map(len, members))
    n_steps = -(-larger // (batch_size // 2))
    sizes = [len(part) for part in np.array_split(np.arange(larger), n_steps)]
    draws = [_draw_evenly(samples, sizes, rng) for samples in members]
    return [np.concatenate(pair) for pair in zip(*draws, strict=True)]


def _draw_evenly(
    samples: Int[np.ndarray, "member"], sizes: list[int], rng: np.random.Generator
) -> list[Int[np.ndarray, "draw"]]:
    """Draw `sizes[i]` different samples for step i, those used least so far first, in random order."""
    uses = np.zeros(len(samples), dtype=np.int64)
    draws = []
    for size in sizes:
        chosen = np.lexsort((rng.random(len(samples)), uses))[:size]
        uses[chosen] += 1
        draws.append(samples[chosen])
    return draws
