"""Slice timing: every slice of a volume is brought to one moment, since they were acquired one after the other.

Slices with the same time (multiband) are shifted together.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.interpolate import make_interp_spline

from gradspec.errors import ParticipantError

_AXES = {"i": 0, "j": 1, "k": 2}


def reference_time(times: Sequence[float]) -> float:
    """Moment, in s after the start of a volume, that all slices are brought to: halfway from the first to the last."""
    return (min(times) + max(times)) / 2


def check_slice_times(
    times: Sequence[float] | None, direction: str, shape: Sequence[int], repetition_time: float
) -> None:
    """Refuse slice times that cannot be right.

    Parameters
    ----------
    times : sequence of float or None
        ``SliceTiming`` of the sidecar: the time of each slice in s after the start of the volume.
    direction : str
        ``SliceEncodingDirection`` of the sidecar: ``i``, ``j`` or ``k``, with ``-`` where the list runs backwards.
    shape : sequence of int
        Of the run.
    repetition_time : float
        In seconds.

    Raises
    ------
    ParticipantError
        If there are no times, another number than slices, or times outside the volume.
    """
    if times is None:
        raise ParticipantError(
            "has no SliceTiming (seconds, one a slice) in its JSON sidecar, which preprocess.slice_timing needs; add "
            "it (dcm2niix writes it), or set preprocess.slice_timing: false"
        )
    if direction.removesuffix("-") not in _AXES:
        raise ParticipantError(f"SliceEncodingDirection is {direction!r} in the JSON sidecar; i, j or k is expected")
    n_slices = shape[_AXES[direction[0]]]
    if len(times) != n_slices:
        raise ParticipantError(
            f"SliceTiming in the JSON sidecar has {len(times)} times, but the image has {n_slices} slices along "
            f"{direction[0]}; correct SliceTiming or SliceEncodingDirection"
        )
    if min(times) < 0 or max(times) >= repetition_time:
        raise ParticipantError(
            f"SliceTiming in the JSON sidecar runs from {min(times):g} to {max(times):g} s, but a volume takes "
            f"{repetition_time:g} s; it is in seconds, not milliseconds"
        )


def correct_slice_timing(
    bold: Float[np.ndarray, "x y z time"],
    times: Sequence[float],
    direction: str,
    repetition_time: float,
    n_dummies: int = 0,
) -> Float[np.ndarray, "x y z time"]:
    """Shift every slice in time to the middle of the acquisition, with a cubic spline.

    Parameters
    ----------
    bold : array, shape (x, y, z, time)
        The raw run; it is overwritten, since a run is large.
    times : sequence of float
        Time of each slice in s after the start of the volume.
    direction : str
        Axis of the slices, as in `check_slice_times`.
    repetition_time : float
        In seconds.
    n_dummies : int
        Volumes at the start that are left as they are, and that no other volume takes anything from.

    Returns
    -------
    array, shape (x, y, z, time)
        At the ends of the run, where there is nothing to interpolate from, the nearest volume is taken.

    Raises
    ------
    ParticipantError
        As in `check_slice_times`.
    """
    check_slice_times(times, direction, bold.shape, repetition_time)
    in_order = np.asarray(times, dtype=float)[:: -1 if direction.endswith("-") else 1]
    slices = np.moveaxis(bold, _AXES[direction[0]], 0)[..., n_dummies:]
    volumes = np.arange(slices.shape[-1], dtype=float)
    delays = (reference_time(times) - in_order) / repetition_time
    degree = min(3, len(volumes) - 1)
    for index, delay in enumerate(delays):
        if delay:
            moments = np.clip(volumes + delay, 0, len(volumes) - 1)
            slices[index] = make_interp_spline(volumes, slices[index], k=degree, axis=-1)(moments)
    return bold
