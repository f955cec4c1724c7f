"""How large a batch can be in which both groups have the same number of samples."""

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
