"""The workflow asks nothing of the network, and writes into the folder of its results alone."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from running import OFFLINE, snakemake, write_config


@pytest.mark.slow
def test_a_run_without_network_ends_well_and_writes_nowhere_else(workdir: Path, tmp_path: Path) -> None:
    if shutil.which(OFFLINE[0]) is None or subprocess.run([*OFFLINE, "true"]).returncode:
        pytest.skip("this machine does not let a test make a network namespace (unshare)")
    reach = "import socket; socket.create_connection(('127.0.0.1', 9), timeout=5)"
    done = subprocess.run([*OFFLINE, sys.executable, "-c", reach], capture_output=True, text=True)
    assert "Network is unreachable" in done.stderr
    config = {
        "cohort": {"source": "numerical", "numerical": {"n_samples": 16, "n_features": 4, "n_volumes": 40}},
        "training": {"models": {"mlp": {"hidden": [8]}}, "folds": 2, "repeats": 1, "epochs": 2},
    }
    target = "results/features/mlp.tsv"
    name = write_config(workdir, config)
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    for folder in (home, temporary):
        folder.mkdir()
    before = set(workdir.iterdir())
    places = [f"HOME={home}", f"TMPDIR={temporary}", f"XDG_CACHE_HOME={home / 'cache'}"]
    done = snakemake(workdir, "--cores", "1", "--configfile", name, "--", target, before=["env", *places, *OFFLINE])
    assert done.returncode == 0, done.stderr[-4000:]
    assert (workdir / target).stat().st_size > 0
    assert set(workdir.iterdir()) - before == {workdir / "results", workdir / ".snakemake"}
    assert {path.name.partition("_")[0] for path in temporary.iterdir()} <= {"torchinductor"}  # PyTorch, at its import
    assert {path.name for path in home.iterdir()} <= {"cache"}
    assert {path.name for path in home.glob("cache/*")} <= {"snakemake"}  # its copies of what comes from elsewhere
