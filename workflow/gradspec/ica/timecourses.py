"""What happens to time courses between regression and connectivity, in the order of GIFT.

Detrend (with slow sines and cosines), confounds, despike, low-pass. Images that the workflow denoised have lost their
confounds voxel by voxel already, and time courses are linear in the images: then there is nothing left to regress out.
"""

import numpy as np
from jaxtyping import Float
from scipy.signal import butter, periodogram, sosfiltfilt

from gradspec.errors import ConfigError, ParticipantError

_ORDER = 5
_SPIKE_FROM, _SPIKE_TO = 2.5, 4.0  # AFNI's c1 and c2, in robust standard deviations
_MAD_TO_SD = 1.4826
_CONSTANT = 1e-6  # size, relative to the largest value, of what only shows rounding


def process(
    timecourses: Float[np.ndarray, "time component"],
    repetition_time: float,
    low_pass: float | None,
    *,
    confounds: Float[np.ndarray, "row confound"] | None = None,
    cycles: int = 0,
) -> Float[np.ndarray, "time component"]:
    """Detrend, regress out confounds, despike and low-pass filter time courses.

    Parameters
    ----------
    timecourses : array, (time, component)
        Time courses of one run.
    repetition_time : float
        Time between volumes, in seconds.
    low_pass : float, optional
        Highest frequency kept, in hertz; None keeps all.
    confounds : array, (time, confound), optional
        Series that are regressed out, such as motion parameters.
    cycles : int
        Sine and cosine of 1 to this number of cycles over the run are removed with mean and linear trend: 2 in GIFT; 0
        for these two alone, which is enough after a high-pass filter and keeps more of a short run.

    Returns
    -------
    array, (time, component)
        Processed time courses, float64.

    Raises
    ------
    ConfigError
        If `low_pass` does not lie below the Nyquist frequency.
    ParticipantError
        If confounds are not finite, of another length, or leave no degrees of freedom.
    """
    clean = detrend(np.asarray(timecourses, dtype=np.float64), cycles)
    if confounds is not None:
        clean = regress_out(clean, detrend(np.asarray(confounds, dtype=np.float64), cycles))
    clean = despike(clean)
    return clean if low_pass is None else lowpass(clean, repetition_time, low_pass)


def detrend(timecourses: Float[np.ndarray, "time component"], cycles: int) -> Float[np.ndarray, "time component"]:
    r"""Remove mean, linear trend, and slow sines and cosines by least squares.

    The regressors are :math:`1, t, \sin(2\pi j t / T), \cos(2\pi j t / T)` for :math:`j` = 1 to `cycles`, over a run of
    length :math:`T` (GIFT's ``icatb_detrend`` with option 3, for two cycles).

    Parameters
    ----------
    timecourses : array, (time, component)
        Time courses of one run.
    cycles : int
        Most cycles over the run.

    Returns
    -------
    array, (time, component)
        What is left.

    Raises
    ------
    ParticipantError
        If the run is too short.
    """
    n_volumes = len(timecourses)
    if n_volumes < 2 * cycles + 3:
        raise ParticipantError(
            f"{n_volumes} volumes are too few to remove a trend with {cycles} cycles; at least {2 * cycles + 3} are "
            "needed: lower ica.detrend_cycles or leave the run out"
        )
    phase = 2 * np.pi * np.arange(n_volumes) / n_volumes
    waves = [wave(j * phase) for j in range(1, cycles + 1) for wave in (np.sin, np.cos)]
    return _without(timecourses, np.column_stack([np.ones(n_volumes), np.linspace(-1, 1, n_volumes), *waves]))


def regress_out(
    timecourses: Float[np.ndarray, "time component"], confounds: Float[np.ndarray, "row confound"]
) -> Float[np.ndarray, "time component"]:
    """Remove what confounds explain by least squares; confounds that depend on each other do no harm.

    Parameters
    ----------
    timecourses : array, (time, component)
        Detrended time courses.
    confounds : array, (time, confound)
        Confounds, detrended in the same way.

    Returns
    -------
    array, (time, component)
        What is left.

    Raises
    ------
    ParticipantError
        If confounds are not finite, of another length, or leave no degrees of freedom.
    """
    if len(confounds) != len(timecourses):
        raise ParticipantError(
            f"the confounds have {len(confounds)} rows, the time courses {len(timecourses)} volumes; they must belong "
            "to one run"
        )
    if not np.isfinite(confounds).all():
        raise ParticipantError("the confounds hold values that are not finite (NaN or infinity); fill or drop them")
    if confounds.shape[1] >= len(timecourses) - 1:
        raise ParticipantError(
            f"{confounds.shape[1]} confounds leave nothing of {len(timecourses)} volumes; name fewer of them"
        )
    return _without(timecourses, confounds)


def power_spectrum(
    timecourses: Float[np.ndarray, "participant time component"], repetition_time: float
) -> tuple[Float[np.ndarray, " frequency"], Float[np.ndarray, "participant frequency component"]]:
    """Return frequencies (Hz) and the share that each has in the variance of every time course.

    Parameters
    ----------
    timecourses : array, (participant, time, component)
        Time courses, not filtered; their linear trend is removed.
    repetition_time : float
        Time between volumes, in seconds.

    Returns
    -------
    frequency : array, (frequency,)
        Hz, without zero.
    power : array, (participant, frequency, component)
        Periodogram (Hann window) that adds up to 1 over frequencies; 0 for a constant time course.
    """
    frequency, power = periodogram(
        timecourses, 1 / repetition_time, window="hann", detrend="linear", scaling="spectrum", axis=1
    )
    power = power[:, 1:]
    total = power.sum(axis=1, keepdims=True)
    rounding = np.square(_CONSTANT * np.abs(timecourses).max(axis=1, keepdims=True))
    return frequency[1:], np.where(total > rounding, power / np.where(total > 0, total, 1), 0)


def _without(
    timecourses: Float[np.ndarray, "time component"], regressors: Float[np.ndarray, "time regressor"]
) -> Float[np.ndarray, "time component"]:
    return np.asarray(timecourses - regressors @ np.linalg.lstsq(regressors, timecourses, rcond=None)[0])


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
