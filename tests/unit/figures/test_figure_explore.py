"""The page to explore: its numbers, that names stay text, and that it works in a browser without a network."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from figure_inputs import LEVELS

from gradspec.figures.explore import summarise_for_page, write_page

NAME = "</script><img src=x onerror=alert(1)>"


def make_data(model="mlp"):
    rows = [
        {"repeat": repeat, "fold": 0, "layer": layer, "kind": "gradient", "epoch": epoch, "group": group}
        | {"effective_rank": place + epoch + repeat, "spectral_norm": np.nan if epoch == 1 else 2.0}
        for repeat in (0, 2)
        for layer in ("a.weight", "b.weight")
        for epoch in (0, 1)
        for place, group in enumerate([*LEVELS, "pooled"])
    ]
    test = {"model": model, "layer": "b.weight", "kind": "gradient", "feature": "effective_rank", "effect_size": 1.5}
    test |= {"difference": 1.0, "ci_low": 0.5, "ci_high": 1.5, "p_corrected": 0.01}
    layers = {name: {"type": "Linear", "shape": "3 × 2"} for name in ("a.weight", "b.weight")}
    return summarise_for_page({model: pd.DataFrame(rows)}, {model: layers}, pd.DataFrame([test]), LEVELS, 0.05)


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


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_works_in_a_browser(tmp_path, width):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or pytest.skip("there is no chromium here")
    write_page(make_data(NAME), tmp_path / "page.html")
    address = (tmp_path / "page.html").as_uri()
    complaints, requests = [], []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 844})
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(address)
        page.select_option("#feature", "effective_rank")
        assert page.locator("#chart [data-line]").count() == 3
        page.locator("#groups input").last.uncheck()
        assert page.locator("#chart [data-line]").count() == 2
        page.locator("#network button").nth(1).focus()
        page.keyboard.press("Enter")
        assert "b.weight" in page.inner_text("#heading")
        assert page.input_value("#layer") == "1"
        assert "effect size d_z 1.5" in page.inner_text("#summary")
        page.focus("#epoch")
        page.keyboard.press("ArrowLeft")
        assert "Epoch 0" in page.inner_text("#values")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        browser.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
