"""The page that follows a run fits, on a laptop and a telephone, and asks for nothing from a network."""

import json
from pathlib import Path

import pandas as pd
import pytest
from browsing import WIDTHS, assert_fits, open_page
from spectra_maker import make_fold

from gradspec.files import write_dataset, write_table
from gradspec.watch.page import follow


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    excluded = {"participant_id": ["sub-ABCDEFGHIJKLMNOPQRSTUVWXYZ"], "stage": ["preprocess"], "reason": ["long " * 60]}
    write_table(pd.DataFrame(excluded), folder / "selection" / "excluded.tsv", dict.fromkeys(excluded, "…"))
    write_dataset(make_fold(), folder / "training" / "transformer" / "repeat-0_fold-0" / "spectra.nc")
    stages = [
        {"stage": stage, "done": 1200, "running": 48, "failed": 3, "waiting": 12000}
        for stage in ("cohort", "preprocess", "selection", "ica", "training", "spectra", "stats", "figures")
    ]
    running = [{"rule": "preprocess_participant", "jobs": 48, "seconds": 7000.0}]
    state = {"stages": stages, "running": running, "seconds_left": 9e4, "seconds": 4e3, "outcome": "done"}
    follow(folder, [json.dumps(state)])
    return folder


@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_and_shows_every_stage(results: Path, width: int) -> None:
    with open_page(results / "progress.html", width) as page:
        assert page.locator(".stages tbody tr").count() == 8
        assert page.locator("svg").count() == 3
        assert page.locator("svg").first.get_attribute("aria-label").startswith("transformer, ")
        assert_fits(page)
