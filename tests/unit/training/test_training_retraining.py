"""A fold trained again under permuted groups: what it makes anew, and that a killed job goes on to the same bytes."""

import os
import signal
from unittest.mock import patch

import numpy as np
import pandas as pd
import xarray as xr
from capture_processes import forkserver
from training_maker import LEVELS, make_fold, make_samples

import gradspec.training.fold as fold_module
import gradspec.training.folds as folds_module
from gradspec.training.fold import train_fold
from gradspec.training.retraining import retrain_fold
from gradspec.training.splits import get_fold, make_splits

SPLITTING = {"folds": 3, "repeats": 1, "split": "stratified", "site": None, "validation": 0, "equal_groups": True}
EPOCHS, CHECKPOINT_EVERY, N_PERMUTATIONS = 5, 2, 3
EVALUATIONS = EPOCHS + 1  # of an arrangement: after every epoch, and of the network that is kept


def make_cohort():
    samples = make_samples("mlp", separation=1)
    return samples, pd.DataFrame(
        {"participant_id": samples.participants, "group": [LEVELS[group] for group in samples.groups]}
    )


def retrain(file, **changes):
    """Train again in so few epochs that a job writes two checkpoints an arrangement."""
    options = {"epochs": EPOCHS, "checkpoint_every": CHECKPOINT_EVERY, "groupings_every": 2, "fold": 1, **changes}
    retrain_fold(*make_cohort(), make_fold(**options), n_permutations=N_PERMUTATIONS, splitting=SPLITTING, file=file)
    return file.read_bytes()


def retrain_and_die(file, n_evaluations):
    """Train again in a process that is killed in one of the evaluations."""
    calls = iter(range(n_evaluations, 0, -1))

    def predict(*arguments):
        if next(calls) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)

    real = fold_module.predict
    with patch.object(fold_module, "predict", predict):
        retrain(file)


def killed(file, n_evaluations):
    process = forkserver().Process(target=retrain_and_die, args=(file, n_evaluations))
    process.start()
    process.join(60)
    return process.exitcode == -signal.SIGKILL


def test_it_starts_with_the_labels_as_they_are_and_makes_everything_anew(tmp_path):
    (samples, participants), fold = make_cohort(), make_fold(groupings_every=2, fold=1)
    options = {"n_permutations": N_PERMUTATIONS, "splitting": SPLITTING, "file": tmp_path / "spectra_permuted.nc"}
    retrain_fold(samples, participants, fold, **options)
    stacked = xr.load_datatree(options["file"], engine="h5netcdf")
    assert stacked.attrs["by"] == "retraining" and stacked["fold"].values.tolist() == [1] * (1 + N_PERMUTATIONS)
    sides = get_fold(make_splits(participants, seed=fold.seed, **SPLITTING), 0, 1)
    plain = train_fold(samples, sides, fold).spectra
    kept = plain["step"].values % 2 == 0
    np.testing.assert_array_equal(stacked["epoch"].values, plain["epoch"].values[kept])
    np.testing.assert_array_equal(stacked["group_loss"].values[0], plain["group_loss"].values[kept])
    first = next(node for node in plain.subtree if "gradient" in node.data_vars)
    spectra = stacked[first.path]["gradient"].values
    np.testing.assert_array_equal(spectra[0], first["gradient"].values[kept])
    assert not np.isclose(spectra[0], spectra[1]).all() and not np.isclose(spectra[1], spectra[2]).all()


def test_folds_are_permuted_alike_and_sites_keep_their_groups(tmp_path):
    samples, participants = make_cohort()
    participants["site"] = np.where(np.arange(24) < 8, "a", "b")
    splitting = {**SPLITTING, "split": "site-stratified", "site": "site"}
    seen = {0: [], 1: []}

    def train(permuted, sides, fold, **options):
        seen[fold.fold].append(permuted.groups)
        return train_fold(permuted, sides, fold, **options)

    with patch.object(folds_module, "train_fold", train):
        for number in seen:
            fold, file = make_fold(fold=number, epochs=1), tmp_path / f"{number}.nc"
            retrain_fold(samples, participants, fold, n_permutations=5, splitting=splitting, file=file)
    np.testing.assert_array_equal(seen[0], seen[1])
    arrangements = np.array(seen[0])
    assert len(np.unique(arrangements, axis=0)) == 6
    assert set(arrangements[:, :8].sum(axis=1)) == {4} and set(arrangements[:, 8:].sum(axis=1)) == {8}


def test_a_killed_job_ends_with_the_bytes_of_an_unbroken_one(tmp_path):
    unbroken = retrain(tmp_path / "a" / "spectra_permuted.nc")
    file = tmp_path / "b" / "spectra_permuted.nc"
    checkpoints = file.parent / "checkpoint_spectra_permuted"
    assert killed(file, 2 * EVALUATIONS + 4)  # in the fourth epoch of the second permutation
    assert sorted(path.parent.name for path in checkpoints.glob("*/finished")) == ["arrangement-0", "arrangement-1"]
    assert [path.parent.name for path in checkpoints.glob("*/state.pt")] == ["arrangement-2"]
    assert killed(file, EVALUATIONS - 2 + 3)  # two epochs need not be done again; in the third of the third
    assert len(list(checkpoints.glob("*/finished"))) == 3
    with patch.object(fold_module, "fit", wraps=fold_module.fit) as fit:
        assert retrain(file) == unbroken
    assert [call.kwargs["epochs"] for call in fit.call_args_list] == [range(2, EPOCHS)]
    assert [path.name for path in file.parent.iterdir()] == ["spectra_permuted.nc"]


def test_what_another_training_left_is_not_taken_up(tmp_path):
    file = tmp_path / "spectra_permuted.nc"
    assert killed(file, EVALUATIONS + 4)
    again = retrain(file, learning_rate=0.1)
    assert again == retrain(tmp_path / "fresh" / "spectra_permuted.nc", learning_rate=0.1)


def test_checkpoints_change_nothing(tmp_path):
    assert retrain(tmp_path / "a" / "x.nc") == retrain(tmp_path / "b" / "x.nc", checkpoint_every=0)
