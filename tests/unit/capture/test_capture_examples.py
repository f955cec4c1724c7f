"""Every example runs, says what it recorded, and leaves spectra that can be read."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from running import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_writes_spectra(example: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(example)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow")},
    )
    assert done.returncode == 0, done.stderr
    assert "captured" in done.stdout
    with xr.open_datatree(tmp_path / "spectra.nc", engine="h5netcdf") as spectra:
        assert spectra.sizes["step"] > 0
        assert spectra["finite"].all()
        assert spectra["group"].values.tolist() == ["control", "patient", "pooled"]
        nodes = [node for node in spectra.subtree if "gradient" in node.data_vars]
        assert all(np.isfinite(node["gradient"].isel(index=0)).all() for node in nodes)
    assert [path.name for path in tmp_path.iterdir()] == ["spectra.nc"]


def test_every_example_is_listed_and_short() -> None:
    listing = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    for example in EXAMPLES:
        assert f"[{example.name}]({example.name})" in listing
        assert len(example.read_text(encoding="utf-8").splitlines()) < 80
