"""What happens to time courses between regression and connectivity: detrend, despike, low-pass (in GIFT's order)."""

import numpy as np
from jaxtyping import Float
from scipy.signal import butter, detrend, sosfiltfilt

from gradspec.errors import ConfigError

_ORDER = 5
_SPIKE_FROM, _SPIKE_TO = 2.5, 4.0  # AFNI's c1 and c2, in robust standard deviations
_MAD_TO_SD = 1.4826


def process(
    timecourses: Float[np.ndarray, "time component"], repetition_time: float, low_pass: float | None
) -> Float[np.ndarray, "time component"]:
    """Detrend, despike and low-pass filter time courses.

    Parameters
    ----------
    timecourses : array, (time, component)
        Time courses of one run.
    repetition_time : float
        Time between volumes, in seconds.
    low_pass : float, optional
        Highest frequency kept, in hertz; None keeps all.

    Returns
    -------
    array, (time, component)
        Processed time courses, float64.

    Raises
    ------
    ConfigError
        If `low_pass` does not lie below the Nyquist frequency.
    """
    clean = despike(detrend(np.asarray(timecourses, dtype=np.float64), axis=0))
    return clean if low_pass is None else lowpass(clean, repetition_time, low_pass)


def despike(timecourses: Float[np.ndarray, "time component"]) -> Float[np.ndarray, "time component"]:
    r"""Pull in single values that lie far out, by the rule of AFNI's 3dDespike.

    With :math:`s` the distance from the median in robust standard deviations (1.4826 × median absolute deviation), a
    value beyond 2.5 is set to :math:`2.5 + 1.5 \tanh((|s| - 2.5) / 1.5)`, so that none is beyond 4; others stay as they
    are.

    Parameters
    ----------
    timecourses : array, (time, component)
        Detrended time courses.

    Returns
    -------
    array, (time, component)
        The same with spikes pulled in.
    """
    median = np.median(timecourses, axis=0)
    spread = _MAD_TO_SD * np.median(np.abs(timecourses - median), axis=0)
    distance = np.abs(timecourses - median) / np.where(spread > 0, spread, np.inf)
    room = _SPIKE_TO - _SPIKE_FROM
    pulled = _SPIKE_FROM + room * np.tanh((distance - _SPIKE_FROM) / room)
    return np.where(distance > _SPIKE_FROM, median + np.sign(timecourses - median) * spread * pulled, timecourses)


def lowpass(
    timecourses: Float[np.ndarray, "time component"], repetition_time: float, cutoff: float
) -> Float[np.ndarray, "time component"]:
    """Filter with a Butterworth low-pass of order 5, forwards and backwards, so that no phase is shifted.

    Parameters
    ----------
    timecourses : array, (time, component)
        Time courses of one run.
    repetition_time : float
        Time between volumes, in seconds.
    cutoff : float
        Frequency at which half the amplitude is left (a quarter of the power, as the filter is passed twice), in hertz.

    Returns
    -------
    array, (time, component)
        Filtered time courses.

    Raises
    ------
    ConfigError
        If `cutoff` does not lie below the Nyquist frequency.
    """
    nyquist = 0.5 / repetition_time
    if cutoff >= nyquist:
        raise ConfigError(
            f"ica.low_pass is {cutoff} Hz, but a repetition time of {repetition_time} s holds frequencies up to "
            f"{nyquist:.4g} Hz only (Nyquist); lower it, or set it to null for no filter"
        )
    sections = butter(_ORDER, cutoff, fs=1 / repetition_time, output="sos")
    padding = min(3 * (2 * len(sections) + 1), len(timecourses) - 1)
    return np.asarray(sosfiltfilt(sections, timecourses, axis=0, padlen=padding))
