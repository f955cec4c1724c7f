"""The recorder: exact singular values of weight gradients, for each group of samples, inside backward.

It stands alone: it needs torch, numpy and xarray, and imports nothing else of gradspec.
"""

from gradspec.capture._discovery import register_layer
from gradspec.capture._layer import Layer
from gradspec.capture._linear import captured_linear
from gradspec.capture.errors import (
    AttachedTwiceError,
    CaptureError,
    GroupError,
    NothingCapturedError,
    RowsError,
    UnsupportedError,
)
from gradspec.capture.normalization import per_group_mean
from gradspec.capture.recorder import SpectraRecorder
from gradspec.capture.sampling import BalancedBatchSampler, group_sorting_collate

__all__ = [
    "AttachedTwiceError",
    "BalancedBatchSampler",
    "CaptureError",
    "GroupError",
    "Layer",
    "NothingCapturedError",
    "RowsError",
    "SpectraRecorder",
    "UnsupportedError",
    "captured_linear",
    "group_sorting_collate",
    "per_group_mean",
    "register_layer",
]
