"""The table of features: its rows, the means over an epoch, and groups of unequal size."""

import numpy as np
import pandas as pd
import pytest
from spectra_maker import SHAPES, make_fold, write_folds

from gradspec.config import load_schema
from gradspec.files import read_json, read_table, write_table
from gradspec.spectra.features import FEATURES
from gradspec.spectra.merge import merge_folds
from gradspec.spectra.table import FEATURE_COLUMNS, extract_features, per_sample_scale


@pytest.fixture
def table_of(tmp_path):
    return lambda *folds: extract_features(merge_folds(write_folds(tmp_path, *folds)))


def test_every_run_layer_epoch_and_group_has_a_row(table_of):
    table = table_of(make_fold(0, 0), make_fold(0, 1))
    keys = ["repeat", "fold", "layer", "kind", "epoch", "group"]
    assert list(table.columns) == list(FEATURE_COLUMNS)
    assert len(table) == len(table[keys].drop_duplicates()) == 2 * len(SHAPES) * 3 * 3
    assert list(table["layer"].unique()) == list(SHAPES)
    assert table["fold"].is_monotonic_increasing


def test_a_row_is_the_mean_over_the_steps_of_its_epoch(table_of):
    fold = make_fold(batches=(3, 2))
    table = table_of(fold).set_index(["layer", "epoch", "group"])
    steps = fold["hidden.weight"]["gradient"].values[3:5, 1]
    for name, definition in FEATURES.items():
        values = [definition.function(spectrum[~np.isnan(spectrum)]) for spectrum in steps]
        factor = 2 if definition.is_norm else 1  # half of the samples are of this group
        expected = pytest.approx(factor * np.mean(values), nan_ok=True)  # four values have no power law
        assert table.loc[("hidden.weight", 1, "patient"), name] == expected


def test_a_tail_of_rounding_is_zero_and_the_floor_of_the_logarithm(table_of):
    fold = make_fold(batches=(3,))
    spectra = fold["hidden.weight"]["gradient"].values
    smallest = np.isfinite(spectra).sum(axis=-1, keepdims=True) - 1
    np.put_along_axis(spectra, smallest, 1e-12, axis=-1)
    row = table_of(fold).set_index(["layer", "epoch", "group"]).loc[("hidden.weight", 0, "patient")]
    assert row["numerical_rank"] == smallest[0, 1, 0]
    floor = max(SHAPES["hidden.weight"]) * 2.0**-23
    assert row["log_condition_number"] == pytest.approx(-np.log10(floor))
    assert row["condition_number"] < 1 / floor


def test_padded_steps_change_nothing(table_of, tmp_path):
    short = make_fold(0, 1, batches=(2, 3))
    alone = extract_features(merge_folds(write_folds(tmp_path / "alone", short)))
    together = table_of(make_fold(0, 0, batches=(3, 3)), short)
    together = together[together["fold"] == 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, together)


def test_norms_over_the_loss_are_those_of_the_gradient_of_its_logarithm(table_of):
    fold = make_fold(batches=(2,))
    rows = table_of(fold).set_index(["layer", "group"])
    for i, group in enumerate(("control", "patient", "pooled")):
        spectra = fold["hidden.weight"]["gradient"].values[:, i]
        expected = np.mean(np.nansum(spectra, axis=-1) * (2 if i < 2 else 1) / fold["group_loss"].values[:, i])
        assert rows.loc[("hidden.weight", group), "nuclear_norm_per_loss"] == pytest.approx(expected)


def test_a_summed_loss_counts_as_its_mean(table_of):
    fold = make_fold(batches=(1,), loss_reduction="sum")
    row = table_of(fold).set_index(["layer", "group"]).loc[("hidden.weight", "control")]
    per_sample = fold["group_loss"].values[0, 0] / 4
    assert row["spectral_norm_per_loss"] == pytest.approx(row["spectral_norm"] / per_sample)


def test_norms_over_the_loss_are_missing_where_they_have_no_meaning(table_of):
    fold = make_fold(batches=(1,), kinds=("gradient", "activation", "delta"))
    fold["group_loss"][0, 0] = 0
    table = table_of(fold).set_index(["kind", "group"])
    assert table.loc[[("gradient", "control"), ("delta", "control")], "spectral_norm_per_loss"].isna().all()
    assert table.loc["activation", "spectral_norm_per_loss"].isna().all()
    assert table.loc[[("gradient", "patient"), ("delta", "patient")], "spectral_norm_per_loss"].notna().all()


