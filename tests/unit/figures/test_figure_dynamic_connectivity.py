"""States of dynamic connectivity."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from figure_inputs import LEVELS, people, texts

from gradspec.figures.dynamic_connectivity import COLUMNS, describe_states, plot_dynamic_connectivity


@pytest.fixture
def dfnc():
    rng = np.random.default_rng(0)
    first, second = np.triu_indices(4, 1)
    names = np.array(["c1", "c2", "c3", "c4"])
    occupancy = rng.dirichlet(np.ones(3), 10)
    dwell = np.where(occupancy > 0.1, 20 * occupancy, np.nan)
    who = [*people(9)["participant_id"], "sub-01"]  # the first one has two runs
    return xr.Dataset(
        {
            "centres": (("state_index", "pair"), rng.normal(0, 0.4, (3, 6))),
            "occupancy": (("participant", "state_index"), occupancy),
            "dwell_time": (("participant", "state_index"), dwell),
        },
        coords={
            "participant": who,
            "pair_component": ("pair", names[first]),
            "pair_component_2": ("pair", names[second]),
        },
    )


@pytest.fixture
def curve():
    return pd.DataFrame(
        {
            "n_states": [2, 3, 4],
            "inertia": [10.0, 6.0, 5.0],
            "silhouette": [0.2, 0.3, 0.25],
            "elbow": [False, True, False],
            "chosen": [False, True, False],
        }
    )


def test_the_table_holds_all_that_is_drawn_and_runs_of_a_person_are_averaged(dfnc, curve):
    table = describe_states(dfnc, curve, people(9))
    assert table.columns.tolist() == list(COLUMNS)
    counts = table["measure"].value_counts()
    assert counts.to_dict() == {"occupancy": 27, "dwell time": 27, "centre": 18, "inertia": 3, "silhouette": 3}
    occupancy = table[table["measure"] == "occupancy"].set_index(["participant_id", "state"])["value"]
    np.testing.assert_allclose(occupancy["sub-01", 2], dfnc["occupancy"].values[[0, 9], 1].mean())
    np.testing.assert_allclose(occupancy["sub-02", 3], dfnc["occupancy"].values[1, 2])


def test_every_state_has_a_matrix_and_every_group_its_dots(dfnc, curve):
    labels = pd.DataFrame(
        {"component": ["c1", "c2", "c3", "c4"], "label": list("abcd"), "domain": ["VI", "SM", "VI", "SM"]}
    )
    figure = plot_dynamic_connectivity(describe_states(dfnc, curve, people(9), labels), LEVELS)
    written = texts(figure)
    for text in (
        "State 1",
        "State 3",
        "Share of windows",
        "Mean stay (s)",
        "Mean silhouette",
        "Correlation (Fisher z)",
    ):
        assert text in written
    matrices = [np.asarray(ax.images[0].get_array()) for ax in figure.axes if ax.images]
    centres = dfnc["centres"].values
    for matrix, centre in zip(matrices, centres, strict=False):
        np.testing.assert_array_equal(matrix, matrix.T)
        assert matrix[0, 1] == centre[1]  # a and c, of one domain
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["a", "c", "b", "d"]


def test_a_state_that_a_group_never_visits_is_left_empty(dfnc, curve):
    dfnc["dwell_time"][:, 0] = np.nan
    figure = plot_dynamic_connectivity(describe_states(dfnc, curve, people(9)), LEVELS)
    assert figure is not None


def test_the_picture_is_the_one_that_was_approved(dfnc, curve, same_picture):
    figure = plot_dynamic_connectivity(describe_states(dfnc, curve, people(9)), LEVELS)
    same_picture(figure, "dynamic_connectivity")
