"""Detrend, despike, low-pass."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradspec.errors import ConfigError, ParticipantError
from gradspec.ica.timecourses import despike, detrend, lowpass, power_spectrum, process, regress_out

TIME = np.arange(200) * 2.0


def sine(frequency):
    return np.sin(2 * np.pi * frequency * TIME)[:, None]


@pytest.mark.parametrize(("frequency", "gain"), [(0.03, 1.0), (0.08, 1.0), (0.15, 0.5), (0.2, 0.0), (0.24, 0.0)])
def test_the_filter_keeps_low_frequencies_and_removes_high_ones_without_delay(frequency, gain):
    inner = slice(40, -40)
    filtered = lowpass(sine(frequency), 2.0, 0.15)
    np.testing.assert_allclose(filtered[inner], gain * sine(frequency)[inner], atol=0.02)


def test_a_cutoff_at_or_beyond_nyquist_is_refused_with_the_numbers():
    with pytest.raises(ConfigError, match=r"ica\.low_pass is 0\.15 Hz, .* 3\.5 s .* 0\.1429 Hz .*null for no filter"):
        process(sine(0.05), 3.5, 0.15)


def test_null_keeps_all_frequencies():
    np.testing.assert_allclose(process(sine(0.22), 2.0, None), sine(0.22), atol=0.02)


def test_trends_go():
    ramp = np.linspace(5, 9, 200)[:, None]
    np.testing.assert_allclose(process(ramp, 2.0, 0.15), 0, atol=1e-9)


def test_short_series_can_be_filtered():
    assert np.isfinite(process(np.random.default_rng(0).standard_normal((12, 2)), 2.0, 0.15)).all()


def test_a_spike_is_pulled_in_and_the_rest_stays():
    series = np.random.default_rng(1).standard_normal((200, 2))
    series = np.clip(series, -2, 2)
    spiked = series.copy()
    spiked[50, 0] = 30
    spiked[70, 1] = -30
    clean = despike(spiked)
    untouched = np.ones_like(series, dtype=bool)
    untouched[50, 0] = untouched[70, 1] = False
    np.testing.assert_array_equal(clean[untouched], series[untouched])
    assert 3 < clean[50, 0] < 5
    assert -5 < clean[70, 1] < -3


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), height=st.floats(0, 1e6))
def test_despiking_bounds_every_value_and_keeps_the_order(seed, height):
    series = np.random.default_rng(seed).standard_normal((50, 1))
    series[7] += height
    clean = despike(series)
    median = np.median(series)
    spread = 1.4826 * np.median(np.abs(series - median))
    assert np.abs(clean - median).max() <= 4 * spread + 1e-9
    assert (np.diff(clean[np.argsort(series[:, 0]), 0]) >= -1e-9).all()


def test_a_constant_series_passes():
    np.testing.assert_allclose(process(np.full((60, 1), 3.0), 2.0, 0.1), 0, atol=1e-12)


@pytest.mark.parametrize("cycles", [0, 1, 2])
def test_slow_waves_go_with_the_trend(cycles):
    time = np.arange(120) / 120
    for j in (1, 2, 5):
        wave = np.sin(2 * np.pi * j * time + 0.4)[:, None] + 3 * time[:, None] + 7
        left = np.abs(detrend(wave, cycles)).max()
        assert left < 1e-9 if j <= cycles else left > 0.3


def test_confounds_go_and_what_is_independent_of_them_stays():
    rng = np.random.default_rng(0)
    confounds = rng.standard_normal((100, 3))
    confounds = np.column_stack([confounds, confounds[:, 0]])  # one of them twice
    signal = regress_out(rng.standard_normal((100, 2)), confounds)
    clean = process(signal + confounds @ rng.standard_normal((4, 2)), 2.0, None, confounds=confounds)
    np.testing.assert_allclose(clean, process(signal, 2.0, None, confounds=confounds), atol=1e-8)
    np.testing.assert_allclose(
        detrend(confounds, 0).T @ regress_out(detrend(signal, 0), detrend(confounds, 0)), 0, atol=1e-8
    )


def test_confounds_that_do_not_fit_are_refused():
    series = np.random.default_rng(0).standard_normal((20, 2))
    with pytest.raises(ParticipantError, match="the confounds have 19 rows, the time courses 20 volumes"):
        regress_out(series, np.ones((19, 1)))
    with pytest.raises(ParticipantError, match="not finite"):
        regress_out(series, np.full((20, 1), np.nan))
    with pytest.raises(ParticipantError, match="19 confounds leave nothing of 20 volumes"):
        regress_out(series, np.ones((20, 19)))


def test_a_run_too_short_to_detrend_is_refused():
    with pytest.raises(ParticipantError, match="6 volumes are too few to remove a trend with 2 cycles; at least 7"):
        detrend(np.ones((6, 1)), 2)


def test_power_adds_up_to_one_and_peaks_where_the_wave_is():
    rng = np.random.default_rng(0)
    courses = np.stack([sine(0.05) + 0.01 * rng.standard_normal((200, 1)), np.full((200, 1), 3.0)])
    frequency, power = power_spectrum(courses, 2.0)
    assert frequency[0] > 0
    assert frequency[power[0, :, 0].argmax()] == pytest.approx(0.05)
    np.testing.assert_allclose(power.sum(axis=1)[:, 0], [1, 0], atol=1e-9)
