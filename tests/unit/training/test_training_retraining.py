"""Folds trained again under permuted groups: what is made anew, together or alone, and that a killed job goes on."""

import os
import signal
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from capture_processes import forkserver
from training_maker import LEVELS, make_fold, make_samples

import gradspec.training.fold as fold_module
import gradspec.training.folds as folds_module
import gradspec.training.retraining as retraining_module
from gradspec.training.fold import train_fold
from gradspec.training.retraining import arrange, retrain_fold
from gradspec.training.splits import get_fold, make_splits

SPLITTING = {"folds": 3, "split": "stratified", "site": None, "validation": 0, "equal_groups": True}
EPOCHS, CHECKPOINT_EVERY, N_PERMUTATIONS = 5, 2, 3
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
    """Train again in so few epochs that a job writes two checkpoints an arrangement."""
    fold = make_fold(model, **{"epochs": EPOCHS, "checkpoint_every": CHECKPOINT_EVERY, "record_every": 2} | changes)
    samples, participants = make_cohort(model)
    retrain_fold(samples, fold, draw(participants, fold), file)
    return file.read_bytes()


def retrain_and_die(file, n_epochs):
    """Train again, one after the other, in a process that is killed in one of the epochs."""
    calls = iter(range(n_epochs, 0, -1))

    def add(*arguments):
        if next(calls) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)

    real = fold_module.Progress.add
    with patch.object(fold_module.Progress, "add", add), ALONE:
        retrain(file)


def killed(file, n_epochs):
    process = forkserver().Process(target=retrain_and_die, args=(file, n_epochs))
    process.start()
    process.join(60)
    return process.exitcode == -signal.SIGKILL


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

    with patch.object(folds_module, "train_fold", train), ALONE:
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


def test_a_killed_job_ends_with_the_bytes_of_an_unbroken_one(tmp_path):
    with ALONE:
        unbroken = retrain(tmp_path / "a" / "permuted.nc")
    file = tmp_path / "b" / "permuted.nc"
    checkpoints = file.parent / "checkpoint_permuted"
    assert killed(file, 2 * EPOCHS + 4)  # in the fourth epoch of the second permutation
    assert sorted(path.parent.name for path in checkpoints.glob("*/finished")) == ["arrangement-0", "arrangement-1"]
    assert [path.parent.name for path in checkpoints.glob("*/state.pt")] == ["arrangement-2"]
    assert killed(file, EPOCHS - 2 + 3)  # two epochs need not be done again; in the third of the third
    assert len(list(checkpoints.glob("*/finished"))) == 3
    with patch.object(fold_module, "fit", wraps=fold_module.fit) as fit, ALONE:
        assert retrain(file) == unbroken
    assert [call.kwargs["epochs"] for call in fit.call_args_list] == [range(2, EPOCHS)]
    assert [path.name for path in file.parent.iterdir()] == ["permuted.nc"]


def test_a_stack_that_is_finished_is_not_trained_again(tmp_path):
    with patch.dict(retraining_module.TOGETHER, cpu=2):
        unbroken = retrain(tmp_path / "a" / "permuted.nc")
        file = tmp_path / "b" / "permuted.nc"
        real, calls = retraining_module.train_stacked, []

        def train_once(prepared, layers):
            calls.append(len(prepared))
            if len(calls) == 2:
                raise KeyboardInterrupt
            return real(prepared, layers)

        with patch.object(retraining_module, "train_stacked", train_once), pytest.raises(KeyboardInterrupt):
            retrain(file)
        with patch.object(retraining_module, "train_stacked", wraps=real) as stacked:
            assert retrain(file) == unbroken
        assert stacked.call_count == 1


def test_what_another_training_left_is_not_taken_up(tmp_path):
    file = tmp_path / "permuted.nc"
    assert killed(file, EPOCHS + 4)
    with ALONE:
        again = retrain(file, learning_rate=0.1)
        assert again == retrain(tmp_path / "fresh" / "permuted.nc", learning_rate=0.1)


def test_checkpoints_change_nothing(tmp_path):
    with ALONE:
        assert retrain(tmp_path / "a" / "x.nc") == retrain(tmp_path / "b" / "x.nc", checkpoint_every=0)
