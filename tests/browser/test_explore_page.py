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
        assert "effect size d_z 1.5" in page.inner_text("#summary")
        page.focus("#epoch")
        page.keyboard.press("ArrowLeft")
        assert "Epoch 0" in page.inner_text("#values")
        assert_fits(page)


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
        assert [name.split(" ")[0] for name in reached if "; effect size" in name] == ["a.weight", "b.weight"]
