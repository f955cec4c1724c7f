"""The results of a whole run open in pandas and xarray, and the page that shows how runs as it is written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from running import ROOT

import gradspec

PAGE = ROOT / "docs" / "howto" / "results.md"


@pytest.mark.slow
def test_every_table_of_the_demo_opens_with_a_description_of_its_columns(demo: Path) -> None:
    with gradspec.open_results(demo / "results") as results:
        assert set(results.spectra) == set(results.models) == {"mlp", "lstm", "transformer"}
        assert results.config["seed"] == 7
        assert {"stats/group_differences", "selection/participants", "features/mlp"} <= set(results.tables)
        for name, table in results.tables.items():
            assert table.columns.size, name
            for column in {"participant_id", "group", "session", "layer"} & set(table.columns):
                assert table[column].dtype == "str", (name, column)
            if not name.startswith("preprocess/sub-"):
                assert set(table.attrs["columns"]) >= set(table.columns), name
        assert [len(results.runs(model)) for model in results.models] == [4, 4, 4]


@pytest.mark.slow
def test_the_page_on_results_runs_as_it_is_written(demo: Path, tmp_path: Path) -> None:
    (tmp_path / "results").symlink_to(demo / "results")
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow"), "MPLBACKEND": "Agg"},
    )
    assert done.returncode == 0, done.stderr
    assert "C(group)[T.patient]" in done.stdout
    assert {path.name for path in tmp_path.glob("*.png")} == {"largest.png", "effective-rank.png", "participants.png"}
