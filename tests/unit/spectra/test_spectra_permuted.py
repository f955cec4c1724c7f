"""Features by further groupings, of permuted groups, and of alignment: means by hand, and their columns."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from spectra_maker import make_fold, write_folds

from gradspec.files import read_table, write_dataset, write_table
from gradspec.spectra.alignment import ALIGNMENT, ALIGNMENT_COLUMNS
from gradspec.spectra.features import effective_rank
from gradspec.spectra.groupings import GROUPING_COLUMNS, extract_by_grouping
from gradspec.spectra.merge import merge_folds
from gradspec.spectra.permuted import PERMUTED_COLUMNS, summarise_permuted
from gradspec.spectra.table import FEATURE_COLUMNS, extract_features
from gradspec.spectra.trajectories import summarise_trajectories


def stack(repeat, fold, n_arrangements, **attrs):
    """Arrangements in the form in which training writes them."""
    trees = [make_fold(repeat, 10 * fold + i, batches=(2, 2, 2, 2)) for i in range(n_arrangements)]
    nodes = {}
    for node in trees[0].subtree:
        parts = [tree[node.path].to_dataset(inherit=False) for tree in trees]
        data = xr.concat([part.drop_vars("epoch", errors="ignore") for part in parts], "run_index")
        nodes[node.path] = data.assign_attrs(parts[0].attrs)
    runs = {name: ("run_index", [value] * n_arrangements) for name, value in (("repeat", repeat), ("fold", fold))}
    runs["arrangement"] = ("run_index", range(n_arrangements))
    root = nodes["/"].assign(epoch=trees[0]["epoch"].variable).assign_coords(runs)
    nodes["/"] = root.drop_vars("group_loss").assign_attrs(attrs)
    return xr.DataTree.from_dict(nodes)


@pytest.fixture
def files(tmp_path):
    trees = [stack(0, fold, 3, by="regrouping", grouping=name) for name in ("sex", "site") for fold in (0, 1)]
    paths = [tmp_path / f"{i}.nc" for i in range(4)]
    for tree, path in zip(trees, paths, strict=True):
        write_dataset(tree, path)
    return paths, trees


def test_a_row_is_the_mean_over_the_window_and_the_runs(files):
    paths, trees = files
    table = summarise_permuted(paths, (0.5, 1.0), learnt="diagnosis")
    assert list(table.columns) == list(PERMUTED_COLUMNS) and (table["n_runs"] == 2).all()
    assert set(table["grouping"]) == {"sex", "site"} and sorted(table["permutation"].unique()) == [0, 1, 2]
    rows = table.set_index(["grouping", "permutation", "layer", "group"])
    for permutation in range(3):
        ranks = [effective_rank(tree["hidden.weight"]["gradient"].values[permutation, 4:, 1]) for tree in trees[:2]]
        found = rows.loc[("sex", permutation, "hidden.weight", "patient"), "effective_rank"]
        assert found == pytest.approx(np.mean(ranks), rel=1e-4)


def test_a_group_that_is_absent_from_a_run_is_missing(files):
    paths, trees = files
    trees[1]["n"].values[2, :, 0] = 0
    trees[1]["hidden.weight"]["gradient"].values[2, :, 0] = np.nan
    write_dataset(trees[1], paths[1])
    rows = summarise_permuted(paths, (0, 1), learnt="").set_index(["grouping", "permutation", "layer", "group"])
    assert np.isnan(rows.loc[("sex", 2, "hidden.weight", "control"), "effective_rank"])
    assert np.isfinite(rows.loc[("sex", 1, "hidden.weight", "control"), "effective_rank"])


def test_what_is_learnt_is_named_by_its_column(tmp_path):
    write_dataset(stack(0, 0, 2, by="retraining"), tmp_path / "a.nc")
    table = summarise_permuted([tmp_path / "a.nc"], (0, 1), learnt="diagnosis")
    assert set(table["grouping"]) == {"diagnosis"} and set(table["by"]) == {"retraining"}


def test_features_by_grouping_are_those_of_each_alone(tmp_path):
    folds = {
        name: write_folds(tmp_path / name, make_fold(0, i), make_fold(0, i + 2)) for i, name in enumerate(("a", "b"))
    }
    table = extract_by_grouping(folds)
    assert list(table.columns) == list(GROUPING_COLUMNS)
    for name, paths in folds.items():
        own = table[table["grouping"] == name].drop(columns="grouping").reset_index(drop=True)
        pd.testing.assert_frame_equal(own, extract_features(merge_folds(paths)))


def with_alignment(fold):
    rng = np.random.default_rng(0)
    for layer in ("hidden.weight", "attention.in_proj_weight/q", "output.weight"):
        for name in ALIGNMENT:
            values = rng.random((6, 3))
            values[1::2] = values[:, 2] = np.nan
            fold[layer][name] = xr.DataArray(values, dims=("step", "group"))
    return fold


def test_alignment_is_averaged_over_kept_steps_and_has_its_columns_where_it_was_taken(tmp_path):
    fold = with_alignment(make_fold(kinds=("gradient", "delta")))
    table = extract_features(merge_folds(write_folds(tmp_path, fold)))
    assert list(table.columns) == [*FEATURE_COLUMNS, *ALIGNMENT]
    rows = table.set_index(["layer", "kind", "epoch", "group"])
    for name in ALIGNMENT:
        expected = fold["output.weight"][name].values[2, 0]  # the only kept step of its epoch
        assert rows.loc[("output.weight", "gradient", 1, "control"), name] == pytest.approx(expected)
        assert rows[name].xs("delta", level="kind").isna().all()
        assert rows[name].xs("pooled", level="group").isna().all()
    write_table(table, tmp_path / "mlp.tsv", FEATURE_COLUMNS | ALIGNMENT_COLUMNS)
    assert list(read_table(tmp_path / "mlp.tsv").columns) == list(table.columns)
    assert set(ALIGNMENT) <= set(summarise_trajectories(table)["feature"])


def test_the_measures_of_the_table_are_those_of_the_recorder():
    capture = pytest.importorskip("gradspec.capture._alignment")
    assert tuple(ALIGNMENT) == capture.ALIGNMENTS
