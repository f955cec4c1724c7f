"""The page to explore works in a browser, on a laptop and a telephone, by hand and by keyboard."""

import pytest
from browsing import WIDTHS, assert_fits, open_page, reach_by_keyboard
from figure_inputs import HOSTILE_NAME, explorer_data

from gradspec.figures.explore import write_page


@pytest.fixture
def explorer(tmp_path):
    write_page(explorer_data(HOSTILE_NAME), tmp_path / "page.html")
    return tmp_path / "page.html"


@pytest.mark.parametrize("width", WIDTHS)
def test_every_control_changes_what_is_shown(explorer, width):
    with open_page(explorer, width) as page:
        page.select_option("#feature", "effective_rank")
        assert page.locator("#chart [data-line]").count() == 3
        page.locator("#groups input").last.uncheck()
        assert page.locator("#chart [data-line]").count() == 2
        page.locator("#network button").nth(1).focus()
        page.keyboard.press("Enter")
        assert "b.weight" in page.inner_text("#heading")
        assert page.input_value("#layer") == "1"
        assert "effect size in standard errors 1.5" in page.inner_text("#summary")
        page.focus("#epoch")
        page.keyboard.press("ArrowLeft")
        assert "Epoch 0" in page.inner_text("#values")
        assert_fits(page)


@pytest.mark.parametrize("width", WIDTHS)
def test_another_grouping_brings_its_groups_and_keeps_the_layer(tmp_path, width):
    write_page(explorer_data(sites=("Rome", "Oslo", HOSTILE_NAME)), tmp_path / "page.html")
    with open_page(tmp_path / "page.html", width) as page:
        page.select_option("#feature", "effective_rank")
        page.locator("#network button").nth(1).click()
        page.focus("#grouping")
        page.keyboard.press("ArrowDown")
        assert page.input_value("#grouping") == "site"
        assert page.input_value("#layer") == "1"
        assert "by site" in page.inner_text("#heading")
        assert page.locator("#chart [data-line]").count() == 4
        assert page.locator("#values tbody td:first-child").all_inner_texts()[0].strip() == "Rome"
        assert "Epoch 1" in page.inner_text("#values")
        assert page.locator("#marks title").all_text_contents() == [
            "Rome: 2",
            "Oslo: 3",
            f"{HOSTILE_NAME}: 4",
            "pooled: 5",
        ]
        assert f"{HOSTILE_NAME} \u2212 Rome: 2 (under labels by lot" in page.inner_text("#summary")
        page.click("#comparisons summary")
        assert page.locator("#comparisons tbody tr").count() == 2
        assert "grouping=site" in page.url
        assert_fits(page)
        page.reload()
        assert page.input_value("#grouping") == "site"
        assert page.get_by_label("Grouping").is_visible()


def test_there_is_nothing_to_choose_where_one_grouping_was_recorded(explorer):
    with open_page(explorer, 1280) as page:
        assert not page.is_visible("#grouping")
        assert "by diagnosis" not in page.inner_text("#heading")


@pytest.mark.parametrize("width", WIDTHS)
def test_long_names_of_layers_break_where_they_may(tmp_path, width):
    data = explorer_data()
    name = "encoder.layers.0.self_attention_with_a_long_name.in_proj/q"
    data["models"]["mlp"]["layers"][0].update(name=name, label=name, shape="128 × 1024")
    write_page(data, tmp_path / "page.html")
    with open_page(tmp_path / "page.html", width) as page:
        assert_fits(page)
        button = page.locator("#network button").first
        assert button.inner_text().replace("\n", " ").replace("\u200b", "").startswith(name)
        # Whole words in each line: a break falls behind a dot, slash or underscore.
        lines = page.evaluate(
            """(text) => { const range = document.createRange(), lines = []; let top = null;
              [...text].forEach((_, i) => { const node = document.querySelector("#network button span").firstChild;
                range.setStart(node, i); range.setEnd(node, i + 1);
                const box = range.getBoundingClientRect(); if (box.width === 0) { return; }
                if (top === null || box.top > top + 4) { lines.push(""); top = box.top; }
                lines[lines.length - 1] += node.data[i]; }); return lines; }""",
            page.evaluate("document.querySelector('#network button span').firstChild.data"),
        )
        assert len(lines) > 1
        assert all(line[-1] in "._/" for line in lines[:-1]), lines


def test_all_of_it_is_reached_by_keyboard(explorer):
    with open_page(explorer, 1280) as page:
        reached = reach_by_keyboard(page, 20)
        assert {"model", "layer", "kind", "feature", "epoch", "log"} <= set(reached)
        assert [name.split(" ")[0] for name in reached if "(Linear, " in name] == ["a.weight", "b.weight"]
