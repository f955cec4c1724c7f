from pathlib import Path
from typing import Any

import pytest

from gradspec.errors import ParticipantError
from gradspec.files import read_json
from gradspec.preprocess.status import earlier_reason, finish

RUNS: list[dict[str, Any]] = [{"task": "rest", "quality": {"mean_fd": 1.0}}]


def work(folder: Path) -> list[dict[str, Any]]:
    (folder / "image.txt").write_text("done")
    return RUNS


def refuse(folder: Path) -> list[dict[str, Any]]:
    (folder / "half.txt").write_text("half")
    raise ParticipantError("it is cut short", participant="sub-01", file="bold.nii")


def judge(runs: list[dict[str, Any]]) -> None:
    raise ParticipantError("it moved too much", participant="sub-01")


def run(tmp_path: Path, worker: Any, on_error: str = "exclude", earlier: str | None = None, **more: Any) -> Any:
    finish("sub-01", "preprocess", tmp_path / "out", tmp_path / "status.json", on_error, earlier, worker, **more)
    return read_json(tmp_path / "status.json")


def test_good_data_are_included(tmp_path: Path) -> None:
    status = run(tmp_path, work)
    assert (status["status"], status["reason"], status["runs"]) == ("included", None, RUNS)
    assert (tmp_path / "out" / "image.txt").read_text() == "done"


def test_unusable_data_leave_an_empty_folder_and_a_reason(tmp_path: Path) -> None:
    status = run(tmp_path, refuse)
    assert status["status"] == "excluded"
    assert status["reason"] == "sub-01: bold.nii: it is cut short"
    assert list((tmp_path / "out").iterdir()) == []


def test_data_beyond_a_limit_keep_their_pictures_and_numbers(tmp_path: Path) -> None:
    status = run(tmp_path, work, judge=judge)
    assert (status["status"], status["reason"], status["runs"]) == ("excluded", "it moved too much", RUNS)
    assert (tmp_path / "out" / "image.txt").exists()


@pytest.mark.parametrize("more", [{"worker": refuse}, {"worker": work, "judge": judge}])
def test_stop_means_stop(tmp_path: Path, more: dict[str, Any]) -> None:
    with pytest.raises(ParticipantError):
        run(tmp_path, on_error="stop", **more)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "status.json").exists()


def test_a_fault_of_the_program_is_never_an_exclusion(tmp_path: Path) -> None:
    def crash(folder: Path) -> list[dict[str, Any]]:
        raise TypeError("a bug")

    with pytest.raises(TypeError):
        run(tmp_path, crash)


def test_who_was_left_out_before_costs_nothing(tmp_path: Path) -> None:
    status = run(tmp_path, refuse, earlier="too short", on_error="stop")
    assert (status["status"], status["reason"]) == ("excluded", "too short")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_earliest_reason_is_passed_on() -> None:
    included = {"status": "included", "reason": float("nan")}
    assert earlier_reason("sub-01", included, None) is None
    assert earlier_reason("sub-01", included, {"status": "included", "reason": None}) is None
    assert earlier_reason("sub-01", {"status": "excluded", "reason": "short"}, None) == "short"
    assert earlier_reason("sub-01", included, {"status": "excluded", "reason": "moved"}) == "moved"
    assert "not in cohort/checked.tsv" in (earlier_reason("sub-01", None, None) or "")
