"""Summaries of trajectories: each against an obvious loop, and what the table holds."""

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from running import ROOT
from spectra_maker import SHAPES, make_fold, write_folds

from gradspec.files import read_table, write_table
from gradspec.spectra.definitions import HEADING, describe_features
from gradspec.spectra.merge import merge_folds
from gradspec.spectra.table import extract_features
from gradspec.spectra.trajectories import SUMMARIES, TRAJECTORY_COLUMNS, summarise_trajectories

NAN = math.nan
EPOCHS = np.array([0.0, 1, 2, 3, 5, 6, 7, 8])


def mean(values):
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else NAN


def naive(name, values):
    """One summary of one trajectory, by the formula."""
    if name == "early_mean":
        return mean(values[:2])
    if name == "late_mean":
        return mean(values[-2:])
    points = [(epoch, value) for epoch, value in zip(EPOCHS, values, strict=True) if not math.isnan(value)]
    if not points:
        return NAN
    pieces = list(pairwise(points))
    (start, first), (end, last) = points[0], points[-1]
    if name == "area":
        if not pieces:
            return first
        return sum((right[1] + left[1]) / 2 * (right[0] - left[0]) for left, right in pieces) / (end - start)
    if not pieces:
        return NAN
    if name == "slope":
        return np.polyfit(*zip(*points, strict=True), 1)[0]
    if name == "time_to_half" and first != last:
        half = (first + last) / 2
        for (e0, y0), (e1, y1) in pieces:
            if (y1 - half) * (last - first) >= 0:
                return e0 + (half - y0) / (y1 - y0) * (e1 - e0) - start
    return NAN


CASES = {
    "falling": [8.0, 4, 3, 2, 1.5, 1.2, 1, 1],
    "rising": [1.0, 2, 3, 4, 5, 6, 7, 8],
    "over and back": [0.0, 9, 0, 0, 2, 3, 1, 2],
    "half on an epoch": [0.0, 1, 2, 2, 2, 3, 4, 4],
    "constant": [3.0] * 8,
    "there and back": [3.0, 1, 5, 1, 5, 1, 5, 3],
    "gap": [1.0, NAN, NAN, 2, 3, NAN, 4, 5],
    "late start": [NAN, NAN, NAN, 2, 3, 4, 5, 6],
    "early end": [9.0, 5, 2, 1, NAN, NAN, NAN, NAN],
    "two values": [NAN, 1, NAN, NAN, NAN, 3, NAN, NAN],
    "one value": [NAN, NAN, NAN, 4, NAN, NAN, NAN, NAN],
    "undefined": [NAN] * 8,
}
trajectories = hnp.arrays(float, len(EPOCHS), elements=st.floats(-1e3, 1e3).map(lambda value: round(value, 3)))


@pytest.mark.parametrize("name", SUMMARIES)
def test_summary_follows_its_formula(name):
    found = SUMMARIES[name].function(np.array(list(CASES.values())), EPOCHS)
    expected = [naive(name, values) for values in CASES.values()]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@given(trajectories)
def test_summaries_keep_their_bounds(values):
    found = {name: float(definition.function(values[None], EPOCHS)[0]) for name, definition in SUMMARIES.items()}
    for name in ("area", "early_mean", "late_mean"):
        assert values.min() - 1e-9 <= found[name] <= values.max() + 1e-9
    if values[0] != values[-1]:
        assert 0 < found["time_to_half"] < EPOCHS[-1]
    else:
        assert math.isnan(found["time_to_half"])


@given(trajectories, st.floats(0.1, 10), st.floats(-10, 10))
def test_summaries_follow_a_change_of_unit_and_origin(values, factor, offset):
    for name, definition in SUMMARIES.items():
        if name == "time_to_half":
            continue
        expected = factor * definition.function(values[None], EPOCHS) + (offset if name != "slope" else 0)
        found = definition.function(factor * values[None] + offset, EPOCHS)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-7)


def test_a_single_epoch_is_early_and_late():
    values, epochs = np.array([[2.0]]), np.array([4.0])
    found = {name: definition.function(values, epochs)[0] for name, definition in SUMMARIES.items()}
    expected = {"area": 2, "slope": NAN, "early_mean": 2, "late_mean": 2, "time_to_half": NAN}
    assert found == pytest.approx(expected, nan_ok=True)


def test_every_run_layer_group_and_feature_has_a_row(tmp_path):
    features = extract_features(merge_folds(write_folds(tmp_path, make_fold(0, 0), make_fold(0, 1))))
    table = summarise_trajectories(features)
    keys = ["repeat", "fold", "layer", "kind", "group", "feature"]
    assert list(table.columns) == list(TRAJECTORY_COLUMNS)
    assert len(table) == len(table[keys].drop_duplicates()) == 2 * len(SHAPES) * 3 * 16
    assert list(table["layer"].unique()) == list(SHAPES)
    row = table.set_index(keys).loc[(0, 1, "hidden.weight", "gradient", "patient", "stable_rank")]
    chosen = (features["fold"] == 1) & (features["layer"] == "hidden.weight") & (features["group"] == "patient")
    first, second, third = features.loc[chosen, "stable_rank"]
    assert row["n_epochs"] == 3
    assert row["area"] == pytest.approx((first / 2 + second + third / 2) / 2)
    assert row["slope"] == pytest.approx((third - first) / 2)
    assert (row["early_mean"], row["late_mean"]) == pytest.approx((first, third))
    write_table(table, tmp_path / "mlp_trajectories.tsv", TRAJECTORY_COLUMNS)
    pd.testing.assert_frame_equal(read_table(tmp_path / "mlp_trajectories.tsv"), table, check_dtype=False, rtol=1e-8)


def test_the_page_that_defines_the_features_is_up_to_date():
    page = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    assert HEADING + page.partition(HEADING)[2] == describe_features(), "run `make docs`"


def test_a_change_by_rounding_has_no_half():
    values = 0.1 + 1e-9 * np.random.default_rng(0).normal(size=(1, len(EPOCHS)))
    assert np.isnan(SUMMARIES["time_to_half"].function(values, EPOCHS)).all()
