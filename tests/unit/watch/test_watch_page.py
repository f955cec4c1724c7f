"""The page that follows a run: written with every line, of what can be read, and it says how the run ended."""

import json
import logging
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from figure_inputs import HOSTILE_NAME
from spectra_maker import make_fold

from gradspec.files import write_dataset, write_json, write_table
from gradspec.spectra.file import iterate_layers
from gradspec.watch.page import follow
from gradspec.watch.run import Watch
from gradspec.watch.tally import Job


def make_line(**changes: Any) -> str:
    stages = [{"stage": "training", "done": 3, "running": 1, "failed": 0, "waiting": 2}]
    running = [{"rule": "train_folds", "jobs": 1, "seconds": 30.0}]
    state = {"stages": stages, "running": running, "seconds_left": 300.0, "seconds": 60.0, "outcome": None}
    return json.dumps(state | changes)


def written(results: Path, *lines: str) -> str:
    follow(results, lines)
    return (results / "progress.html").read_text(encoding="utf-8")


def test_while_the_run_goes_on_the_page_loads_itself_again(tmp_path: Path) -> None:
    pages = []

    def lines() -> Any:
        yield make_line()
        pages.append((tmp_path / "progress.html").read_text(encoding="utf-8"))
        yield make_line(outcome="done")

    follow(tmp_path, lines())
    assert 'http-equiv="refresh"' in pages[0]
    assert "3 of 6 jobs done, 1 running, 2 waiting (training); about 5 min left" in pages[0]
    assert "train_folds" in pages[0]
    assert [path.name for path in tmp_path.iterdir()] == ["progress.html"]


@pytest.mark.parametrize(("outcome", "said"), [("done", "Finished"), ("failed", "an error"), (None, "Stopped")])
def test_the_last_page_says_how_the_run_ended(tmp_path: Path, outcome: str | None, said: str) -> None:
    page = written(tmp_path, make_line(outcome=outcome))
    assert said in page
    assert "refresh" not in page
    assert "min left" not in page


def test_who_is_excluded_is_said_as_soon_as_a_stage_has_decided(tmp_path: Path) -> None:
    checked = {"participant_id": ["sub-1", "sub-2"], "status": ["excluded", "included"], "reason": ["short", None]}
    write_table(pd.DataFrame(checked), tmp_path / "cohort/checked.tsv", dict.fromkeys(checked, "…"))
    status = {"participant_id": "sub-3", "stage": "preprocess", "reason": HOSTILE_NAME}
    write_json(status, tmp_path / "preprocess/denoised/status/sub-3.json")
    (tmp_path / "preprocess/denoised/status/sub-4.json").write_text("{half")
    page = written(tmp_path, make_line())
    assert "<td>sub-1</td><td>cohort</td><td>short</td>" in page
    assert "<td>sub-3</td><td>preprocess</td>" in page
    assert HOSTILE_NAME not in page
    assert "sub-2" not in page


def test_spectra_of_finished_folds_are_drawn_and_a_broken_file_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "training" / "mlp"
    for fold in range(2):
        write_dataset(make_fold(fold=fold), folder / f"repeat-0_fold-{fold}" / "spectra.nc")
    (folder / "repeat-0_fold-2").mkdir()
    (folder / "repeat-0_fold-2" / "spectra.nc").write_text("half")
    page = written(tmp_path, make_line())
    layers = [name for name, _ in iterate_layers(make_fold())]
    assert len(layers) == 3
    assert "mlp: of 2 trainings" in page
    assert page.count("<svg") == len(layers)
    assert page.count("<polyline") == 2 * len(layers)


def test_a_run_is_followed_by_what_is_logged_of_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("a run")
    log.setLevel(logging.INFO)
    watch = Watch(tmp_path, {4: Job("ica", "group_ica", 10.0), 5: Job("stats", "test_groups", 10.0)})
    log.addHandler(watch)
    watch.start()
    log.info("", extra={"event": "job_info", "jobid": 4})
    log.info("", extra={"event": "job_finished", "job_id": 4})
    log.info("", extra={"event": "job_info", "jobid": 5})
    log.error("", extra={"event": "job_error", "jobid": 5})
    log.info("nothing of jobs")
    watch.end("failed")
    page = (tmp_path / "progress.html").read_text(encoding="utf-8")
    assert "Ended with an error" in page
    assert "1 of 2 jobs done, 0 running, 0 waiting, 1 failed" in page
    assert "1 of 2 jobs done" in capfd.readouterr().err


def test_a_page_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "results"
    blocked.write_text("a file in the way")
    watch = Watch(blocked, {1: Job("ica", "group_ica", 10.0)}, quiet=True)
    watch.start()
    began = time.monotonic()
    watch.end("done")
    assert time.monotonic() - began < 15


def test_the_page_is_kept_where_the_run_is_killed(tmp_path: Path) -> None:
    """Its writer sees the end of its input, and says that nobody told it of the end."""
    watch = Watch(tmp_path, {1: Job("ica", "group_ica", 10.0)}, quiet=True)
    watch.start()
    page = tmp_path / "progress.html"
    end = time.monotonic() + 30
    while not page.is_file() and time.monotonic() < end:
        time.sleep(0.1)
    watch._over.set()  # the thread ends without an outcome, as with the process
    watch._thread.join()
    assert watch._process is not None and watch._process.stdin is not None
    watch._process.stdin.close()
    assert watch._process.wait(30) == 0
    assert "Stopped from outside" in page.read_text(encoding="utf-8")
