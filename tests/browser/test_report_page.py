"""The report opens in a browser with its overview, on a laptop and a telephone, and is read by keyboard and by ear.

A small workflow with the captions, style and last touch of the real one; the report of a whole run is opened by the
tests of the workflow.
"""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from browsing import WIDTHS, assert_fits, assert_pictures_load, open_page, reach_by_keyboard
from figure_inputs import (
    LEVELS,
    cluster_table,
    explorer_data,
    feature_table,
    group_tests,
    performance_table,
    spectra_tree,
)
from running import ROOT, snakemake

from gradspec.config import resolve
from gradspec.figures.environment import describe_environment
from gradspec.figures.explore import write_page
from gradspec.figures.main_figure import COLUMNS, plot_main, summarise_main
from gradspec.figures.overview import Flow, tell_result, write_overview
from gradspec.figures.saving import save_figure

SNAKEFILE = """
configfile: "config.yaml"
report: "report/workflow.rst"
FILES = {"main.png": ("main", "1 Overview", "Main figure"), "overview.html": ("overview", "1 Overview", "Overview"),
         "explore.html": ("explorer", "7 Spectra", "Explore the spectra")}
rule all:
    input: expand("figures/{name}", name=FILES)
for name, (caption, category, label) in FILES.items():
    rule:
        name: caption
        input: f"made/{name}"
        output:
            report(f"figures/{name}", category=category, caption=f"report/{caption}.rst", labels={"figure": label})
        shell: "cp {input} {output}"
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished report with an overview, a figure and a page."""
    folder = tmp_path_factory.mktemp("Bericht für alle")
    made = folder / "made"
    effects = {("mlp", "b.weight", "effective_rank"): 1.5, ("mlp", "a.weight", "spectral_norm"): -0.4}
    areas = {"mlp": (0.8, 0.6, 0.9), "logistic": (0.7, 0.5, 0.85)}
    tests, performance = group_tests(effects), performance_table(areas)
    clusters = cluster_table("mlp", "b.weight", "effective_rank", 2, 3)
    table = summarise_main(spectra_tree(("a.weight", "b.weight")), feature_table(), tests, clusters, performance, 0.05)
    figure = plot_main(table, LEVELS, ["mlp"], 0.05)
    save_figure(figure, table, COLUMNS, png=made / "main.png", svg=made / "main.svg", tsv=made / "main.tsv")
    write_page(explorer_data(), made / "explore.html")
    write_overview(
        made / "overview.html",
        result=tell_result(tests, performance, ["mlp"], LEVELS, 0.05),
        flow=Flow(
            {"control": 12, "patient": 12},
            {"control": 12, "patient": 12},
            clusters[:0].assign(stage=[]),
            pd.DataFrame({"value": LEVELS, "group": LEVELS, "n_rows": 12, "n_used": 12}),
            (18, 18),
        ),
        picture=made / "main.png",
        methods="Images were preprocessed.",
        environment=describe_environment(folder),
    )
    (folder / "report").symlink_to(ROOT / "workflow" / "report")
    (folder / "config.yaml").write_text(
        yaml.safe_dump(resolve({"cohort": {"source": "simulated"}}), allow_unicode=True)
    )
    (folder / "Snakefile").write_text(SNAKEFILE)
    for arguments in (["--cores", "1"], ["--report", "report.html", "--report-stylesheet", "report/report.css"]):
        done = snakemake(folder, *arguments)
        assert done.returncode == 0, done.stderr[-4000:]
    command = [sys.executable, "-m", "gradspec.figures.report", str(folder / "report.html")]
    subprocess.run(command, check=True, cwd=ROOT / "workflow")
    return folder / "report.html"


@pytest.mark.parametrize("width", WIDTHS)
def test_the_first_page_tells_the_result_and_fits(report: Path, width: int) -> None:
    with open_page(report, width) as page:
        page.wait_for_selector(".overview img")
        words = page.inner_text("#app")
        assert "In 1 of 2 tests of single features" in words
        assert "24 found (12 control, 12 patient)" in words
        assert "arXiv:2406.11825" in words
        assert page.title() == "gradspec: how networks learn from two groups"
        assert "In 1 of 2 tests" in page.get_attribute(".overview img", "alt")
        assert_pictures_load(page)
        assert_fits(page)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_figure_opens_with_its_caption_in_words(report: Path, width: int) -> None:
    with open_page(report, width) as page:
        if width < 768:
            page.get_by_label("Open the menu").click()
        page.get_by_role("link", name="1 Overview").click()
        page.get_by_label("Show Main figure").click()
        page.wait_for_selector("#app img[alt*='The main figure']")
        assert_pictures_load(page)
        assert_fits(page)
        if width < 768:
            page.get_by_label("Open the menu").click()
        page.get_by_label("Menu", exact=True).click()
        page.wait_for_selector(".overview img", state="attached")


def test_the_page_to_explore_works_inside_the_report(report: Path) -> None:
    with open_page(report, 1280) as page:
        page.get_by_role("link", name="7 Spectra").click()
        page.get_by_label("Show Explore the spectra").click()
        frame = page.frame_locator("iframe")
        frame.locator("#network button").nth(1).click()
        assert "b.weight" in frame.locator("#heading").inner_text()
        assert page.get_attribute("iframe", "title").startswith("Explore the spectra.")


def test_menu_and_results_are_reached_by_keyboard_and_have_names(report: Path) -> None:
    with open_page(report, 1280) as page:
        page.wait_for_selector(".overview img")
        names = reach_by_keyboard(page, 20)
        assert "1 Overview" in names
        page.get_by_role("link", name="1 Overview").focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("[aria-label='Show Main figure']")
        unnamed = page.evaluate(
            "[...document.querySelectorAll('#app a, #app input')].filter((one) => !one.textContent.trim() && "
            "!one.getAttribute('aria-label')).length"
        )
        assert unnamed == 0
        page.get_by_label("Show Main figure").focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("#app img[alt*='The main figure']")
