"""One run of the demo in small, which the tests of this folder look at."""

from pathlib import Path

import pytest
from running import SMALL, make_workdir, snakemake

BROKEN = "sub-08"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run of the demo in small, in which one participant's BOLD image was cut short."""
    folder = make_workdir(tmp_path_factory.mktemp("demo") / "Klon mit Ümlaut")
    done = snakemake(folder, "--cores", "2", "--configfile", SMALL, "--until", "simulate_participant")
    assert done.returncode == 0, done.stderr[-4000:]
    bold = folder / "results" / "bids" / BROKEN / "func" / f"{BROKEN}_task-rest_bold.nii.gz"
    bold.write_bytes(bold.read_bytes()[: bold.stat().st_size // 2])
    done = snakemake(folder, "--cores", "2", "--configfile", SMALL)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder
