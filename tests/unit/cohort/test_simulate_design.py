"""Who takes part in a simulated cohort, and what it says about itself."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradspec.cohort.simulate_design import (
    SIMULATED_FILES,
    dataset_readme,
    image_sidecars,
    participants_columns,
    participants_table,
    simulated_participants,
)
from gradspec.errors import ConfigError

LEVELS = ["control", "patient"]


@pytest.mark.parametrize(
    ("n", "first", "last"), [(4, "sub-01", "sub-04"), (99, "sub-01", "sub-99"), (100, "sub-001", "sub-100")]
)
def test_ids_are_padded_to_one_length(n: int, first: str, last: str) -> None:
    ids = simulated_participants(n)
    assert (len(ids), ids[0], ids[-1]) == (n, first, last)
    assert ids == sorted(ids)


def test_file_templates_take_the_subject() -> None:
    assert [name.format(subject="sub-01") for name in SIMULATED_FILES] == [
        "anat/sub-01_T1w.nii.gz",
        "anat/sub-01_T1w.json",
        "func/sub-01_task-rest_bold.nii.gz",
        "func/sub-01_task-rest_bold.json",
    ]


def test_planning_imports_nothing_heavy() -> None:
    code = (
        "import sys, gradspec.cohort.simulate_design as d; d.simulated_participants(20);"
        "sys.exit(any(name in sys.modules for name in ('numpy', 'pandas', 'nibabel', 'nilearn')))"
    )
    workflow = Path(__file__).resolve().parents[3] / "workflow"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(workflow)}).returncode == 0


@given(n=st.integers(4, 60), seed=st.integers(0, 2**32))
def test_groups_are_balanced_in_number_age_and_sex(n: int, seed: int) -> None:
    table = participants_table(n, "group", LEVELS, seed)
    groups = [table[table["group"] == level] for level in LEVELS]
    assert abs(len(groups[0]) - len(groups[1])) == n % 2
    shared = n // 2
    assert (groups[0]["sex"].to_numpy()[:shared] == groups[1]["sex"].to_numpy()[:shared]).all()
    assert abs(groups[0]["age"].to_numpy()[:shared] - groups[1]["age"].to_numpy()[:shared]).max() <= 2
    assert table["participant_id"].tolist() == simulated_participants(n)


def test_every_column_is_described() -> None:
    table = participants_table(6, "diagnosis", ["HC", "SZ"], 1)
    columns = participants_columns("diagnosis", ["HC", "SZ"])
    assert list(table.columns) == list(columns) == ["participant_id", "diagnosis", "age", "sex"]
    assert set(columns["diagnosis"]["Levels"]) == set(table["diagnosis"]) == {"HC", "SZ"}


@pytest.mark.parametrize("column", ["participant_id", "age", "sex"])
def test_group_column_that_is_taken_is_refused(column: str) -> None:
    with pytest.raises(ConfigError, match=rf"cohort\.group\.column is '{column}'.*other than"):
        participants_table(4, column, LEVELS, 1)


def test_readme_says_that_nobody_was_scanned_and_what_was_simulated() -> None:
    simulated = {"n_participants": 6, "n_volumes": 33, "repetition_time": 1.5, "n_networks": 5, "effect": 0.25}
    text = dataset_readme(simulated, ["HC", "SZ"], 7)
    assert "These images show nobody" in text
    for part in ("seed 7", "6 participants", "HC and SZ", "33 volumes", "1.5 s", "5 networks", "0.25 is lost in SZ"):
        assert part in text


def test_sidecars_state_what_is_true() -> None:
    sidecars = image_sidecars(1.5)
    assert sidecars["bold"]["RepetitionTime"] == 1.5
    assert sidecars["bold"]["TaskName"] == "rest"
    assert "SliceTiming" not in sidecars["bold"]  # volumes are acquired in an instant
