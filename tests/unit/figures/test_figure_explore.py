"""The page to explore: its numbers, and that names stay text."""

import json
import re

import pandas as pd
from figure_inputs import HOSTILE_NAME as NAME
from figure_inputs import explorer_data as make_data

from gradspec.figures.explore import show_further, write_page

SITES = ("Rome", "Oslo", "Ulm")


def test_series_are_mean_and_spread_over_runs_with_gaps_where_undefined():
    model = make_data()["models"]["mlp"]["groupings"]["diagnosis (learnt)"]
    assert model["series"]["0|gradient|effective_rank|patient"] == [[2, 3], [1.4142, 1.4142]]
    assert model["series"]["0|gradient|spectral_norm|control"] == [[2, None], [0, None]]
    assert model["runs"] == 2
    (test,) = model["tests"]["1|gradient|effective_rank"]
    assert (test["reference"], test["comparison"], test["significant"]) == ("control", "patient", True)


def test_every_grouping_has_its_groups_its_epochs_and_its_own_tests():
    data = make_data(sites=SITES)
    assert list(data["groupings"]) == ["diagnosis (learnt)", "site"]
    assert data["groupings"]["site"]["groups"] == [*SITES, "pooled"]
    assert len(set(data["groupings"]["site"]["colours"].values())) == 4
    by_site = data["models"]["mlp"]["groupings"]["site"]
    assert (by_site["epochs"], by_site["features"]) == ([1], ["effective_rank"])
    assert by_site["series"]["0|gradient|effective_rank|Ulm"] == [[4], [1.4142]]
    clearest, other = by_site["tests"]["1|gradient|effective_rank"]
    assert (clearest["comparison"], clearest["effect"], clearest["significant"]) == ("Ulm", -3, True)
    assert (other["comparison"], other["effect"], other["significant"]) == ("Oslo", 1, False)


def test_a_grouping_that_is_not_tested_is_shown_without_tests():
    table = pd.DataFrame({"grouping": "site", "group": ["A", "pooled", "B"]})
    shown = show_further({"mlp": table}, None)["site"]
    assert shown.levels == ("A", "B")
    assert shown.tests.empty


def test_names_are_never_read_as_html(tmp_path):
    write_page(make_data(NAME), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert NAME not in text
    assert "<img" not in text
    held = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL).group(1)
    assert list(json.loads(held)["models"]) == [NAME]
