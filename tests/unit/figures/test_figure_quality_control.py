"""Picture of the image quality."""

import numpy as np
import pandas as pd
import pytest
from figure_inputs import LEVELS, colours_of, people, texts

from gradspec.figures.quality_control import COLUMNS, plot_quality_control, summarise_quality
from gradspec.figures.style import COMPARISON_COLOUR, REFERENCE_COLOUR


@pytest.fixture
def table():
    cohort = people(6)
    quality = pd.DataFrame(
        {
            "participant_id": [*cohort["participant_id"], "sub-01"],
            "mean_fd": [0.1, 0.2, 0.9, 0.1, 0.2, 0.3, 0.3],
            "tsnr": [50.0, 60, 70, 80, np.nan, 60, 70],
            "overlap": [0.9, 0.95, 0.9, 0.92, 0.93, 0.94, 0.8],
        }
    )
    return summarise_quality(quality, cohort.drop(2), cohort.loc[[2]], LEVELS)


LIMITS = {"max_mean_fd": 0.5, "min_overlap": 0.7}


def test_runs_of_a_participant_are_averaged(table):
    first = table.set_index("participant_id").loc["sub-01"]
    assert first["mean_fd"] == pytest.approx(0.2)
    assert first["n_runs"] == 2


def test_participants_are_ordered_by_group_with_the_reference_first(table):
    assert table["group"].tolist() == ["control"] * 3 + ["patient"] * 3
    assert set(table) == set(COLUMNS)


def test_who_has_no_image_is_not_drawn():
    quality = pd.DataFrame({"participant_id": ["sub-01", "sub-02"], "mean_fd": [0.1, np.nan]})
    table = summarise_quality(quality, people(1), people(2)[1:], LEVELS)
    assert table["participant_id"].tolist() == ["sub-01"]


def test_axes_have_units_and_the_title_counts(table):
    figure = plot_quality_control(table, LEVELS, LIMITS)
    assert len(figure.axes) == 3
    assert "(mm)" in figure.axes[0].get_ylabel()
    assert "Dice" in figure.axes[2].get_ylabel()
    assert figure.get_suptitle() == "Image quality: 5 participants analysed (2 control, 3 patient), 1 excluded"


def test_groups_have_their_colours_and_dots_their_values(table):
    ax = plot_quality_control(table, LEVELS, LIMITS).axes[0]
    assert colours_of(ax, "control") == {REFERENCE_COLOUR}
    assert colours_of(ax, "patient") == {COMPARISON_COLOUR}
    (dots,) = (line for line in ax.lines if line.get_label() == "patient")
    np.testing.assert_allclose(dots.get_ydata(), table.loc[table["group"] == "patient", "mean_fd"])


def test_excluded_are_crosses_in_the_colour_of_their_group(table):
    ax = plot_quality_control(table, LEVELS, LIMITS).axes[0]
    crosses = [line for line in ax.lines if line.get_marker() == "X" and len(line.get_xdata())]
    assert [(cross.get_color(), cross.get_ydata()[0]) for cross in crosses] == [(REFERENCE_COLOUR, 0.9)]


def test_limits_are_lines_and_none_is_none(table):
    assert "largest allowed 0.5" in texts(plot_quality_control(table, LEVELS, LIMITS))
    assert "allowed" not in texts(plot_quality_control(table, LEVELS, {"max_mean_fd": None, "min_overlap": None}))


def test_a_measure_that_is_missing_throughout_is_said_to_be(table):
    figure = plot_quality_control(table.assign(tsnr=np.nan), LEVELS, LIMITS)
    assert "not available" in texts(figure)


def test_the_picture_is_the_one_that_was_approved(table, same_picture):
    same_picture(plot_quality_control(table, LEVELS, LIMITS), "quality_control")
