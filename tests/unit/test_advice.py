"""Advice on what the machine lacks; that of jobs is tested where they report, in test_job.py."""

from pathlib import Path

import pytest

from gradspec.advice import advise, advise_on_logs, advise_on_settings, name_pages
from gradspec.config import resolve
from gradspec.files import write_json


@pytest.mark.parametrize(
    "line",
    [
        "Command 'python x.py' died with <Signals.SIGKILL: 9>.",
        "returned non-zero exit status 137.",
        "slurm job status is: OUT_OF_MEMORY",
    ],
)
def test_a_killed_job_is_put_down_to_memory(tmp_path: Path, line: str) -> None:
    log = tmp_path / "snakemake.log"
    log.write_text(f"Error in rule train_folds:\n{line}\n")
    assert "--set-resources RULE:mem_mb" in str(advise_on_logs([tmp_path / "gone.log", log]))


def test_a_job_that_failed_by_itself_is_left_without_advice(tmp_path: Path) -> None:
    log = tmp_path / "snakemake.log"
    log.write_text("Error in rule train_folds:\nreturned non-zero exit status 1.\n")
    assert advise_on_logs([log]) is None


def test_a_circle_of_causes_comes_to_an_end() -> None:
    first, second = RuntimeError("a"), RuntimeError("b")
    first.__cause__, second.__cause__ = second, first
    assert advise(first) is None


def test_results_of_other_settings_are_said_to_be_that(tmp_path: Path) -> None:
    config = resolve({"cohort": {"source": "fnc"}, "training": {"models": {"mlp": {}}}})
    assert advise_on_settings(tmp_path, config) is None
    write_json(config, tmp_path / "config.json")
    assert advise_on_settings(tmp_path, config) is None
    config["training"]["epochs"] = 40
    config["training"]["models"]["lstm"] = {}
    said = str(advise_on_settings(tmp_path, config))
    assert "training.epochs: 30 → 40" in said
    assert "training.models: mlp → mlp, lstm" in said
    assert "--forceall" in said


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_of_a_record_that_is_none_nothing_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    assert advise_on_settings(tmp_path, resolve({"cohort": {"source": "fnc"}})) is None


def test_finished_results_are_named_by_what_to_open_first(tmp_path: Path) -> None:
    assert name_pages(tmp_path) is None
    first = tmp_path / "figures" / "overview.html"
    first.parent.mkdir()
    first.write_text("<html>")
    assert str(first) in str(name_pages(tmp_path))
    assert "make report" in str(name_pages(tmp_path))
    (tmp_path / "report.html").write_text("<html>")
    assert str(tmp_path / "report.html") in str(name_pages(tmp_path))
    assert "make report" not in str(name_pages(tmp_path))


def test_of_results_in_a_bucket_the_report_is_named(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<html>")
    assert name_pages(tmp_path) == f"Open first: {tmp_path / 'report.html'}"


def test_users_of_the_package_are_told_its_own_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "overview.html").write_text("<html>")
    monkeypatch.setattr("gradspec.advice.ROOT", tmp_path)  # which has no Makefile, as the package has none
    assert "gradspec report" in str(name_pages(tmp_path))
