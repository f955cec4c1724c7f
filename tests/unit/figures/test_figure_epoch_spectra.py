"""Spectra at chosen epochs."""

import numpy as np
import pytest
from figure_inputs import LEVELS, colours_of, spectra_tree

from gradspec.figures.epoch_spectra import choose_epochs, plot_epoch_spectra
from gradspec.figures.spectra import summarise_spectra
from gradspec.figures.style import COMPARISON_COLOUR, REFERENCE_COLOUR


def make_table(layers=("a.weight", "b.weight")):
    return summarise_spectra(spectra_tree(layers, n=(4, 4)))


@pytest.mark.parametrize(("n_epochs", "chosen"), [(1, {0}), (2, {0, 2}), (3, {0, 1, 2}), (9, {0, 1, 2})])
def test_first_and_last_epoch_are_chosen_and_those_between(n_epochs, chosen):
    assert set(choose_epochs(make_table(), n_epochs)["epoch"]) == chosen


def test_lines_are_the_table_in_the_groups_colours_on_logarithmic_axes():
    table = choose_epochs(make_table())
    figure = plot_epoch_spectra(table, LEVELS, "mlp")
    assert len(figure.axes) == 6
    ax = figure.axes[4]
    expected = table.query("layer == 'b.weight' and epoch == 1 and group == 'patient'")
    (line,) = (line for line in ax.lines if line.get_label() == "patient")
    np.testing.assert_allclose(line.get_xydata(), expected[["index", "singular_value"]])
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert colours_of(ax, "control") == {REFERENCE_COLOUR}
    assert colours_of(ax, "patient") == {COMPARISON_COLOUR}
    assert figure.get_suptitle().endswith("mean of 2 training runs")


def test_values_that_are_but_rounding_are_left_out():
    table = choose_epochs(make_table(("a.weight",)))
    table.loc[table["index"] > 2, "singular_value"] = 0.0
    figure = plot_epoch_spectra(table, LEVELS, "mlp")
    assert all(len(line.get_xdata()) == 2 for ax in figure.axes for line in ax.lines)


@pytest.mark.parametrize("n_layers", [1, 7])
def test_every_layer_has_its_panels(n_layers):
    table = choose_epochs(make_table(tuple(f"layers.{i}.weight" for i in range(n_layers))))
    figure = plot_epoch_spectra(table, LEVELS, "mlp")
    assert sum(bool(ax.lines) for ax in figure.axes) == 3 * n_layers


def test_the_picture_is_the_one_that_was_approved(same_picture):
    same_picture(plot_epoch_spectra(choose_epochs(make_table()), LEVELS, "mlp"), "epoch_spectra")
