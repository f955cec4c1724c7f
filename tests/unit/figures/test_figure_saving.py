"""Files of a figure: all there, described, and equal for equal figures."""

import matplotlib as mpl
import pandas as pd
import pytest

from gradspec.figures.saving import save_figure
from gradspec.figures.style import new_figure, styled
from gradspec.files import read_json


@styled
def draw():
    figure = new_figure(3, 2)
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1], clip_on=True)
    ax.fill_between([0, 1], [0, 1], [1, 2])
    return figure


def save(folder, figure=None, columns=None):
    paths = {name: folder / f"picture.{name}" for name in ("png", "svg", "tsv")}
    save_figure(figure or draw(), pd.DataFrame({"x": [1.5, None]}), columns or {"x": "a number"}, **paths)
    return paths


def test_equal_figures_give_equal_bytes(tmp_path):
    first, second = save(tmp_path / "a"), save(tmp_path / "b")
    for name in first:
        assert first[name].read_bytes() == second[name].read_bytes()


def test_no_date_is_written(tmp_path):
    paths = save(tmp_path)
    assert b"<dc:date>" not in paths["svg"].read_bytes()


def test_the_picture_has_150_dots_per_inch(tmp_path):
    image = mpl.image.imread(save(tmp_path)["png"])
    assert image.shape[:2] == (300, 450)


def test_the_table_has_a_sidecar_and_writes_missing_values_as_na(tmp_path):
    paths = save(tmp_path)
    assert paths["tsv"].read_text() == "x\n1.5\nn/a\n"
    assert read_json(tmp_path / "picture.json") == {"x": {"Description": "a number"}}


def test_nothing_is_left_of_a_figure_that_cannot_be_saved(tmp_path):
    with pytest.raises(ValueError, match="no description"):
        save(tmp_path, columns={"y": "another"})
    assert list(tmp_path.iterdir()) == []


def test_settings_of_the_caller_are_neither_used_nor_changed(tmp_path):
    expected = save(tmp_path / "a")["png"].read_bytes()
    with mpl.rc_context({"font.size": 30, "lines.linewidth": 9}):
        assert save(tmp_path / "b")["png"].read_bytes() == expected
        assert mpl.rcParams["font.size"] == 30
