"""The page to explore: its numbers, and that names stay text."""

import json
import re

from figure_inputs import HOSTILE_NAME as NAME
from figure_inputs import explorer_data as make_data

from gradspec.figures.explore import write_page


def test_series_are_mean_and_spread_over_runs_with_gaps_where_undefined():
    model = make_data()["models"]["mlp"]
    assert model["series"]["0|gradient|effective_rank|patient"] == [[2, 3], [1.4142, 1.4142]]
    assert model["series"]["0|gradient|spectral_norm|control"] == [[2, None], [0, None]]
    assert model["runs"] == 2
    assert model["tests"]["1|gradient|effective_rank"]["significant"] is True


def test_names_are_never_read_as_html(tmp_path):
    write_page(make_data(NAME), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert NAME not in text
    assert "<img" not in text
    held = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL).group(1)
    assert list(json.loads(held)["models"]) == [NAME]
