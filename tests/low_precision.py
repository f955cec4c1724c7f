"""What PyTorch cannot do in low precision on the processor at hand."""

from functools import cache

import pytest
import torch
from torch import nn


@cache
def _runs_lstm() -> bool:
    with torch.autocast("cpu", torch.bfloat16):
        try:
            nn.LSTM(2, 2)(torch.zeros(1, 1, 2))
        except RuntimeError:
            return False
    return True


def skip_without_low_precision_lstm() -> None:
    """Skip the test where an LSTM has no kernel for bfloat16: on processors without AVX2."""
    if not _runs_lstm():
        pytest.skip("PyTorch has no LSTM in bfloat16 for the instructions of this processor")
