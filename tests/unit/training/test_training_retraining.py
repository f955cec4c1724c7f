"""Folds trained again under permuted groups: what is made anew, together or alone, and that a killed job goes on."""

from contextlib import nullcontext
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from training_maker import LEVELS, make_fold, make_samples

import gradspec.training.retraining as retraining_module
from gradspec.training.fold import train_fold
from gradspec.training.retraining import arrange, retrain_fold
from gradspec.training.splits import get_fold, make_splits

SPLITTING = {"folds": 3, "split": "stratified", "site": None, "validation": 0, "equal_groups": True}
N_PERMUTATIONS = 3
ALONE = patch.object(retraining_module, "try_stack", lambda _: None)


def make_cohort(model="mlp"):
    samples = make_samples(model, separation=1)
    return samples, pd.DataFrame(
        {"participant_id": samples.participants, "group": [LEVELS[group] for group in samples.groups]}
    )


def draw(participants, fold, n_permutations=N_PERMUTATIONS, **splitting):
    return arrange(
        participants,
        LEVELS,
        n_permutations=n_permutations,
        repeat=0,
        seed=fold.seed,
        splitting=SPLITTING | splitting,
    )


def retrain(file, model="mlp", **changes):
    """Train again in a few epochs."""
    fold = make_fold(model, **{"epochs": 3, "record_every": 2} | changes)
    samples, participants = make_cohort(model)
    retrain_fold(samples, fold, draw(participants, fold), file)
    return file.read_bytes()


def spectra_of(tree):
    return {node.path: node["gradient"].values for node in tree.subtree if "gradient" in node.data_vars}


def test_it_starts_with_the_labels_as_they_are_and_makes_everything_anew(tmp_path):
    (samples, participants), fold = make_cohort(), make_fold(record_every=2, fold=1)
    with ALONE:
        retrain_fold(samples, fold, draw(participants, fold), tmp_path / "permuted.nc")
    stacked = xr.load_datatree(tmp_path / "permuted.nc", engine="h5netcdf")
    assert stacked.attrs["by"] == "retraining" and stacked["fold"].values.tolist() == [1] * (1 + N_PERMUTATIONS)
    assert stacked["arrangement"].values.tolist() == list(range(1 + N_PERMUTATIONS))
    sides = get_fold(make_splits(participants, repeats=1, seed=fold.seed, **SPLITTING), 0, 1)
    plain = train_fold(samples, sides, replace(fold, record_every=1)).spectra
    kept = plain["step"].values % 2 == 0
    np.testing.assert_array_equal(stacked["epoch"].values, plain["epoch"].values[kept])
    np.testing.assert_array_equal(stacked["group_loss"].values[0], plain["group_loss"].values[kept])
    for path, spectra in spectra_of(stacked).items():
        np.testing.assert_array_equal(spectra[0], plain[path]["gradient"].values[kept])
        assert not np.isclose(spectra[0], spectra[1]).all() and not np.isclose(spectra[1], spectra[2]).all()


@pytest.mark.parametrize("model", ["mlp", "mean-mlp", "cnn1d"])
def test_together_networks_have_the_spectra_that_they_have_alone(model, tmp_path):
    retrain(tmp_path / "together.nc", model)
    with ALONE:
        retrain(tmp_path / "alone.nc", model)
    together, alone = (xr.load_datatree(tmp_path / f"{name}.nc", engine="h5netcdf") for name in ("together", "alone"))
    np.testing.assert_array_equal(together["n"].values, alone["n"].values)
    np.testing.assert_allclose(together["group_loss"].values, alone["group_loss"].values, rtol=1e-4)
    for path, spectra in spectra_of(together).items():
        of_groups = spectra_of(alone)[path][..., :2, : spectra.shape[-1]]
        np.testing.assert_allclose(spectra[..., :2, :], of_groups, atol=1e-4 * np.nanmax(of_groups), rtol=0)
        assert np.isnan(spectra[..., 2, :]).all()


def test_folds_are_permuted_alike_and_sites_keep_their_groups(tmp_path):
    samples, participants = make_cohort()
    participants["site"] = np.where(np.arange(24) < 8, "a", "b")
    seen = {0: [], 1: []}

    def train(permuted, sides, fold, **options):
        seen[fold.fold].append(permuted.groups)
        return train_fold(permuted, sides, fold, **options)

    with patch.object(retraining_module, "train_fold", train), ALONE:
        for number in seen:
            fold = make_fold(fold=number, epochs=1)
            drawn = draw(participants, fold, 5, split="site-stratified", site="site")
            retrain_fold(samples, fold, drawn, tmp_path / f"{number}.nc")
    np.testing.assert_array_equal(seen[0], seen[1])
    arrangements = np.array(seen[0])
    assert len(np.unique(arrangements, axis=0)) == 6
    assert set(arrangements[:, :8].sum(axis=1)) == {4} and set(arrangements[:, 8:].sum(axis=1)) == {8}


def test_some_arrangements_are_those_of_all():
    _, participants = make_cohort()
    options = {"n_permutations": 4, "repeat": 0, "seed": 7, "splitting": SPLITTING}
    every, some = (arrange(participants, LEVELS, numbers=numbers, **options) for numbers in (None, [2, 4]))
    assert [each.number for each in some] == [2, 4]
    for each in some:
        assert each.participants.equals(every[each.number].participants) and each.sides == every[each.number].sides
    assert (every[0].participants["group"] == participants.sort_values("participant_id")["group"].to_numpy()).all()


@pytest.mark.parametrize("together", [True, False])
def test_what_a_killed_job_had_finished_is_not_trained_again(together, tmp_path):
    """Parts of two arrangements: the second is interrupted; what another training left is not taken up."""
    file, seen, real = tmp_path / "b" / "permuted.nc", [], retraining_module._train

    def train(trainings, layers):
        seen.append((len(trainings), layers is not None))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return real(trainings, layers)

    of_two = patch.dict(retraining_module.TOGETHER, cpu=2), patch.object(retraining_module, "_ALONE", 2)
    with of_two[0], of_two[1], nullcontext() if together else ALONE:
        unbroken = retrain(tmp_path / "a" / "permuted.nc")
        with patch.object(retraining_module, "_train", train), pytest.raises(KeyboardInterrupt):
            retrain(file)
        assert seen == [(2, together), (2, together)]
        checkpoints = file.parent / "checkpoint_permuted"
        assert [path.parent.name for path in checkpoints.glob("*/finished")] == ["arrangements-0-1"]
        with patch.object(retraining_module, "_train", wraps=real) as again:
            assert retrain(file) == unbroken
        assert again.call_count == 1 and [path.name for path in file.parent.iterdir()] == ["permuted.nc"]
        seen[:] = []
        with patch.object(retraining_module, "_train", train), pytest.raises(KeyboardInterrupt):
            retrain(file)
        with patch.object(retraining_module, "_train", wraps=real) as again:
            retrain(file, learning_rate=0.1)
        assert again.call_count == 2
