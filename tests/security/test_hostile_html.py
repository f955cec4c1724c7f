"""Words of a data set or a config are shown in pages as they are, and never read as HTML."""

from types import SimpleNamespace
from typing import Any

import pytest
from docutils.core import publish_parts
from jinja2 import Template
from makers import make_config
from running import ROOT

from gradspec.stats.summary import render_summary

HOSTILE = "</script><img src=x onerror=alert(1)>"
FOLDER = "/data/<img src=x onerror=alert(1)>"


def front_page(config: dict[str, Any]) -> str:
    """Set the front page of the report as Snakemake does."""
    text = (ROOT / "workflow" / "report" / "workflow.rst").read_text(encoding="utf-8")
    filled = Template(text).render(snakemake=SimpleNamespace(config=config), categories={}, files=[])
    return str(publish_parts(filled, writer="html")["body"])


@pytest.mark.parametrize("source", ["bids", "fmriprep", "timeseries", "fnc"])
def test_the_front_page_of_the_report_shows_names_as_text(source: str) -> None:
    key = "root" if source in ("bids", "fmriprep") else "participants"
    config = make_config(source, **{source: {key: FOLDER}})
    config["cohort"]["group"] = {"column": HOSTILE, "levels": [HOSTILE, "patient"]}
    page = front_page(config)
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_the_summary_of_the_tests_shows_names_as_text() -> None:
    page = render_summary({HOSTILE: [f"In the layer {HOSTILE} the groups differ."]})
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
