"""The page of the look before a run fits, on a laptop and a telephone."""

from pathlib import Path

import pytest
from browsing import WIDTHS, assert_fits, open_page
from random_cohorts import draw_cohort

from gradspec.look.design import plan_design
from gradspec.look.page import write_page
from gradspec.look.people import look_at_cohort


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, int]:
    """Return a page, how many people it tells of, and how many of them would be used."""
    folder = tmp_path_factory.mktemp("cohort")
    cohort = draw_cohort(folder, 1)
    look = look_at_cohort(cohort.config)
    design = plan_design(look, cohort.config)
    write_page(look, design, folder / "check.html", levels=["control", "patient"], config_file="my config.yaml")
    return folder / "check.html", len(cohort.used), list(cohort.used.values()).count("yes")


@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_and_counts_everybody(check: tuple[Path, int, int], width: int) -> None:
    file, n_people, n_used = check
    with open_page(file, width) as page:
        assert f"{n_used} of {n_people} participants would be used" in page.inner_text(".verdict")
        assert page.locator("#everybody tbody tr").count() == n_people
        assert page.locator("#everybody tbody tr.out").count() == n_people - n_used
        assert page.locator("h2").count() == 6
        assert_fits(page)
