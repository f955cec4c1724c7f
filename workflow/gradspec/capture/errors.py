"""What can go wrong while spectra are recorded, each with a name of its own."""

from collections.abc import Sequence

_MOST_NAMES = 10


class CaptureError(RuntimeError):
    """Base of every error that the recorder raises on purpose."""


class GroupError(CaptureError, ValueError):
    """The group labels of a step cannot be used: wrong type, shape, length or ids."""


class RowsError(CaptureError, ValueError):
    """The rows that a layer sees cannot be mapped to the samples of the batch."""


class NothingCapturedError(CaptureError):
    """A registered layer gave no gradient in a recorded step."""


class AttachedTwiceError(CaptureError):
    """A layer already belongs to another recorder that has not been detached."""


class UnsupportedError(CaptureError):
    """The recorder cannot give right numbers in this setting, and refuses to give wrong ones."""


def listed(names: Sequence[str]) -> str:
    """At most ten names, and how many more there are."""
    shown = ", ".join(names[:_MOST_NAMES])
    return shown if len(names) <= _MOST_NAMES else f"{shown} and {len(names) - _MOST_NAMES} more"
