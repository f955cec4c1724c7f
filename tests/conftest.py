"""What all tests share: where real data lies, one thread a process, how examples are drawn."""

import gc
import os
from pathlib import Path

import pytest
from hypothesis import settings
from running import ROOT, make_workdir

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("NO_ET", "1")

# New examples at every run by hand, the same ones where a red run must mean a change; no test is timed.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if "CI" in os.environ else "default")


@pytest.fixture(autouse=True, scope="module")
def _frozen() -> None:
    """Spare the garbage collector what lives to the end: Holm's correction in statsmodels calls it every time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real data, or a skip that says how to name it."""
    folder = Path(os.environ.get("GRADSPEC_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set GRADSPEC_TEST_DATA to a folder that holds some")
    return folder


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """Return a folder that looks like a clone."""
    return make_workdir(tmp_path / "clone")
