"""Who goes on after every stage that may leave somebody out."""

import numpy as np
import pandas as pd
import pytest
from makers import make_ids

from gradspec.cohort.select import select_participants
from gradspec.errors import ConfigError

LEVELS = ["control", "patient"]


@pytest.fixture
def checked():
    return pd.DataFrame(
        {
            "participant_id": make_ids(8),
            "group": LEVELS * 4,
            "age": [30.5, 40] * 4,
            "status": ["included"] * 7 + ["excluded"],
            "reason": [None] * 7 + ["bold.nii.gz: is truncated"],
            "n_runs": [2] * 7 + [0],
            "note": [None] * 8,
        }
    )


def status(who, stage, reason=None, n_runs=2):
    runs = [] if reason else [{"run": str(number), "quality": {}} for number in range(n_runs)]
    return {
        "participant_id": who,
        "stage": stage,
        "status": "excluded" if reason else "included",
        "reason": reason,
        "runs": runs,
    }


def test_the_check_alone_decides_where_no_later_stage_speaks(checked):
    participants, excluded = select_participants(checked, [], LEVELS, 3, "exclude")
    assert list(participants["participant_id"]) == make_ids(7)
    assert list(participants.columns) == ["participant_id", "group", "age", "n_runs"]
    assert excluded.to_dict("records") == [
        {"participant_id": "sub-08", "group": "patient", "stage": "cohort", "reason": "bold.nii.gz: is truncated"}
    ]


def test_the_first_stage_that_leaves_out_is_named(checked):
    statuses = [
        status("sub-01", "preprocess", "mean framewise displacement is 0.9 mm"),
        status("sub-08", "preprocess", "bold.nii.gz: is truncated"),
        status("sub-01", "denoise", "mean framewise displacement is 0.9 mm"),
        status("sub-02", "denoise", "12 degrees of freedom are left"),
    ]
    participants, excluded = select_participants(checked, statuses, LEVELS, 2, "exclude")
    assert list(participants["participant_id"]) == ["sub-03", "sub-04", "sub-05", "sub-06", "sub-07"]
    assert dict(zip(excluded["participant_id"], excluded["stage"], strict=True)) == {
        "sub-01": "preprocess",
        "sub-02": "denoise",
        "sub-08": "cohort",
    }


def test_runs_that_are_left_are_counted(checked):
    statuses = [status("sub-03", "preprocess"), status("sub-03", "denoise", n_runs=1)]
    participants, _ = select_participants(checked, statuses, LEVELS, 3, "exclude")
    assert participants.set_index("participant_id")["n_runs"].to_dict() == {
        who: 1 if who == "sub-03" else 2 for who in make_ids(7)
    }


def test_motion_is_what_was_measured_where_the_data_set_does_not_give_it(checked):
    statuses = [status(who, stage) for stage in ("preprocess", "denoise") for who in make_ids(7)]
    for number, each in enumerate(statuses[:6]):  # that of the seventh is not known
        each["runs"][0]["quality"]["mean_fd"], each["runs"][1]["quality"]["mean_fd"] = 0.1 * number, 0.2 * number
    found, _ = select_participants(checked.assign(mean_fd=np.nan), statuses, LEVELS, 3, "exclude")
    assert found["mean_fd"].tolist() == pytest.approx([*(0.15 * np.arange(6)), np.nan], nan_ok=True)
    checked["mean_fd"] = [0.3, np.nan, *[0.4] * 6]
    given, _ = select_participants(checked, statuses, LEVELS, 3, "exclude")
    assert given["mean_fd"].tolist() == pytest.approx([0.3, np.nan, *[0.4] * 5], nan_ok=True)
    assert "mean_fd" not in select_participants(checked.drop(columns="mean_fd"), statuses, LEVELS, 3, "exclude")[0]


def test_nobody_left_out_gives_an_empty_table(checked):
    _, excluded = select_participants(checked.iloc[:6], [], LEVELS, 3, "exclude")
    assert excluded.empty
    assert list(excluded.columns) == ["participant_id", "group", "stage", "reason"]


def test_too_few_are_refused_with_counts_and_reasons(checked):
    with pytest.raises(
        ConfigError,
        match=r"(?s)training.folds is 4, but group 'patient' .*\(control: 4, patient: 3\).*1 are excluded "
        r"\(cohort/excluded.tsv\).*sub-08 \(cohort\): bold.nii.gz: is truncated",
    ):
        select_participants(checked, [], LEVELS, 4, "exclude")


def test_on_error_stop_ends_with_the_reasons(checked):
    with pytest.raises(ConfigError, match=r"(?s)on_error is 'stop'.*sub-08 \(cohort\): bold.nii.gz: is truncated"):
        select_participants(checked, [], LEVELS, 2, "stop")
    select_participants(checked.iloc[:6], [], LEVELS, 2, "stop")
