"""Spectra by further groupings: found in the participants table, exact, and without a trace in the training."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from training_maker import assert_same_weights, make_fold, make_samples, train

from gradspec.errors import ConfigError
from gradspec.training.groupings import Grouping, make_groupings


def participants(**columns):
    n = len(next(iter(columns.values())))
    return pd.DataFrame({"participant_id": [f"sub-{i:02d}" for i in range(n)], **columns})


def by(column, quantiles=None):
    return {"mine": {"column": column, "quantiles": quantiles}}


def test_values_are_sorted_and_every_run_is_labelled():
    table = participants(site=["B", "A", None, "C"])
    runs = np.array(["sub-03", "sub-00", "sub-00", "sub-01", "sub-02"])
    (grouping,) = make_groupings(table, runs, by("site"))
    assert grouping.levels == ("A", "B", "C") and grouping.labels.tolist() == [2, 1, 1, 0, -1]


def test_quantiles_are_of_participants():
    table = participants(motion=[0.9, 0.1, 0.5, 0.2, np.nan, 0.6, 0.4])
    (grouping,) = make_groupings(table, table["participant_id"].to_numpy(), by("motion", 3))
    assert grouping.levels == ("1of3", "2of3", "3of3")
    assert grouping.labels.tolist() == [2, 0, 1, 0, -1, 2, 1]


@pytest.mark.parametrize(
    ("values", "quantiles", "message"),
    [
        (["A", "A"], None, "has the values A; at least two"),
        ([None, None], None, "has the values n/a"),
        (["A", "pooled"], None, "none of them called 'pooled'"),
        ([1, 1, 1, 2], 3, "cannot be cut into 3 groups"),
        (["A", "B"], 2, "cannot be cut into 2 groups"),
    ],
)
def test_columns_that_make_no_groups_are_refused(values, quantiles, message):
    table = participants(mine=values)
    with pytest.raises(ConfigError, match=rf"training\.groupings\.mine: .*{message}"):
        make_groupings(table, table["participant_id"].to_numpy(), by("mine", quantiles))
    with pytest.raises(ConfigError, match="no column 'absent'"):
        make_groupings(table, table["participant_id"].to_numpy(), by("absent"))


@pytest.mark.parametrize("model", ["mlp", "lstm", "transformer"])
def test_the_grouping_that_is_learnt_comes_out_again(model):
    samples = make_samples(model, separation=1)
    same = Grouping("diagnosis", ("control", "patient"), samples.groups)
    trained = train(samples, make_fold(model), groupings=[same])
    regrouped = trained.groupings["diagnosis"]
    assert regrouped["group"].values.tolist() == ["control", "patient", "pooled"]
    assert regrouped.attrs["grouping"] == "diagnosis" and regrouped.attrs["model"] == model
    np.testing.assert_array_equal(regrouped["n"], trained.spectra["n"])
    for node in trained.spectra.subtree:
        if "gradient" in node.data_vars:
            expected, found = node["gradient"].values, regrouped[node.path]["gradient"].values
            width = min(expected.shape[-1], found.shape[-1])
            scale = np.nanmax(expected)
            np.testing.assert_allclose(found[..., :width], expected[..., :width], atol=1e-5 * scale, err_msg=node.path)


def test_spectra_by_another_grouping_are_those_of_the_gradients_of_its_samples():
    samples = make_samples("mlp", separation=1)
    labels = np.arange(24) // 2 % 3 - 1  # a third of the samples has no group
    fold = make_fold(epochs=1, batch_size=16)
    fold = replace(fold, hyperparameters={**fold.hyperparameters, "dropout": 0.0})
    trained = train(samples, fold, groupings=[Grouping("site", ("A", "B"), labels)])
    tree = trained.groupings["site"]
    # a batch is all that is learnt from, so that the first step is known
    assert tree["n"].values[0].tolist() == [*np.bincount(labels[8:] + 1, minlength=3)[1:], 16]
    for name, spectra in reference(samples, fold, labels).items():
        found = tree[name]["gradient"].values[0]
        for row, expected in zip(found, spectra, strict=True):
            row = np.nan_to_num(row)[: len(expected)]
            np.testing.assert_allclose(row, expected[: len(row)], atol=1e-6 * spectra[-1].max())


def reference(samples, fold, labels):
    """Singular values of the gradient of each group's share of the first loss, by backward passes of their own."""
    from gradspec.models.registry import build_model
    from gradspec.training.device import reproducible
    from gradspec.training.scaling import scale

    train_set = np.arange(24) >= 8
    with reproducible(fold.derive_seed("network"), torch.device("cpu")):
        model = build_model("mlp", (15,), fold.hyperparameters)
    values = torch.from_numpy(scale(samples, train_set)[0][8:])
    targets = torch.from_numpy(samples.groups[8:])
    spectra = {name: [] for name, parameter in model.named_parameters() if parameter.ndim == 2}
    for member in (labels[8:] == 0, labels[8:] == 1, np.full(16, True)):
        model.zero_grad()
        losses = torch.nn.functional.cross_entropy(model(values), targets, reduction="none")
        (losses * torch.from_numpy(member)).sum().div(16).backward()
        for name, parameter in model.named_parameters():
            if name in spectra:
                spectra[name].append(np.linalg.svd(parameter.grad.double().numpy(), compute_uv=False))
    return spectra


def test_further_groupings_leave_the_training_as_it_is():
    samples = make_samples("mlp", separation=1)
    sex = Grouping("sex", ("F", "M"), np.arange(24) // 2 % 2)
    plain, grouped = (train(samples, make_fold(groupings_every=2), groupings=each) for each in ((), (sex,)))
    for name, tensor in plain.weights.items():
        torch.testing.assert_close(tensor, grouped.weights[name], rtol=0, atol=1e-6)
    assert grouped.groupings["sex"]["step"].values.tolist() == [0, 2]
    site = Grouping("site", ("A", "B", "C"), np.arange(24) // 2 % 3)
    both = train(samples, make_fold(groupings_every=2), groupings=(sex, site)).groupings
    assert list(both) == ["sex", "site"] and both["site"]["group"].values.tolist() == ["A", "B", "C", "pooled"]
    xr.testing.assert_identical(both["sex"], grouped.groupings["sex"])
    assert_same_weights(plain.weights, train(samples, make_fold(groupings_every=9)).weights)
