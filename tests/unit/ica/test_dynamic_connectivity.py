"""Windows and states."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from gradspec.errors import ConfigError, ParticipantError
from gradspec.ica.connectivity import fnc
from gradspec.ica.dynamic_connectivity import (
    STATES_COLUMNS,
    cohort_dynamic_fnc,
    find_states,
    window_weights,
    windowed_fnc,
)


def plain_windowed_fnc(timecourses, weights, step):
    """One window and one pair after the other."""
    rows = []
    for first in range(0, len(timecourses) - len(weights) + 1, step):
        part = timecourses[first : first + len(weights)]
        row = []
        for i in range(part.shape[1]):
            for j in range(i + 1, part.shape[1]):
                covariance = np.cov(part[:, i], part[:, j], aweights=weights)
                row.append(np.arctanh(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])))
        rows.append(row)
    return np.array(rows)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000), width=st.integers(5, 20), taper=st.sampled_from([0.0, 1.0, 3.0]), step=st.integers(1, 4)
)
def test_windows_are_weighted_correlations(seed, width, taper, step):
    series = np.random.default_rng(seed).standard_normal((60, 4)) + 5
    weights = window_weights(width, taper)
    np.testing.assert_allclose(
        windowed_fnc(series, weights, step), plain_windowed_fnc(series, weights, step), atol=1e-9
    )


def test_a_window_over_all_is_static_connectivity():
    series = np.random.default_rng(0).standard_normal((50, 4))
    whole = windowed_fnc(series, window_weights(50, 0.0), 1)
    np.testing.assert_allclose(whole[0], fnc(series)[np.triu_indices(4, 1)], atol=1e-9)


def test_a_taper_rounds_the_ends_of_the_rectangle():
    plain, tapered = window_weights(20, 0.0), window_weights(20, 3.0)
    np.testing.assert_allclose(plain, 1 / 20)
    assert len(tapered) == 20 + 2 * 9
    assert tapered.sum() == pytest.approx(1)
    np.testing.assert_allclose(tapered, tapered[::-1])
    assert (np.diff(tapered[:19]) >= 0).all()


def test_a_component_that_does_not_vary_in_a_window_is_zero_there():
    series = np.random.default_rng(0).standard_normal((60, 3))
    series[:30, 2] = 4
    found = windowed_fnc(series, window_weights(20, 0.0), 1)
    assert np.isfinite(found).all()
    assert not found[0, 1:].any()
    assert found[-1, 1:].all()


def two_states(seed, n=6, n_volumes=240, n_components=5):
    """Time courses that change between two patterns of correlation every 60 volumes."""
    rng = np.random.default_rng(seed)
    mixing = [rng.standard_normal((n_components, n_components)) for _ in range(2)]
    state = np.arange(n_volumes) // 60 % 2
    noise = rng.standard_normal((n, n_volumes, n_components))
    courses = np.where(state[:, None] == 0, noise @ mixing[0], noise @ mixing[1])
    dataset = xr.Dataset(
        {"timecourses": (("participant", "time", "component"), courses)},
        coords={
            "participant": [f"sub-{k}" for k in range(n)],
            "component": [f"c{k}" for k in range(n_components)],
        },
        attrs={"repetition_time": 2.0},
    )
    return dataset, state


@pytest.mark.parametrize("seed", [601, 602, 603])
def test_planted_states_and_their_number_are_found(seed):
    dataset, state = two_states(seed)
    found, curve = cohort_dynamic_fnc(dataset, window=60.0, taper=6.0, step=1, n_states=None, most_states=6, seed=0)
    assert curve.loc[curve["chosen"], "n_states"].item() == 2
    assert curve.columns.tolist() == list(STATES_COLUMNS)
    middle = np.round(found["window"].values / 2).astype(int)
    agreement = np.mean(found["state"].values == state[middle])
    assert max(agreement, 1 - agreement) > 0.85
    np.testing.assert_allclose(found["occupancy"].sum("state_index"), 1)
    assert found["occupancy"].mean("participant").values[0] >= 0.5  # the largest first
    assert (found["transitions"] >= 2).all()
    again, _ = cohort_dynamic_fnc(dataset, window=60.0, taper=6.0, step=1, n_states=None, most_states=6, seed=0)
    xr.testing.assert_identical(found, again)


def test_stays_and_changes_are_counted():
    dataset, _ = two_states(1, n=2)
    found, _ = cohort_dynamic_fnc(dataset, window=40.0, taper=0.0, step=5, n_states=2, most_states=5, seed=0)
    for state, stays, changes in zip(
        found["state"].values, found["dwell_time"].values, found["transitions"].values, strict=True
    ):
        runs = np.split(state, np.flatnonzero(np.diff(state)) + 1)
        assert changes == len(runs) - 1
        for k in range(2):
            lengths = [len(run) * 10.0 for run in runs if run[0] == k]
            assert stays[k] == pytest.approx(np.mean(lengths)) if lengths else np.isnan(stays[k])


def test_states_that_are_participants_are_warned_of(caplog):
    rng = np.random.default_rng(0)
    courses = np.stack([rng.standard_normal((60, 4)) @ rng.standard_normal((4, 4)) for _ in range(4)])
    dataset = xr.Dataset(
        {"timecourses": (("participant", "time", "component"), courses)},
        coords={"participant": list("abcd"), "component": list("wxyz")},
        attrs={"repetition_time": 2.0},
    )
    cohort_dynamic_fnc(dataset, window=100.0, taper=0.0, step=1, n_states=4, most_states=5, seed=0)
    assert "never leave their state: the states tell participants apart" in caplog.text


def test_what_cannot_work_is_refused_with_the_key():
    dataset, _ = two_states(1, n=2)
    keys = {"taper": 0.0, "step": 1, "n_states": None, "most_states": 5, "seed": 0}
    with pytest.raises(ConfigError, match=r"ica\.dynamic\.window of 10 s holds 5 volumes of 2 s; at least 10"):
        cohort_dynamic_fnc(dataset, window=10.0, **keys)
    with pytest.raises(ParticipantError, match=r"240 volumes are fewer than the 300 of a window; lower ica\.dynamic"):
        cohort_dynamic_fnc(dataset, window=600.0, **keys)
    with pytest.raises(ConfigError, match="2 windows are too few for 4 states"):
        cohort_dynamic_fnc(dataset, window=480.0, **{**keys, "n_states": 4})
    dataset["timecourses"][1, 3, 2] = np.nan
    with pytest.raises(ParticipantError, match="sub-1: its time courses hold values that are not finite"):
        cohort_dynamic_fnc(dataset, window=60.0, **keys)


def test_the_number_of_states_can_be_given():
    windows = np.random.default_rng(0).standard_normal((60, 10))
    states = find_states(windows, 4, 3, 0)
    assert len(states.centres) == 4
    assert states.curve["n_states"].tolist() == [2, 3, 4]
    counts = np.bincount(states.state)
    assert (np.diff(counts) <= 0).all()
    for k in range(4):
        np.testing.assert_allclose(states.centres[k], windows[states.state == k].mean(axis=0), atol=1e-6)