def test_spectra_without_a_loss_have_no_norms_over_it(table_of):
    fold = make_fold()
    del fold["group_loss"]
    assert table_of(fold)["frobenius_norm_per_loss"].isna().all()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_norms_do_not_depend_on_the_size_of_a_group(reduction):
    """Copies of the same sample: the gradient of the mean is that of one sample, however many there are."""
    rng = np.random.default_rng(0)
    h, delta = rng.normal(size=5), rng.normal(size=3)
    n = np.array([2, 6, 8])
    weight = 1 / n[-1] if reduction == "mean" else 1.0
    matrices = {
        "gradient": [size * weight * np.outer(delta, h) for size in n],
        "activation": [np.tile(h, (size, 1)) for size in n],
        "delta": [weight * np.tile(delta, (size, 1)) for size in n],
    }
    one = {"gradient": np.outer(delta, h), "activation": h[None], "delta": delta[None]}
    for kind, parts in matrices.items():
        norms = np.array([np.linalg.norm(part, 2) for part in parts]) * per_sample_scale(n, kind, reduction)
        np.testing.assert_allclose(norms, np.linalg.norm(one[kind], 2), rtol=1e-12)


def test_pooled_norm_of_a_mean_loss_stays_as_recorded():
    assert per_sample_scale(np.array([3, 5, 8]), "gradient", "mean")[-1] == 1


def test_a_group_without_samples_is_missing(table_of):
    table = table_of(make_fold(counts=(0, 4)))
    absent = table[table["group"] == "control"]
    assert absent[list(FEATURES)].isna().all(axis=None)
    assert (absent["n"] == 0).all()
    present = table[(table["group"] == "patient") & (table["layer"] == "hidden.weight")][list(FEATURES)]
    assert present.drop(columns=["power_law_exponent", "power_law_distance"]).notna().all(axis=None)


def test_every_feature_can_be_tested_and_by_default_the_same_few_are():
    features = load_schema()["properties"]["stats"]["properties"]["features"]
    keys = ["model", "repeat", "fold", "layer", "kind", "epoch", "group", "n"]
    assert sorted(features["items"]["enum"]) == sorted(set(FEATURE_COLUMNS) - set(keys))
    assert len(features["default"]) == 6  # one more makes the correction of all stricter


def test_table_and_sidecar_survive_writing(table_of, tmp_path):
    table = table_of(make_fold(kinds=("gradient", "activation", "delta")))
    write_table(table, tmp_path / "mlp.tsv", FEATURE_COLUMNS)
    pd.testing.assert_frame_equal(read_table(tmp_path / "mlp.tsv"), table, check_dtype=False, rtol=1e-8)
    sidecar = read_json(tmp_path / "mlp.json")
    for name, definition in FEATURES.items():
        assert definition.formula in sidecar[name]["Description"] and "2^-23" in sidecar[name]["Description"]
        assert (sidecar[name]["Source"], sidecar[name]["Units"]) == (definition.source, definition.unit)
        assert definition.formula and definition.source


def test_real_recordings_are_read(tmp_path):
    """What the recorder writes is what is read here: norms of single layers against autograd, group by group."""
    torch = pytest.importorskip("torch")
    from gradspec.capture import SpectraRecorder
    from gradspec.files import write_dataset

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(9, 7), torch.nn.Tanh(), torch.nn.Linear(7, 2))
    x, group = torch.randn(8, 9), torch.tensor([0, 0, 0, 1, 1, 1, 1, 1])
    recorder = SpectraRecorder(model, groups=["control", "patient"], kinds=["gradient", "activation", "delta"])
    with recorder.step(group, epoch=0) as step:
        loss = torch.nn.functional.cross_entropy(model(x), group)
        loss.backward()
        step.record(loss=loss.item())
    tree = recorder.spectra()
    tree.attrs.update(model="mlp", repeat=0, fold=0, seed=1, loss_reduction="mean")
    write_dataset(tree, tmp_path / "spectra.nc")
    table = extract_features(merge_folds([tmp_path / "spectra.nc"])).set_index(["layer", "kind", "group"])
    for label, name in enumerate(["control", "patient"]):
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(x[group == label]), group[group == label]).backward()
        for layer in ("0.weight", "2.weight"):
            expected = torch.linalg.matrix_norm(model.get_parameter(layer).grad, "nuc").item()
            assert table.loc[(layer, "gradient", name), "nuclear_norm"] == pytest.approx(expected, rel=1e-5)
    assert table.loc[("2.weight", "gradient", "pooled"), "effective_rank"] == 1  # two classes: rows p − y and y − p
