"""The window of training that features are averaged over."""

import math
from collections.abc import Sequence

from gradspec.errors import ConfigError


def select_epochs(epochs: Sequence[int], window: Sequence[float]) -> list[int]:
    """Epochs in a window given as shares of their number: every epoch that it touches, at least one.

    Raises
    ------
    ConfigError
        If the window ends before it begins.
    """
    first, last = window
    if first > last:
        raise ConfigError(f"stats.window is [{first:g}, {last:g}]: the first share must not be larger than the second")
    ordered = sorted(set(epochs))
    start = min(math.floor(round(first * len(ordered), 9)), len(ordered) - 1)
    stop = max(math.ceil(round(last * len(ordered), 9)), start + 1)
    return ordered[start:stop]
