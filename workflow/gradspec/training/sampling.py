"""Batches in which both groups have the same number of samples, drawn as the library draws them."""

import logging

import numpy as np
from jaxtyping import Int

from gradspec.capture.sampling import balanced_batches

__all__ = ["balanced_batches", "cap_batch_size"]

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
