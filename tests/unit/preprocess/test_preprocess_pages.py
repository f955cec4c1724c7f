import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gradspec.cohort.runs import BoldRun
from gradspec.config import resolve
from gradspec.preprocess.derivatives import name_anatomical, name_functional
from gradspec.preprocess.pages import PICTURES, render_group, render_participant
from gradspec.preprocess.status import Status, gather_runs
from gradspec.selection.quality import COLUMNS, tabulate_quality

BOUNDS = {"max_mean_fd": 0.5, "min_tsnr": 40.0}
NOBODY = pd.DataFrame({"participant_id": [], "reason": []})
HOSTILE = "<script>alert('&\"')</script>"


class Balanced(HTMLParser):
    """Refuses tags that are closed in another order than opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "img", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parse(page: str) -> Balanced:
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    return parser


def make_run(run: str | None, **quality: float) -> BoldRun:
    index = f"_run-{run}" if run else ""
    return BoldRun("sub-01", Path(f"sub-01_task-rest{index}_bold.nii.gz"), quality=quality)


@pytest.fixture
def table() -> pd.DataFrame:
    runs = [make_run("1", mean_fd=0.2, tsnr=60.0), make_run("2", mean_fd=0.9, tsnr=30.0)]
    excluded = pd.DataFrame({"participant_id": ["sub-02"], "reason": [HOSTILE]})
    return tabulate_quality(gather_runs([Status("sub-01", runs)]), excluded, BOUNDS)


def test_the_page_of_a_participant_shows_every_picture_and_what_is_beyond_a_limit() -> None:
    runs = [make_run("1", mean_fd=0.2, tsnr=60.0), make_run("2", mean_fd=0.9, tsnr=30.0)]
    pictures = [f"figures/sub-01_desc-{kind}.png" for kind in reversed(PICTURES)]
    page = render_participant("sub-01", runs, pictures, BOUNDS, ["What was done."])
    assert parse(page).tags.count("img") == len(PICTURES)
    places = [page.index(f'src="figures/sub-01_desc-{kind}.png"') for kind in PICTURES]
    assert sorted(places[:2]) == places[:2]
    assert max(places[:2]) < min(places[2:]), "the T1w image comes first"
    assert re.findall(r'class="beyond">([^<]*)<', page) == ["0.9", "30"]
    assert "task rest run 2: mean framewise displacement 0.90 mm is above the limit of 0.5" in page
    assert "What was done." in page


def test_every_picture_that_is_written_is_explained(tmp_path: Any) -> None:
    run = BoldRun("sub-01", tmp_path / "sub-01_task-rest_bold.nii.gz", repetition_time=2.0, n_volumes=80)
    settings = resolve({"cohort": {"source": "simulated"}})["preprocess"]
    outputs = [*name_anatomical("sub-01", tmp_path / "t1w.nii", settings), *name_functional(run, settings)]
    outputs += name_functional(run, settings, has_t1w=False)
    pictures = list(dict.fromkeys(output.path for output in outputs if output.path.endswith(".png")))
    assert len(pictures) == len(PICTURES)
    parse(render_participant("sub-01", [make_run(None, mean_fd=0.1)], pictures, BOUNDS, []))


def test_the_group_table_flags_links_and_strikes_out(table: pd.DataFrame) -> None:
    page = render_group(table, BOUNDS, {"sub-01": "sub-01/report.html"}, ["What was done."])
    parser = parse(page)
    assert parser.tags.count("tr") == 1 + 3
    assert re.findall(r'class="beyond">([^<]*)<', page) == ["0.9", "30"]
    assert page.count('<a href="sub-01/report.html">sub-01</a>') == 2
    assert page.count('<tr class="excluded">') == 1
    assert "2 participants, 1 of them excluded" in page
    assert parser.tags.count("button") == sum(not table[name].isna().all() for name in COLUMNS)


def test_a_wide_table_scrolls_inside_the_page_with_its_first_column_in_sight(table: pd.DataFrame) -> None:
    page = render_group(table, BOUNDS, {}, [])
    assert '<div class="wide" tabindex="0" role="region"' in page
    assert ".wide { overflow-x: auto; }" in page
    assert "position: sticky" in page


def test_who_has_no_t1w_image_is_named_as_such() -> None:
    runs = [replace(make_run(None, mean_fd=0.1), normalized=way) for way in ("T1w", "BOLD")]
    with_t1w, without = (render_participant("sub-01", [run], [], BOUNDS, []) for run in runs)
    assert "No T1w image was used" in without
    assert "No T1w image was used" not in with_t1w
    table = tabulate_quality(gather_runs([Status("sub-01", [runs[1]])]), NOBODY, BOUNDS)
    assert table["normalized"].tolist() == ["BOLD"]


def test_values_of_the_data_never_become_markup(table: pd.DataFrame) -> None:
    run = replace(make_run(None, mean_fd=0.9), bold=Path(f"sub-01_task-{HOSTILE.replace('/', '')}_bold.nii.gz"))
    for page in (
        render_group(table, BOUNDS, {}, [HOSTILE]),
        render_participant(HOSTILE, [run], [f"figures/{HOSTILE}_desc-tsnr_bold.png"], BOUNDS, [HOSTILE]),
    ):
        assert "alert(" in page
        assert "<script>alert" not in page
        assert parse(page).tags.count("script") <= 1
