"""Captions of the report render with the resolved configuration of every kind of data."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils.core import publish_string
from jinja2 import Environment, StrictUndefined

from gradspec.config import resolve

FOLDER = Path(__file__).resolve().parents[3] / "workflow" / "report"
FIGURES = (
    "main",
    "overview",
    "epoch_spectra",
    "kinds",
    "alignment",
    "calibration",
    "quality_control",
    "methods",
    "components",
    "connectivity",
    "dynamic_connectivity",
    "recovery",
    "learning_curves",
    "spectra",
    "trajectories",
    "group_differences",
    "explorer",
    "ranks",
    "rank_bounds",
)


def render(name: str, source: str, **sections: dict) -> str:
    given = {"bids": "root", "fmriprep": "root", "timeseries": "participants", "fnc": "participants"}
    section = {source: {given[source]: "/data/somewhere"}} if source in given else {}
    config = resolve({"cohort": {"source": source, "group": {"levels": ["healthy", "ill"]}, **section}, **sections})
    job = SimpleNamespace(config=config, wildcards=SimpleNamespace(model="lstm"))
    template = Environment(undefined=StrictUndefined, autoescape=False).from_string(
        (FOLDER / f"{name}.rst").read_text()
    )
    text = template.render(snakemake=job, categories={})
    publish_string(text, writer="html", settings_overrides={"halt_level": 2, "report_level": 5})
    return text


@pytest.mark.parametrize("source", ["simulated", "bids", "fmriprep", "timeseries", "fnc", "numerical"])
def test_front_page_names_groups_and_method(source):
    text = render("workflow", source)
    assert "**healthy**" in text
    assert "arXiv:2406.11825" in text
    assert ("/data/somewhere" in text) == (source not in ("simulated", "numerical"))
    assert ("says nothing about people" in text) == (source == "simulated")


TABLES = ("group_differences_table", "clusters", "mixed_models", "equal_loss", "performance", "scores", "summary")


@pytest.mark.parametrize("name", [*FIGURES, *TABLES])
def test_every_figure_and_table_of_tests_has_a_caption_that_renders(name):
    assert len(render(name, "simulated")) > 300


@pytest.mark.parametrize("per_fold", [False, True])
def test_it_is_said_whether_test_participants_had_a_part_in_the_components(per_fold):
    text = " ".join(render("components", "simulated", ica={"per_fold": per_fold}).split())
    assert ("on its training participants only" in text) == per_fold
    assert ("test participants had a part in what they are tried on" in text) != per_fold
