"""Opening a page in a headless Chromium, and what a page must not do there."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

WIDTHS = (1280, 390)
"""Pixels of a laptop and of a telephone."""


@contextmanager
def open_page(path: Path, width: int) -> Iterator[Any]:
    """Open a page that must neither complain nor ask for anything from a network; skip where there is no browser."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install playwright)")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no chromium here (Debian: apt-get install chromium)")
    complaints, requests = [], []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 844})
        page.set_default_timeout(15_000)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        yield page
        browser.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []


def assert_fits(page: Any) -> None:
    """Nothing is wider than the window, so that nobody has to scroll sideways."""
    assert page.evaluate("document.documentElement.scrollWidth") == page.viewport_size["width"]


def assert_pictures_load(page: Any) -> None:
    """Every picture that is there has pixels, and words for those who do not see it."""
    pictures = page.evaluate("[...document.images].map((one) => [one.complete && one.naturalWidth > 0, one.alt])")
    assert pictures
    assert all(loaded for loaded, _ in pictures)


def reach_by_keyboard(page: Any, presses: int = 60) -> list[str]:
    """Press Tab again and again; return the names of what had the focus."""
    names = []
    for _ in range(presses):
        page.keyboard.press("Tab")
        names.append(
            page.evaluate(
                "(() => { const at = document.activeElement; "
                "return at === document.body ? '' : at.id || at.getAttribute('aria-label') || at.innerText; })()"
            ).strip()
        )
    return names
