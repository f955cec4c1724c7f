"""Dummy scans: volumes at the start of a run in which the magnetisation has not settled yet, and which are brighter."""

import numpy as np
from jaxtyping import Float

from gradspec.errors import ParticipantError

_FIRST = 50  # volumes that are compared, as in fMRIPrep
_FEWEST_LEFT = 2


def count_dummy_scans(bold: Float[np.ndarray, "x y z time"], stated: int | None = None) -> int:
    """Count the dummy scans of a run.

    Parameters
    ----------
    bold : array, shape (x, y, z, time)
        The raw run.
    stated : int, optional
        Their number where it is known; otherwise the leading volumes are counted whose mean is an outlier among the
        first 50 (modified z-score above 3.5, `nipype.algorithms.confounds.is_outlier`) and brighter than their median.

    Raises
    ------
    ParticipantError
        If less than two volumes would be left.
    """
    found = _detect(bold) if stated is None else stated
    if bold.shape[3] - found < _FEWEST_LEFT:
        raise ParticipantError(
            f"has {bold.shape[3]} volumes, of which {found} are dummy scans: at least {_FEWEST_LEFT} others are "
            "needed; correct preprocess.dummy_scans or leave the run out"
        )
    return found


def _detect(bold: Float[np.ndarray, "x y z time"]) -> int:
    from nipype.algorithms.confounds import is_outlier

    means = np.array([bold[..., index].mean(dtype=float) for index in range(min(_FIRST, bold.shape[3]))])
    above = means - np.median(means)
    if not np.median(np.abs(above)) > 1e-9 * abs(np.median(means)):
        return 0  # nothing varies, so nothing can stand out
    dark = np.flatnonzero(above <= 0)
    return min(int(is_outlier(means)), int(dark[0]) if len(dark) else 0)
