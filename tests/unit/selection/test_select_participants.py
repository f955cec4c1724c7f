"""Who goes on after every stage that may leave somebody out."""

import numpy as np
import pandas as pd
import pytest
from makers import make_ids

from gradspec.errors import ConfigError
from gradspec.selection.participants import select_participants

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


def make_runs(left_out=None, n_runs=None, **columns):
    """Rows of everybody but sub-08, two each; `left_out` gives stage and reason, `n_runs` another number of runs."""
    rows = [
        {"participant_id": who, "bold": f"{who}_run-{run}_bold.nii.gz", "stage": None, "reason": None}
        | dict(zip(("stage", "reason"), (left_out or {}).get(who, (None, None)), strict=True))
        | {name: values.get((who, run)) for name, values in columns.items()}
        for who in make_ids(7)
        for run in range(1, (n_runs or {}).get(who, 2) + 1)
    ]
    return pd.DataFrame(rows)


def test_the_check_alone_decides_where_no_later_stage_speaks(checked):
    runs = make_runs().drop(columns=["stage", "reason"])
    participants, excluded, kept = select_participants(checked, runs, LEVELS, 3, "exclude")
    assert list(participants["participant_id"]) == make_ids(7)
    assert list(participants.columns) == ["participant_id", "group", "age", "n_runs"]
    assert excluded.to_dict("records") == [
        {"participant_id": "sub-08", "group": "patient", "stage": "cohort", "reason": "bold.nii.gz: is truncated"}
    ]
    pd.testing.assert_frame_equal(kept, runs)


def test_the_first_stage_that_leaves_out_is_named_and_its_runs_go_no_further(checked):
    left_out = {
        "sub-01": ("preprocess", "mean framewise displacement is 0.9 mm"),
        "sub-02": ("denoise", "12 degrees of freedom are left"),
    }
    handed_on = {"participant_id": "sub-08", "stage": "cohort", "reason": "left out by the check of the cohort"}
    runs = pd.concat([make_runs(left_out), pd.DataFrame([handed_on])])
    participants, excluded, kept = select_participants(checked, runs, LEVELS, 2, "exclude")
    assert list(participants["participant_id"]) == ["sub-03", "sub-04", "sub-05", "sub-06", "sub-07"]
    assert excluded.set_index("participant_id")[["stage", "reason"]].T.to_dict("list") == {
        **{who: list(why) for who, why in left_out.items()},
        "sub-08": ["cohort", "bold.nii.gz: is truncated"],
    }
    assert list(kept["participant_id"].unique()) == ["sub-03", "sub-04", "sub-05", "sub-06", "sub-07"]
    assert list(kept) == ["participant_id", "bold"]


def test_runs_that_are_left_are_counted(checked):
    participants, *_ = select_participants(checked, make_runs(n_runs={"sub-03": 1}), LEVELS, 3, "exclude")
    assert participants.set_index("participant_id")["n_runs"].to_dict() == {
        who: 1 if who == "sub-03" else 2 for who in make_ids(7)
    }


def test_motion_is_what_was_measured_where_the_data_set_does_not_give_it(checked):
    first, second = ({(who, run): 0.1 * run * k for k, who in enumerate(make_ids(6))} for run in (1, 2))
    runs = make_runs(mean_fd=first | second)  # that of the seventh is not known
    found, *_ = select_participants(checked.assign(mean_fd=np.nan), runs, LEVELS, 3, "exclude")
    assert found["mean_fd"].tolist() == pytest.approx([*(0.15 * np.arange(6)), np.nan], nan_ok=True)
    checked["mean_fd"] = [0.3, np.nan, *[0.4] * 6]
    given, *_ = select_participants(checked, runs, LEVELS, 3, "exclude")
    assert given["mean_fd"].tolist() == pytest.approx([0.3, np.nan, *[0.4] * 5], nan_ok=True)
    assert "mean_fd" not in select_participants(checked.drop(columns="mean_fd"), runs, LEVELS, 3, "exclude")[0]


def test_nobody_left_out_gives_an_empty_table(checked):
    _, excluded, _ = select_participants(checked.iloc[:6], make_runs(), LEVELS, 3, "exclude")
    assert excluded.empty
    assert list(excluded.columns) == ["participant_id", "group", "stage", "reason"]


def test_too_few_are_refused_with_counts_and_reasons(checked):
    with pytest.raises(
        ConfigError,
        match=r"(?s)training.folds is 4, but group 'patient' .*\(control: 4, patient: 3\).*1 are excluded "
        r"\(selection/excluded.tsv\).*sub-08 \(cohort\): bold.nii.gz: is truncated",
    ):
        select_participants(checked, make_runs(), LEVELS, 4, "exclude")


def test_on_error_stop_ends_with_the_reasons(checked):
    with pytest.raises(ConfigError, match=r"(?s)on_error is 'stop'.*sub-08 \(cohort\): bold.nii.gz: is truncated"):
        select_participants(checked, make_runs(), LEVELS, 2, "stop")
    select_participants(checked.iloc[:6], make_runs(), LEVELS, 2, "stop")
