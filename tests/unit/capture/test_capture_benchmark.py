"""The benchmark of the recorder runs, and writes the rows that it promises."""

import json
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def test_quick_run_of_one_model_writes_a_row_a_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    file = tmp_path / "rows.json"
    model = "MLP 1378-256-128-64"
    import_module("benchmarks.capture").main(["--quick", "--model", model, "--json", str(file)])

    rows = json.loads(file.read_text())
    assert [row["method"] for row in rows] == ["naive", "hooks", "sync", "worker", "budget"]
    assert {row["model"] for row in rows} == {model}
    assert {row["weights"] for row in rows} == {4}
    naive, hooks, sync, *_ = rows
    assert naive["ratio"] > sync["ratio"] > 0.5
    assert hooks["memory_ratio"] > 1  # it holds all rows and the gradients of the groups
    assert 0.9 < sync["memory_ratio"] < 1.5


def test_an_earlier_run_stands_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(ROOT)
    capture = import_module("benchmarks.capture")
    names = ("weights", "milliseconds", "ratio", "wall_ratio", "memory_ratio")
    rows = [{"method": method, **dict.fromkeys(names, 1)} for method in ("sync", "worker")]
    monkeypatch.setattr(capture, "measure", lambda *_: rows)
    file = tmp_path / "earlier.json"
    file.write_text(json.dumps([{"model": "GRU 53-32", "method": "sync", "ratio": 1.75}]))

    capture.main(["--model", "GRU 53-32", "--baseline", str(file)])

    *_, sync, worker = capsys.readouterr().out.splitlines()
    assert sync.split()[-1] == "1.75"
    assert worker.split()[-1] == "-"


def test_quick_run_of_the_second_table_varies_batch_width_and_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT)
    file = tmp_path / "rows.json"
    import_module("benchmarks.capture").main(["--quick", "--scaling", "--json", str(file)])

    rows = json.loads(file.read_text())
    assert len({row["batch"] for row in rows}) >= 4
    assert len({row["width"] for row in rows}) >= 4
    assert {row["groups"] for row in rows} >= {2, 4, 8, 16}
    assert all(row["ratio"] > 0 for row in rows)
