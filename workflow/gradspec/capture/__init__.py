"""The recorder: exact singular values of weight gradients, for each group of samples, inside backward.

It stands alone: it needs torch, numpy and xarray, and imports nothing else of gradspec.
"""

from gradspec.capture.errors import (
    AttachedTwiceError,
    CaptureError,
    GroupError,
    NothingCapturedError,
    RowsError,
    UnsupportedError,
)
from gradspec.capture.recorder import SpectraRecorder

__all__ = [
    "AttachedTwiceError",
    "CaptureError",
    "GroupError",
    "NothingCapturedError",
    "RowsError",
    "SpectraRecorder",
    "UnsupportedError",
]
