"""What a file claims to hold, weighed before it is read: a few bytes can ask for more memory than there is."""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from gradspec.errors import ParticipantError

_DEFLATE_RATIO = 1032  # the most that deflate can ever shrink anything (zlib's technical notes)
_WORKING_BYTES = 4  # images are worked on as float32


def require_memory(shape: Sequence[int], itemsize: int, fault: Callable[[str], ParticipantError]) -> None:
    """Refuse an array that would not fit in the memory of this machine.

    Parameters
    ----------
    shape : sequence of int
        As the header of the file has it.
    itemsize : int
        Bytes a value.
    fault : callable
        Makes the error of a reason.

    Raises
    ------
    ParticipantError
        If the array is larger than the physical memory, or an axis is negative.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if min(shape, default=0) < 0:
        raise fault(f"claims the shape {tuple(shape)}, which nothing can have; it is damaged, export it again")
    if (claimed := math.prod(shape) * itemsize) > memory:
        raise fault(
            f"claims the shape {tuple(shape)}, which takes {claimed / 2**30:.4g} GiB, but this machine has "
            f"{memory / 2**30:.4g} GiB of memory; the header is damaged, or the file belongs on a larger machine"
        )


def require_image_size(
    path: str | Path, offset: int, shape: Sequence[int], itemsize: int, fault: Callable[[str], ParticipantError]
) -> None:
    """Refuse an image that claims more than its file can hold, or than memory takes.

    Parameters
    ----------
    path : path
        The image; a name that ends in ``.gz`` is compressed.
    offset : int
        Byte at which its voxels begin, as its header has it.
    shape : sequence of int
        As its header has it.
    itemsize : int
        Bytes a voxel.
    fault : callable
        Makes the error of a reason.

    Raises
    ------
    ParticipantError
        If the file is too small for what its header claims, or the image too large for this machine.
    """
    if offset < 0:
        raise fault(f"claims that its voxels begin at byte {offset}; the header is damaged, convert it again")
    claimed = math.prod(shape) * itemsize
    possible = Path(path).stat().st_size * (_DEFLATE_RATIO if str(path).endswith(".gz") else 1)
    if offset + claimed > possible:
        raise fault(
            f"cannot be read to its end, it is truncated or damaged: the header claims {claimed} bytes, but so short a "
            f"file holds {possible} at most; copy or convert it again"
        )
    require_memory(shape, max(itemsize, _WORKING_BYTES), fault)
