"""A fold that was killed goes on from its last checkpoint and ends with the bytes of one that was not."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from running import ROOT
from training_maker import ALL_MODELS, make_fold, make_samples, make_sides, train

import gradspec.training.fold as fold_module
from gradspec.training.checkpoint import Checkpoint, fingerprint_of
from gradspec.training.fold import fingerprint
from gradspec.training.groupings import Grouping
from gradspec.training.outputs import write_fold


class KilledError(RuntimeError):
    """Stands for the end of the process."""


def killed_in(epoch):
    """Let the evaluation after an epoch be the last that happens."""
    done = []

    def predict(model, inputs, outcome):
        if len(done) == epoch:
            raise KilledError
        done.append(1)
        return real(model, inputs, outcome)

    real = fold_module.predict
    return patch.object(fold_module, "predict", predict)


def write(trained, folder):
    write_fold(trained, folder)
    (folder / "training.json").unlink()  # the time and the device
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def options_of(model):
    return {"fold": make_fold(model, epochs=7, checkpoint_every=2), "n_validation": 4}


@pytest.mark.parametrize("model", ALL_MODELS)
def test_a_killed_fold_ends_with_the_bytes_of_an_unbroken_one(model, tmp_path):
    samples = make_samples(model, separation=1)
    options = options_of(model)
    unbroken = write(train(samples, **options, checkpoint=tmp_path / "a"), tmp_path / "unbroken")
    for epoch in (1, 5):  # before the first checkpoint, and between the second and the third
        with killed_in(epoch), pytest.raises(KilledError):
            train(samples, **options, checkpoint=tmp_path / "b")
        assert (tmp_path / "b" / "state.pt").exists() == (epoch == 5)
    torch.manual_seed(99)
    with patch.object(fold_module, "fit", wraps=fold_module.fit) as fit:
        trained = train(samples, **options, checkpoint=tmp_path / "b")
    assert fit.call_args.kwargs["epochs"] == range(4, 7)
    assert (tmp_path / "b" / "state.pt").exists()  # until all is written
    assert write(trained, tmp_path / "resumed") == unbroken


LONG = {"model": "mlp", "epochs": 80, "checkpoint_every": 2}
PROCESS = """
import sys
from pathlib import Path
from training_maker import make_fold, make_samples, train
train(make_samples("mlp", separation=1), make_fold(**{options}), checkpoint=Path({place!r}))
"""


def test_a_process_that_is_killed_outright_leaves_a_checkpoint_to_go_on_from(tmp_path):
    samples, fold, place = make_samples("mlp", separation=1), make_fold(**LONG), tmp_path / "b"
    code = PROCESS.format(options=LONG, place=str(place))
    folders = os.pathsep.join([str(ROOT / "tests"), str(ROOT / "workflow")])
    with subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": folders}) as process:
        while not (place / "state.pt").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    with patch.object(fold_module, "fit", wraps=fold_module.fit) as fit:
        trained = train(samples, fold, checkpoint=place)
    assert 0 < fit.call_args.kwargs["epochs"].start < 80
    assert write(trained, tmp_path / "resumed") == write(train(samples, fold), tmp_path / "unbroken")


def test_checkpoints_change_nothing(tmp_path):
    samples = make_samples("lstm", separation=1)
    options = options_of("lstm")
    options["fold"] = replace(options["fold"], epochs=40)  # more steps than the recorder writes at a time
    assert write(train(samples, **options, checkpoint=tmp_path / "a"), tmp_path / "with") == write(
        train(samples, **options), tmp_path / "without"
    )


def test_spectra_of_further_groupings_and_alignment_go_on_too(tmp_path):
    samples = make_samples("cnn1d", separation=1)
    sex = [Grouping("sex", ("F", "M"), np.arange(24) // 2 % 2)]
    options = {**options_of("cnn1d"), "groupings": sex}
    options["fold"] = replace(options["fold"], alignment=True, groupings_every=2, patience=5)
    unbroken = write(train(samples, **options, checkpoint=tmp_path / "a"), tmp_path / "unbroken")
    with killed_in(3), pytest.raises(KilledError):
        train(samples, **options, checkpoint=tmp_path / "b")
    resumed = write(train(samples, **options, checkpoint=tmp_path / "b"), tmp_path / "resumed")
    assert "spectra_by-sex.nc" in resumed and resumed == unbroken


def test_a_checkpoint_of_another_training_is_not_taken_up(tmp_path):
    samples = make_samples("mlp", separation=1)
    fold = make_fold(epochs=4, checkpoint_every=2)
    other_data = replace(samples, values=samples.values + 1)
    for other, data in ((replace(fold, learning_rate=0.1), samples), (fold, other_data)):
        with killed_in(3), pytest.raises(KilledError):
            train(data, other, checkpoint=tmp_path / "place")
        assert (tmp_path / "place" / "state.pt").exists()
        again = train(samples, fold, checkpoint=tmp_path / "place")
        assert write(again, tmp_path / "again") == write(train(samples, fold), tmp_path / "fresh")


def test_a_checkpoint_holds_plain_data_only(tmp_path):
    with killed_in(3), pytest.raises(KilledError):
        train(make_samples("mlp", 1), make_fold(epochs=4, checkpoint_every=2), checkpoint=tmp_path / "place")
    state = torch.load(tmp_path / "place" / "state.pt", weights_only=True)
    assert state["progress"]["epoch"] == 2 and len(state["progress"]["rows"]) == 4


def test_a_fingerprint_sees_every_setting_and_value():
    array = np.arange(6.0)
    prints = {
        fingerprint_of({"a": 1}, array),
        fingerprint_of({"a": 2}, array),
        fingerprint_of({"a": 1}, array + 1e-12),
        fingerprint_of({"a": 1}, array.reshape(2, 3)),
        fingerprint_of({"a": 1}, array, array),
    }
    assert len(prints) == 5


def test_a_checkpoint_of_a_network_of_ones_own_is_of_its_source(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    samples, source = make_samples("mlp", separation=1), tmp_path / "somenets.py"
    fold = replace(
        make_fold(), model="net", hyperparameters={"class": "somenets.Net", "input": "connectivity", "args": {}}
    )
    prints = set()
    for bias in (True, False, True):
        source.write_text(f"class Net(nn.Module):\n    bias = {bias}")
        prints.add(fingerprint(samples, make_sides(samples), fold))
    assert len(prints) == 2


def test_removing_what_is_not_there_is_harmless(tmp_path):
    Checkpoint(tmp_path / "nothing", "").remove()
    assert not list(tmp_path.iterdir())
