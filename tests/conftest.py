"""What all tests share: where real data lies, and one thread a process."""

import os
from pathlib import Path

import pytest
from running import ROOT

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("NO_ET", "1")


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real data, or a skip that says how to name it."""
    folder = Path(os.environ.get("GRADSPEC_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set GRADSPEC_TEST_DATA to a folder that holds some")
    return folder
