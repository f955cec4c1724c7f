"""Grid of components, and the slices it is made of."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from figure_inputs import GRID, blobs, texts

from gradspec.figures.components import describe_components, describe_spectra, plot_components
from gradspec.figures.slices import best_axial, cut, peak_of


@pytest.fixture
def stability():
    return pd.DataFrame({"component": ["c1", "c2", "c3"], "stability": [0.95, np.nan, 0.5], "n_starts": 10})


@pytest.fixture
def labels():
    return pd.DataFrame(
        {
            "component": ["c1", "c2", "c3"],
            "label": ["visual", "c2", "c3"],
            "correlation": [0.66, np.nan, np.nan],
            "peak_x": [0.0, np.nan, np.nan],
            "peak_y": [-12.0, np.nan, np.nan],
            "peak_z": [6.0, np.nan, np.nan],
        }
    )


@pytest.fixture
def artefacts():
    return pd.DataFrame(
        {
            "component": ["c1", "c2", "c3"],
            "falff": [0.6, 0.6, 0.3],
            "artefact": [False, False, True],
            "reason": [np.nan, np.nan, "spectrum, edge"],
        }
    )


@pytest.fixture
def spectra():
    power = np.random.default_rng(0).random((2, 20, 3))
    return describe_spectra(
        xr.Dataset(
            {"power": (("participant", "frequency", "component"), power / power.sum(axis=1, keepdims=True))},
            coords={"frequency": np.linspace(0.0125, 0.25, 20), "component": ["c1", "c2", "c3"]},
        )
    )


MAPS = blobs([(12, 16, 13), (8, 20, 13), (16, 10, 10)])


def test_a_peak_that_is_missing_is_taken_from_the_map(stability, labels, artefacts):
    table = describe_components(MAPS, stability, labels, artefacts)
    assert table.loc[1, ["peak_x", "peak_y", "peak_z"]].tolist() == [8 * 6 - 72, 20 * 6 - 108, 13 * 6 - 72]
    assert table.loc[0, "peak_y"] == -12
    np.testing.assert_allclose(table["peak_value"].astype(float), 8)


def test_each_component_has_a_cell_with_name_stability_and_position(stability, labels, artefacts, spectra, template):
    table = describe_components(MAPS, stability, labels, artefacts)
    figure = plot_components(MAPS, table, template, spectra)
    written = texts(figure)
    assert "c1   Iq = 0.95\nvisual (r = 0.66)" in written
    assert "c3   Iq = 0.50\nartefact? spectrum, edge" in written
    assert "1 likely artefacts in colour" in written
    assert written.count("Frequency (Hz)") == written.count("Power (%)") == 3
    assert "nan" not in written
    assert "y = -12" in written
    assert "(z)" in written
    assert figure.get_suptitle().startswith("3 components")
    assert sum(len(ax.images) for ax in figure.axes) == 3 * 3 * 2


def test_values_below_the_threshold_are_transparent(stability, labels, artefacts, spectra, template):
    figure = plot_components(MAPS, describe_components(MAPS, stability, labels, artefacts), template, spectra)
    shown = figure.axes[0].images[1].get_array()
    assert np.abs(shown.compressed()).min() >= 2
    assert shown.mask.any()


def test_a_slice_goes_through_the_position_in_mm():
    volume = MAPS.get_fdata()[..., 1]
    for axis, position in enumerate((-24, 12, 6)):
        plane = cut(volume, GRID, axis, position)
        assert plane.values.max() == pytest.approx(8, abs=0.1)
    row, column = np.unravel_index(cut(volume, GRID, 2, 6).values.argmax(), (189, 151))
    assert (column - 75, row - 110) == (-24, 12)


def test_a_slice_outside_the_volume_is_zero():
    assert not cut(MAPS.get_fdata()[..., 0], GRID, 2, 500).values.any()


def test_peak_and_best_slice():
    volume = MAPS.get_fdata()[..., 2]
    assert peak_of(-volume, GRID) == (24, -48, -12)
    assert best_axial(volume, GRID) == -12


def test_spectra_are_means_over_runs_and_drawn_in_percent(stability, labels, artefacts, spectra, template):
    assert spectra.groupby("component")["power"].sum().tolist() == pytest.approx([1, 1, 1])
    figure = plot_components(MAPS, describe_components(MAPS, stability, labels, artefacts), template, spectra)
    drawn = figure.axes[1].lines[0].get_ydata()
    np.testing.assert_allclose(drawn, 100 * spectra.loc[spectra["component"] == "c1", "power"])
    titles = {ax.get_title().split()[0]: ax.title.get_color() for ax in figure.axes if ax.get_title()}
    assert titles["c1"] == titles["c2"] != titles["c3"]


def test_maps_of_a_template_have_names_but_no_stability(labels, artefacts, spectra, template):
    unknown = pd.DataFrame({"component": ["c1", "c2", "c3"], "stability": np.nan, "n_starts": np.nan})
    named = labels.assign(label=["IC 5", "IC 7", "IC 9"], domain=["VI", "SM", None], correlation=np.nan)
    table = describe_components(MAPS, unknown, named, artefacts)
    written = texts(plot_components(MAPS, table, template, spectra))
    assert "c1\nVI: IC 5" in written
    assert "c3\nIC 9; artefact? spectrum, edge" in written
    assert "Iq" not in written


def test_the_picture_is_the_one_that_was_approved(stability, labels, artefacts, spectra, template, same_picture):
    table = describe_components(MAPS, stability, labels, artefacts)
    same_picture(plot_components(MAPS, table, template, spectra), "components")


def test_components_of_a_domain_stand_together_each_with_its_own_map(labels, artefacts, stability, spectra, template):
    labels["domain"] = ["visual", "motor", "visual"]
    figure = plot_components(MAPS, describe_components(MAPS, stability, labels, artefacts), template, spectra)
    slices = [ax for ax in figure.axes if len(ax.images) == 6]
    assert [ax.get_title().split()[0] for ax in slices] == ["c1", "c3", "c2"]
    positions = [[text.get_text() for text in ax.texts] for ax in slices]
    assert positions[1] == ["x = 24", "y = -48", "z = -12"]
