"""Folds that are trained together are the same bytes as those that are trained apart, also when the job was killed."""

from unittest.mock import patch

import numpy as np
import pytest
from training_maker import make_fold, make_samples, make_sides

import gradspec.training.folds as folds_module
from gradspec.training.fold import train_fold
from gradspec.training.folds import train_folds
from gradspec.training.groupings import Grouping

SEX = Grouping("sex", ("F", "M"), np.arange(24) // 2 % 2)


def train_together(folder, model, numbers, samples, **changes):
    """Train folds in one job, each with another size of the test set, and give the folder of each."""
    folders = [folder / f"fold-{number}" for number in numbers]
    train_folds(
        [make_fold(model, fold=number, **changes) for number in numbers],
        data=[(samples, [SEX])] * len(numbers),
        sides=[make_sides(samples, n_test=6 + 2 * number) for number in numbers],
        folders=folders,
    )
    return folders


def contents(folders):
    """Every file but the record, which holds the time."""
    return {
        (folder.name, file.name): file.read_bytes()
        for folder in folders
        for file in folder.iterdir()
        if file.name != "training.json"
    }


@pytest.mark.parametrize("model", ["mlp", "lstm", "transformer"])
def test_folds_of_a_job_are_the_bytes_of_one_fold_a_job(model, tmp_path):
    samples = make_samples(model, separation=1)
    together = train_together(tmp_path / "together", model, (0, 1, 2), samples)
    apart = [train_together(tmp_path / "apart", model, (number,), samples)[0] for number in (2, 0, 1)]
    assert contents(together) == contents(apart)
    files = {file.name for file in together[0].iterdir()}
    assert {"spectra.nc", "spectra_by-sex.nc", "metrics.tsv", "predictions.tsv", "model.pt", "training.json"} <= files
    assert "checkpoint" not in files and "fingerprint" not in files


def killed_in(number):
    """Let the training of a fold be the moment at which the process dies."""

    def train(samples, sides, fold, **options):
        if fold.fold == number:
            raise KeyboardInterrupt
        return train_fold(samples, sides, fold, **options)

    return patch.object(folds_module, "train_fold", train)


def test_a_killed_job_keeps_the_folds_that_it_had_finished(tmp_path):
    samples = make_samples("mlp", separation=1)
    whole = train_together(tmp_path / "whole", "mlp", (0, 1, 2), samples)
    with killed_in(2), pytest.raises(KeyboardInterrupt):
        train_together(tmp_path / "broken", "mlp", (0, 1, 2), samples)
    assert not list((tmp_path / "broken").glob("*/spectra.nc"))  # nothing is in place before all is done
    kept = list((tmp_path / "broken" / "fold-0" / "checkpoint").iterdir())
    assert [path.name for path in kept] == ["finished"]  # and no checkpoint of what is done
    with patch.object(folds_module, "train_fold", wraps=train_fold) as trained:
        broken = train_together(tmp_path / "broken", "mlp", (0, 1, 2), samples)
    assert [call.args[2].fold for call in trained.call_args_list] == [2]
    assert contents(broken) == contents(whole)


def test_finished_folds_of_another_training_are_trained_anew(tmp_path):
    samples = make_samples("mlp", separation=1)
    with killed_in(1), pytest.raises(KeyboardInterrupt):
        train_together(tmp_path / "a", "mlp", (0, 1), samples)
    again = train_together(tmp_path / "a", "mlp", (0, 1), samples, learning_rate=0.1)
    assert contents(again) == contents(train_together(tmp_path / "b", "mlp", (0, 1), samples, learning_rate=0.1))


def test_a_job_killed_while_files_are_put_in_place_has_them_still(tmp_path):
    samples = make_samples("mlp", separation=1)
    real = folds_module.Checkpoint.publish

    def publish(place, folder):
        if folder.name == "fold-1":
            raise KeyboardInterrupt
        real(place, folder)

    with patch.object(folds_module.Checkpoint, "publish", publish), pytest.raises(KeyboardInterrupt):
        train_together(tmp_path / "a", "mlp", (0, 1), samples)
    for file in (tmp_path / "a" / "fold-0").iterdir():
        if file.is_file():
            file.unlink()  # as Snakemake does with the outputs of a job that has failed
    with patch.object(folds_module, "train_fold") as trained:
        folders = train_together(tmp_path / "a", "mlp", (0, 1), samples)
    trained.assert_not_called()
    assert contents(folders) == contents(train_together(tmp_path / "b", "mlp", (0, 1), samples))
