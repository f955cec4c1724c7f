"""The quality of every run of the cohort in one table, with who goes on."""

from pathlib import Path

import pandas as pd

from gradspec.cohort.runs import BoldRun
from gradspec.preprocess.status import Status, gather_runs
from gradspec.selection.quality import COLUMNS, tabulate_quality

BOUNDS = {"max_mean_fd": 0.5, "min_overlap": 0.7}


def make_runs(participant: str, *labels: str, **quality: float) -> list[BoldRun]:
    return [BoldRun(participant, Path(f"{participant}_{label}_bold.nii.gz"), quality=quality) for label in labels]


def test_runs_and_the_excluded_are_brought_together() -> None:
    statuses = [
        Status("sub-02", make_runs("sub-02", "run-1", "run-2", mean_fd=0.2, overlap=0.9, degrees_of_freedom=60)),
        Status("sub-01", make_runs("sub-01", "task-rest", mean_fd=0.9, overlap=0.9), "preprocess", "it moved"),
        Status("sub-03", [], "cohort", "the file is cut short"),
    ]
    excluded = pd.DataFrame(
        {"participant_id": ["sub-01", "sub-03"], "reason": ["it moved", "the file is cut short"], "stage": "preprocess"}
    )
    table = tabulate_quality(gather_runs(statuses), excluded, BOUNDS)
    assert list(table) == list(COLUMNS)
    assert table["participant_id"].tolist() == ["sub-01", "sub-02", "sub-02", "sub-03"]
    assert table["exclude"].tolist() == ["true", "false", "false", "true"]
    assert table["reason"].tolist()[0] == "it moved"
    assert table["reason"].tolist()[3] == "the file is cut short"
    assert table.loc[table["participant_id"] == "sub-02", "degrees_of_freedom"].tolist() == [60, 60]
    assert table["run"].tolist()[1:3] == ["1", "2"]


def test_without_anybody_excluded_the_table_is_whole() -> None:
    empty = pd.DataFrame({"participant_id": [], "group": [], "stage": [], "reason": []})
    runs = gather_runs([Status("sub-01", make_runs("sub-01", "task-rest", n_confounds=9))])
    table = tabulate_quality(runs, empty, BOUNDS)
    assert table["exclude"].tolist() == ["false"]
    assert table["reason"].isna().all()
