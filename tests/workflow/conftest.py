"""A stand-in for a clone for every test of the workflow."""

from pathlib import Path

import pytest
from running import make_workdir


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """Return a folder that looks like a clone."""
    return make_workdir(tmp_path / "clone")
