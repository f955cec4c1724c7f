from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gradspec.cohort.runs import BoldRun
from gradspec.config import resolve
from gradspec.errors import ParticipantError
from gradspec.preprocess.quality import LIMITS, QUALITY_COLUMNS, dice, find_flags, judge, measure_run, temporal_snr

BOUNDS = {"max_mean_fd": 0.5, "min_overlap": 0.7}


def test_dice_counts_what_two_masks_share() -> None:
    first, second = np.arange(10) < 6, np.arange(10) >= 4
    assert dice(first, second) == pytest.approx(2 * 2 / 12)
    assert dice(first, first) == 1
    assert dice(first & second & False, first & False) == 0


def test_tsnr_is_mean_over_noise_whatever_the_trend() -> None:
    rng = np.random.default_rng(0)
    signal = 500 + np.linspace(0, 200, 400)[:, np.newaxis] + rng.normal(0, 5, (400, 50))
    tsnr = temporal_snr(np.column_stack([signal, np.full(400, 7.0)]).astype(np.float32))
    assert np.median(tsnr[:50]) == pytest.approx(600 / 5, rel=0.03)
    assert tsnr[50] == 0


def test_a_run_is_measured_without_its_empty_first_row() -> None:
    confounds = pd.DataFrame(
        {"framewise_displacement": [np.nan, 0.2, 0.6], "dvars": [np.nan, 10, 20], "motion_outlier_00": [0, 0, 1]}
    )
    quality = measure_run(confounds, np.array([50.0, 70.0]), overlap=0.9, normalization_overlap=0.95)
    assert quality == {
        "mean_fd": 0.4,
        "max_fd": 0.6,
        "n_dummy_scans": 0,
        "n_motion_outliers": 1,
        "share_motion_outliers": pytest.approx(1 / 3, abs=1e-6),
        "mean_dvars": 15,
        "tsnr": 60,
        "overlap": 0.9,
        "normalization_overlap": 0.95,
    }


def test_what_a_table_lacks_is_not_measured() -> None:
    assert measure_run(None, np.array([50.0])) == {"tsnr": 50}
    sparse = pd.DataFrame({"csf": np.zeros(10), "motion_outlier00": np.arange(10) == 2})
    assert measure_run(sparse, np.array([50.0])) == {
        "n_dummy_scans": 0,
        "n_motion_outliers": 1,
        "share_motion_outliers": 0.1,
        "tsnr": 50,
    }


def test_every_run_beyond_a_limit_is_named() -> None:
    runs = [
        BoldRun("sub-01", Path(f"sub-01_task-rest_run-{number}_bold.nii"), quality={"mean_fd": fd, "overlap": 0.9})
        for number, fd in ((1, 0.2), (2, 0.9))
    ]
    limits = {"max_mean_fd": 0.5, "min_overlap": 0.7}
    judge("sub-01", runs[:1], limits)
    with pytest.raises(ParticipantError, match=r"sub-01: task-rest_run-2: mean framewise displacement 0\.90"):
        judge("sub-01", runs, limits)


def test_limits_are_told_with_numbers_and_can_be_off() -> None:
    bad = {"mean_fd": 0.8, "overlap": 0.5}
    assert set(find_flags(bad, BOUNDS)) == {"mean_fd", "overlap"}
    assert "0.80 mm is above the limit of 0.5" in find_flags(bad, BOUNDS)["mean_fd"]
    assert find_flags(bad, dict.fromkeys(BOUNDS)) == {}
    assert find_flags({"mean_fd": 0.5, "overlap": 0.7}, BOUNDS) == {}
    assert find_flags({"mean_fd": float("nan"), "degrees_of_freedom": 4}, BOUNDS) == {}


def test_every_limit_of_the_configuration_has_a_number_that_it_limits() -> None:
    keys = resolve({"cohort": {"source": "simulated"}})["preprocess"]["quality"]
    assert {limit.key for limit in LIMITS} == set(keys)
    assert {limit.column for limit in LIMITS} <= set(QUALITY_COLUMNS)
    for limit in LIMITS:
        beyond = {limit.column: 1.0 if limit.largest else 0.2}
        assert list(find_flags(beyond, {limit.key: 0.5})) == [limit.column]


def test_changes_that_are_missing_later_than_dummy_scans_are_no_quality() -> None:
    changes = [np.nan, np.nan, np.nan, 0.2, 0.4]
    table = pd.DataFrame({"dvars": changes, "non_steady_state_outlier_00": 0, "non_steady_state_outlier_01": 0})
    assert measure_run(table, np.array([50.0]))["mean_dvars"] == 0.3
    with pytest.raises(ParticipantError, match="column dvars of the confounds is missing in row 3 of 5"):
        measure_run(table.drop(columns="non_steady_state_outlier_01"), np.array([50.0]))
    with pytest.raises(ParticipantError, match="column dvars of the confounds holds no numbers"):
        measure_run(pd.DataFrame({"dvars": ["a", "b"]}, dtype=object), np.array([50.0]))
