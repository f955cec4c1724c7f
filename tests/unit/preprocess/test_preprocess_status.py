from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gradspec.cohort.runs import RUN_COLUMNS, BoldRun, tabulate_runs
from gradspec.errors import ParticipantError
from gradspec.files import write_table
from gradspec.preprocess.status import COLUMNS, Status, finish, gather_runs, read_status

RAW = BoldRun("sub-01", Path("raw/sub-01_task-rest_bold.nii"), repetition_time=2.0, n_volumes=60)
BEFORE = Status("sub-01", [RAW])


def work(folder: Path) -> list[BoldRun]:
    (folder / "sub-01_task-rest_desc-preproc_bold.nii").write_text("done")
    quality, software = {"mean_fd": 1.0}, {"nipype": "1.11.0"}
    return [replace(RAW, bold=folder / "sub-01_task-rest_desc-preproc_bold.nii", quality=quality, software=software)]


def refuse(folder: Path) -> list[BoldRun]:
    (folder / "half.txt").write_text("half")
    raise ParticipantError("it is cut short", participant="sub-01", file="bold.nii")


def judge(runs: Any) -> None:
    raise ParticipantError("it moved too much", participant="sub-01")


def run(tmp_path: Path, worker: Any, on_error: str = "exclude", before: Status = BEFORE, **more: Any) -> Status:
    finish(before, "preprocess", tmp_path / "out", tmp_path / "status.json", on_error, worker, **more)
    return read_status(tmp_path / "status.json", "sub-01")


def test_good_data_are_included_where_their_images_lie_in_the_end(tmp_path: Path) -> None:
    status = run(tmp_path, work)
    assert (status.stage, status.reason) == (None, None)
    (done,) = status.runs
    assert done.bold.read_text() == "done"
    assert done == replace(RAW, bold=done.bold, quality={"mean_fd": 1.0}, software={"nipype": "1.11.0"})


def test_unusable_data_leave_an_empty_folder_and_a_reason(tmp_path: Path) -> None:
    status = run(tmp_path, refuse)
    assert (status.stage, status.reason) == ("preprocess", "sub-01: bold.nii: it is cut short")
    assert status.runs == [RAW]
    assert list((tmp_path / "out").iterdir()) == []


def test_data_beyond_a_limit_keep_their_pictures_and_numbers(tmp_path: Path) -> None:
    status = run(tmp_path, work, judge=judge)
    assert (status.stage, status.reason) == ("preprocess", "it moved too much")
    assert status.runs[0].quality == {"mean_fd": 1.0}
    assert status.runs[0].bold.exists()


@pytest.mark.parametrize("more", [{"worker": refuse}, {"worker": work, "judge": judge}])
def test_stop_means_stop(tmp_path: Path, more: dict[str, Any]) -> None:
    with pytest.raises(ParticipantError):
        run(tmp_path, on_error="stop", **more)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "status.json").exists()


def test_a_fault_of_the_program_is_never_an_exclusion(tmp_path: Path) -> None:
    def crash(folder: Path) -> list[BoldRun]:
        raise TypeError("a bug")

    with pytest.raises(TypeError):
        run(tmp_path, crash)


def test_who_was_left_out_before_costs_nothing_and_keeps_stage_and_reason(tmp_path: Path) -> None:
    before = Status("sub-01", [RAW], "cohort", "too short")
    assert run(tmp_path, refuse, before=before, on_error="stop") == before
    assert list((tmp_path / "out").iterdir()) == []


def test_the_table_of_the_cohort_gives_the_runs_of_a_participant_or_leaves_it_out(tmp_path: Path) -> None:
    write_table(tabulate_runs([RAW.row()]), tmp_path / "runs.tsv", RUN_COLUMNS)
    assert read_status(tmp_path / "runs.tsv", "sub-01") == BEFORE
    status = read_status(tmp_path / "runs.tsv", "sub-02")
    assert (status.runs, status.stage) == ([], "cohort")
    assert "cohort/checked.tsv" in str(status.reason)


def test_all_runs_are_gathered_with_what_became_of_them(tmp_path: Path) -> None:
    moved = Status(
        "sub-02", [replace(RAW, participant_id="sub-02", quality={"mean_fd": 0.9})], "preprocess", "it moved"
    )
    table = gather_runs([BEFORE, moved, Status("sub-03", [], "cohort", "left out")])
    assert list(table) == list(COLUMNS)
    assert table["participant_id"].tolist() == ["sub-01", "sub-02", "sub-03"]
    assert table["bold"].tolist()[:2] == [str(RAW.bold)] * 2
    assert table["stage"].fillna("").tolist() == ["", "preprocess", "cohort"]
    assert table["mean_fd"].tolist()[1] == 0.9
