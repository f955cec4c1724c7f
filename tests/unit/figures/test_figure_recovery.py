"""Picture of what was recovered of a simulated truth."""

import nibabel as nib
import numpy as np
import pytest
import xarray as xr
from figure_inputs import GRID, LEVELS, blobs, people, texts

from gradspec.figures.recovery import compare_with_truth, plot_recovery

N, K, T = 8, 4, 60
TRUE = blobs([(12, 16, 13), (8, 20, 13), (16, 10, 10), (10, 10, 18)])
PAIR = ("component", "component_2")


@pytest.fixture
def case():
    """Components are the true networks in another order, the first two with the other sign; one is not found."""
    rng = np.random.default_rng(3)
    networks, components = [f"network-{i + 1}" for i in range(K)], [f"component-{i + 1}" for i in range(K)]
    index, sign = np.array([2, 0, 1, -1]), np.array([-1, -1, 1, 0])
    population = np.stack([np.eye(K), np.eye(K)])
    population[1, 0, 1] = population[1, 1, 0] = 0.6
    design = xr.Dataset(
        {"connectivity": (("group", *PAIR), population)},
        coords={"group": LEVELS, "component": networks, "component_2": networks},
    )
    cohort = people(N)
    truth, courses, fnc = {}, rng.normal(size=(N, T, K)), np.zeros((N, K, K))
    for place, person in enumerate(cohort["participant_id"]):
        true = rng.multivariate_normal(np.zeros(K), population[place % 2], T)
        sample = np.corrcoef(true.T)
        truth[person] = xr.Dataset({"timecourses": (("time", "component"), true), "connectivity": (PAIR, sample)})
        for network in range(3):
            courses[place, :, index[network]] = sign[network] * true[:, network]
        z = np.corrcoef(courses[place].T)
        np.fill_diagonal(z, 0)
        fnc[place] = np.arctanh(z)
    found = np.zeros((*TRUE.shape[:3], K), np.float32)
    for network in range(3):
        found[..., index[network]] = sign[network] * TRUE.get_fdata()[..., network]
    coords = {"participant": cohort["participant_id"].to_numpy(), "component": components}
    timecourses = xr.Dataset({"timecourses": (("participant", "time", "component"), courses)}, coords=coords)
    connectivity = xr.Dataset({"fnc": (("participant", *PAIR), fnc)}, coords=coords)
    match = (index, sign, np.array([0.9, 0.8, 0.7, 0.0]))
    table = compare_with_truth(match, timecourses, connectivity, cohort, design, truth, LEVELS)
    return table, match, nib.Nifti1Image(found, GRID)


def test_a_perfect_recovery_is_seen_as_one_whatever_the_order_and_signs(case):
    table, _, _ = case
    courses = table[table["measure"] == "time course"]
    assert len(courses) == N * 3
    np.testing.assert_allclose(courses["correlation"].astype(float), 1)
    pairs = table[table["measure"] == "connectivity difference"]
    assert len(pairs) == 3
    np.testing.assert_allclose(pairs["recovered"].astype(float), pairs["true"].astype(float))
    assert pairs["planted"].tolist() == [True, False, False]
    assert pairs["true"].iloc[0] > 0.3


def test_a_network_that_is_not_found_has_no_values(case):
    table, _, _ = case
    maps = table[table["measure"] == "map"]
    assert maps["recovered_component"].tolist()[:3] == ["component-3", "component-1", "component-2"]
    assert maps[["recovered_component", "correlation"]].isna().all(axis=1).tolist() == [False, False, False, True]


def test_the_picture_shows_maps_side_by_side_and_three_summaries(case, template):
    table, match, maps = case
    figure = plot_recovery(table, TRUE, maps, match, template, LEVELS)
    assert len(figure.axes) == 2 * K + 3
    true, recovered = figure.axes[0].images[1].get_array(), figure.axes[1].images[1].get_array()
    np.testing.assert_allclose(true.filled(0), recovered.filled(0))
    written = texts(figure)
    assert figure.get_suptitle() == "Recovery of the simulated truth: 3 of 4 networks, n = 8"
    assert "not found" in written
    assert "Recovered patient − control (Fisher z)" in written
    assert "difference planted (1)" in written
    map_ax = figure.axes[-3]
    np.testing.assert_allclose([bar.get_width() for bar in map_ax.patches], [0.9, 0.8, 0.7, 0])


def test_volumes_without_a_value_are_left_out_of_the_correlation():
    cohort = people(2)
    course = np.arange(10.0)[:, np.newaxis]
    measured = np.stack([course, course])
    measured[0, 3] = np.nan
    measured[1] = 1.0
    truth = {
        person: xr.Dataset({"timecourses": (("time", "component"), course), "connectivity": (PAIR, np.eye(1))})
        for person in cohort["participant_id"]
    }
    coords = {"participant": cohort["participant_id"].to_numpy(), "component": ["c1"]}
    table = compare_with_truth(
        (np.array([0]), np.array([1]), np.array([1.0])),
        xr.Dataset({"timecourses": (("participant", "time", "component"), measured)}, coords=coords),
        xr.Dataset({"fnc": (("participant", *PAIR), np.zeros((2, 1, 1)))}, coords=coords),
        cohort,
        xr.Dataset(
            {"connectivity": (("group", *PAIR), np.ones((2, 1, 1)))}, coords={"group": LEVELS, "component": ["n1"]}
        ),
        truth,
        LEVELS,
    )
    first, second = table.loc[table["measure"] == "time course", "correlation"]
    assert first == pytest.approx(1)
    assert np.isnan(second)


def test_the_picture_is_the_one_that_was_approved(case, template, same_picture):
    table, match, maps = case
    same_picture(plot_recovery(table, TRUE, maps, match, template, LEVELS), "recovery")
