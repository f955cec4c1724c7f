"""The benchmark of the training runs, and what it calls off records nothing but the first step."""

import json
from importlib import import_module

import pytest
from running import ROOT

from gradspec.training.fold import train_fold


def test_every_network_is_measured(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(ROOT)
    benchmark = import_module("benchmarks.training")
    recorded = []

    def watched(samples, sides, fold):
        trained = train_fold(samples, sides, fold)
        recorded.append((fold.epochs, trained.spectra.sizes["step"]))
        return trained

    monkeypatch.setattr(benchmark, "train_fold", watched)
    monkeypatch.setattr(benchmark, "N_VOLUMES", 20)
    benchmark.main(["--model", "mlp", "--epochs", "2", "--json", str(tmp_path / "rows.json")])
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert row["model"] == "mlp" and row["ratio"] == pytest.approx(row["on"] / row["off"])
    steps = recorded[0][1]
    assert recorded == [(1, steps), (2, 1), (2, 2 * steps)] and steps > 1
    assert "recording off" in capsys.readouterr().out


def test_jobs_of_one_fold_and_of_two_are_compared(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.chdir(ROOT)
    benchmark = import_module("benchmarks.training")
    benchmark.main(["--model", "mlp", "--epochs", "1", "--jobs", "2", "--json", str(tmp_path / "rows.json")])
    one, two = json.loads((tmp_path / "rows.json").read_text())
    assert (one["folds"], two["folds"]) == (1, 2) and one["cpu"] > two["cpu"] > 0 and two["peak"] > 50
