"""Folds in any order become one file; folds that do not belong together are refused by name."""

import numpy as np
import pytest
import xarray as xr
from spectra_maker import make_fold, write_folds

from gradspec.errors import ConfigError
from gradspec.files import write_dataset
from gradspec.spectra.file import iterate_layers, open_spectra
from gradspec.spectra.merge import merge_folds


def test_runs_are_ordered_by_repeat_and_fold_whatever_the_order_of_files(tmp_path):
    runs = [(1, 0), (0, 1), (1, 1), (0, 0)]
    paths = write_folds(tmp_path, *(make_fold(*run) for run in runs))
    merged, again = merge_folds(paths), merge_folds(paths[::-1])
    assert list(zip(merged["repeat"].values, merged["fold"].values, strict=True)) == sorted(runs)
    assert merged["seed"].values.tolist() == [100, 101, 100, 101]
    xr.testing.assert_identical(merged, again)


def test_values_of_equal_folds_are_stacked_untouched(tmp_path):
    folds = [make_fold(0, 0, kinds=("gradient", "delta")), make_fold(0, 1, kinds=("gradient", "delta"))]
    merged = merge_folds(write_folds(tmp_path, *folds))
    assert [name for name, _ in iterate_layers(merged)] == [name for name, _ in iterate_layers(folds[0])]
    for layer, spectra in iterate_layers(merged):
        for kind in ("gradient", "delta"):
            assert spectra[kind].dims == ("run_index", "step", "group", "index")
            np.testing.assert_array_equal(spectra[kind], [fold[layer][kind] for fold in folds])
    for name in ("n", "loss", "group_loss"):
        np.testing.assert_array_equal(merged[name], [fold[name] for fold in folds])
    np.testing.assert_array_equal(merged["epoch"], folds[0]["epoch"])
    assert merged.attrs == {"model": "mlp", "loss_reduction": "mean", "group_definition": "rows"}


def test_a_fold_with_fewer_batches_is_padded_within_its_epochs(tmp_path):
    long, short = make_fold(0, 0, batches=(3, 3)), make_fold(0, 1, batches=(2, 3))
    merged = merge_folds(write_folds(tmp_path, long, short))
    assert merged["epoch"].values.tolist() == [0, 0, 0, 1, 1, 1]
    assert merged["n"].values[1, :, -1].tolist() == [8, 8, 0, 8, 8, 8]
    gradient = merged["output.weight"]["gradient"].values[1]
    assert np.isnan(gradient[2]).all() and np.isnan(merged["loss"].values[1, 2])
    np.testing.assert_array_equal(gradient[[0, 1, 3, 4, 5]], short["output.weight"]["gradient"])


def test_a_fold_with_smaller_batches_has_fewer_singular_values(tmp_path):
    large, small = make_fold(0, 0, counts=(4, 4)), make_fold(0, 1, counts=(2, 3))
    merged = merge_folds(write_folds(tmp_path, large, small))
    gradient = merged["hidden.weight"]["gradient"].values
    assert gradient.shape[-1] == 8
    np.testing.assert_array_equal(gradient[1, ..., :5], small["hidden.weight"]["gradient"])
    assert np.isnan(gradient[1, ..., 5:]).all()


def test_merged_file_can_be_written_and_opened(tmp_path):
    merged = merge_folds(write_folds(tmp_path, make_fold(0, 0), make_fold(0, 1)))
    write_dataset(merged, tmp_path / "merged.nc")
    with open_spectra(tmp_path / "merged.nc") as opened:
        xr.testing.assert_equal(opened.load(), merged)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"model": "lstm"}, "'mlp' against 'lstm'"),
        ({"groups": ("control", "case", "pooled")}, "patient against case"),
        ({"shapes": {"hidden.weight": (12, 20)}}, "attention.in_proj_weight/q, output.weight against nothing"),
        ({"shapes": {"output.weight": (2, 12), "hidden.weight": (12, 20)}}, "layers differ"),
        ({"kinds": ("gradient", "delta")}, "gradient, delta"),
        ({"loss_reduction": "sum"}, "'mean' against 'sum'"),
    ],
)
def test_folds_that_do_not_agree_are_named(tmp_path, other, words):
    paths = write_folds(tmp_path, make_fold(0, 0), make_fold(0, 1, **other))
    with pytest.raises(ConfigError) as error:
        merge_folds(paths)
    assert words in str(error.value)
    assert all(str(path) in str(error.value) for path in paths)


def test_the_same_fold_twice_is_refused(tmp_path):
    paths = write_folds(tmp_path, make_fold(1, 2), make_fold(1, 2))
    with pytest.raises(ConfigError, match="both repeat 1, fold 2"):
        merge_folds(paths)


def test_a_truncated_file_is_named(tmp_path):
    (path,) = write_folds(tmp_path, make_fold())
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ConfigError, match=r"spectra\.nc: cannot be read as NetCDF"):
        open_spectra(path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda tree: tree.attrs.pop("loss_reduction"), "lacks attribute 'loss_reduction'"),
        (lambda tree: tree.attrs.update(loss_reduction="none"), "loss_reduction is 'none'"),
        (lambda tree: tree["hidden.weight"].attrs.pop("shape"), "layer hidden.weight lacks the attribute 'shape'"),
    ],
)
def test_a_file_that_lacks_something_is_refused(tmp_path, spoil, words):
    tree = make_fold()
    spoil(tree)
    (path,) = write_folds(tmp_path, tree)
    with pytest.raises(ConfigError, match=words):
        open_spectra(path)


def test_merged_spectra_are_not_merged_again(tmp_path):
    write_dataset(merge_folds(write_folds(tmp_path, make_fold())), tmp_path / "merged.nc")
    with pytest.raises(ConfigError, match="not the spectra of one fold"):
        merge_folds([tmp_path / "merged.nc"])
