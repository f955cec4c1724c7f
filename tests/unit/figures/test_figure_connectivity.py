"""Connectivity by group."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from figure_inputs import LEVELS, colours_of, people, texts
from scipy import stats
from statsmodels.stats.multitest import multipletests

from gradspec.figures.connectivity import COLUMNS, compare_connectivity, plot_connectivity
from gradspec.figures.style import COMPARISON_COLOUR, REFERENCE_COLOUR


def make_fnc(n=20, k=6, effect=1.5):
    rng = np.random.default_rng(1)
    z = rng.normal(0, 0.3, (n, k, k))
    z[1::2, 0, 1] += effect
    z = np.triu(z, 1) + np.triu(z, 1).transpose(0, 2, 1)
    names = [f"network-{i + 1:02d}" for i in range(k)]
    return xr.Dataset(
        {"fnc": (("participant", "component", "component_2"), z)},
        coords={"participant": people(n)["participant_id"].to_numpy(), "component": names, "component_2": names},
    )


def make_features(n=20, k=5):
    rng = np.random.default_rng(2)
    values = rng.normal(size=(n, k))
    values[1::2, 0] += 3
    return xr.Dataset(
        {"features": (("participant", "feature"), values)},
        coords={"participant": people(n)["participant_id"].to_numpy(), "feature": [f"f{i}" for i in range(k)]},
    )


def test_each_pair_is_tested_once_as_scipy_and_statsmodels_do():
    fnc = make_fnc()
    table = compare_connectivity(fnc, people(20), LEVELS)
    assert len(table) == 15
    p_values = []
    for row in table.itertuples():
        values = fnc["fnc"].sel(component=row.component, component_2=row.component_2).to_numpy()
        test = stats.ttest_ind(values[1::2], values[::2], equal_var=False)
        assert row.difference == pytest.approx(values[1::2].mean() - values[::2].mean())
        assert row.statistic == pytest.approx(test.statistic)
        assert (row.ci_low, row.ci_high) == pytest.approx(tuple(test.confidence_interval()))
        p_values.append(test.pvalue)
    np.testing.assert_allclose(table["p_corrected"], multipletests(p_values, method="fdr_bh")[1])


def test_runs_of_a_participant_count_once():
    fnc = make_fnc(8)
    twice = xr.concat([fnc, fnc], "participant")
    pd.testing.assert_frame_equal(
        compare_connectivity(twice, people(8), LEVELS), compare_connectivity(fnc, people(8), LEVELS)
    )


def test_who_is_not_in_the_table_of_participants_does_not_count():
    table = compare_connectivity(make_fnc(20), people(8), LEVELS)
    assert set(table["n_reference"]) == {4}


def test_matrices_show_what_the_table_says():
    table = compare_connectivity(make_fnc(), people(20), LEVELS)
    figure = plot_connectivity(table, LEVELS, 0.05)
    for ax, column in zip(figure.axes, ("mean_reference", "mean_comparison", "difference"), strict=False):
        drawn = ax.images[0].get_array()
        np.testing.assert_allclose(drawn[np.triu_indices(6, 1)], table[column])
        np.testing.assert_allclose(drawn, drawn.T)
    titles = [ax.get_title("left") for ax in figure.axes[:3]]
    assert titles[0] == "control, mean (n = 10)"
    assert titles[2] == "patient − control\n1 of 15 with p < 0.05 (FDR)"
    assert "Correlation (Fisher z)" in texts(figure)
    assert sum(len(dots.get_offsets()) for dots in figure.axes[2].collections) == 2


def test_a_region_without_values_is_grey_and_not_tested():
    fnc = make_fnc()
    fnc["fnc"][:, 2] = np.nan
    fnc["fnc"][:, :, 2] = np.nan
    table = compare_connectivity(fnc, people(20), LEVELS)
    assert table["p_corrected"].isna().sum() == 5
    figure = plot_connectivity(table, LEVELS, 0.05)
    assert figure.axes[0].images[0].get_array().mask.sum() == 10


def test_one_participant_a_group_gives_means_and_no_test():
    table = compare_connectivity(make_fnc(2), people(2), LEVELS)
    assert table["p_corrected"].isna().all()
    assert table["difference"].notna().all()
    plot_connectivity(table, LEVELS, 0.05)


def test_many_regions_are_not_labelled_one_by_one():
    figure = plot_connectivity(compare_connectivity(make_fnc(8, 60), people(8), LEVELS), LEVELS, 0.05)
    assert figure.axes[0].get_xlabel() == "60 components or regions"
    assert not figure.axes[0].get_xticks().size


def test_feature_vectors_are_drawn_as_profiles_with_intervals():
    table = compare_connectivity(make_features(), people(20), LEVELS)
    assert set(table) <= set(COLUMNS)
    figure = plot_connectivity(table, LEVELS, 0.05)
    above, below = figure.axes
    assert colours_of(above, "control (n = 10)") == {REFERENCE_COLOUR}
    assert colours_of(above, "patient (n = 10)") == {COMPARISON_COLOUR}
    np.testing.assert_allclose(above.lines[1].get_ydata(), table["mean_comparison"])
    assert below.get_title("left") == "1 of 5 with p < 0.05 (FDR)"
    assert "95 % interval" in texts(figure)


def named(domains, labels):
    names = [f"network-{i + 1:02d}" for i in range(len(domains))]
    return pd.DataFrame({"component": names, "label": labels, "domain": domains})


def test_components_stand_by_domain_under_their_labels():
    labels = named(["VI", "SM", "VI", None, "SM", "DM"], ["a", "b", "c", "d", "twin", "twin"])
    table = compare_connectivity(make_fnc(), people(20), LEVELS, labels)
    figure = plot_connectivity(table, LEVELS, 0.05)
    ticks = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert ticks == ["a", "c", "b", "network-05", "network-06", "d"]
    for domain in ("VI", "SM", "DM", "other"):
        assert domain in texts(figure).split("\n")
    mean = table.set_index(["component", "component_2"])["mean_reference"]
    drawn = np.asarray(figure.axes[0].images[0].get_array())
    assert drawn[0, 2] == drawn[2, 0] == mean["network-01", "network-02"]
    assert drawn[1, 5] == mean["network-03", "network-04"]


def test_without_domains_nothing_moves():
    labels = named([None] * 6, [f"network-{i + 1:02d}" for i in range(6)])
    table = compare_connectivity(make_fnc(), people(20), LEVELS, labels)
    assert "domain" not in table
    ticks = [text.get_text() for text in plot_connectivity(table, LEVELS, 0.05).axes[0].get_yticklabels()]
    assert ticks == [f"network-{i + 1:02d}" for i in range(6)]


def test_the_picture_is_the_one_that_was_approved(same_picture):
    same_picture(plot_connectivity(compare_connectivity(make_fnc(), people(20), LEVELS), LEVELS, 0.05), "connectivity")


def test_the_picture_of_feature_vectors_is_the_one_that_was_approved(same_picture):
    table = compare_connectivity(make_features(), people(20), LEVELS)
    same_picture(plot_connectivity(table, LEVELS, 0.05), "connectivity_features")
