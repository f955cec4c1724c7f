"""Truncated back-propagation through time: series cut into windows that gradients do not cross."""

import torch
from jaxtyping import Float
from torch import Tensor


def split_windows(
    timecourses: Float[Tensor, "batch time component"], length: int | None
) -> tuple[Float[Tensor, "batch window component"], ...]:
    """Cut time courses into windows of equal length, counted from the end; the first takes what remains.

    A recurrent network that detaches its hidden state between them learns by truncated back-propagation through time
    (Williams and Peng 1990), here with windows that do not overlap. Counted from the end, the last state has gradients
    from as many volumes as the others.

    Parameters
    ----------
    timecourses : Tensor of shape (batch, time, component)
        Series.
    length : int or None
        Volumes of a window; None for all of them.

    Returns
    -------
    tuple of Tensor
        The windows in the order of time.
    """
    n_volumes = timecourses.shape[1]
    if length is None or length >= n_volumes:
        return (timecourses,)
    n_whole, rest = divmod(n_volumes, length)
    windows: tuple[Tensor, ...] = torch.split(timecourses, [rest] * bool(rest) + [length] * n_whole, dim=1)
    return windows
