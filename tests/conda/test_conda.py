"""A rule runs in the environment that Snakemake makes of its file.

No client of conda and no network are at hand: a stand-in on py-rattler solves and links, from a channel on disk. That
proves the files and our use of Snakemake, not that conda-forge can solve them.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from channel import make_channel
from running import ROOT, environment, snakemake, write_config

TARGET = "results/spectra/mlp.nc"
CONFIG = {
    "cohort": {"source": "numerical", "numerical": {"kind": "gaussian-mixture", "n_samples": 16, "n_features": 6}},
    "training": {"models": {"mlp": {"hidden": [8]}}, "folds": 2, "repeats": 1, "epochs": 2},
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the channel is made for linux-64")
def test_a_rule_runs_in_an_environment_of_its_own(workdir: Path, tmp_path: Path) -> None:
    config = write_config(workdir, CONFIG)
    prepared = snakemake(workdir, "--cores", "1", "--configfile", config, "--until", "train_folds", "--", TARGET)
    assert prepared.returncode == 0, prepared.stderr
    assert not (workdir / TARGET).exists()

    names = yaml.safe_load((ROOT / "envs" / "spectra.yaml").read_text())["dependencies"]
    make_channel(tmp_path / "conda-forge", [name.split()[0] for name in names if not name.startswith("python ")])
    programs = tmp_path / "bin"
    programs.mkdir()
    client = Path(__file__).with_name("conda_client.py")
    (programs / "conda").write_text(f'#!/bin/sh\nexec {sys.executable} {client} "$@"\n')
    (programs / "conda").chmod(0o755)
    (programs / "activate").write_text('export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"\n')
    variables = environment()
    variables |= {
        "PATH": os.pathsep.join([str(programs), variables["PATH"]]),
        "CONDA_STAND_IN": str(tmp_path),
        "CONDA_CHANNEL_ALIAS": tmp_path.as_uri(),
        "STARTED_PYTHONS": str(tmp_path / "started"),
    }
    # This rule alone: what was prepared ran without conda, and would run again with it.
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", config, "--sdm=conda"]
    done = subprocess.run(
        [*command, "--allowed-rules", "merge_spectra", "--", TARGET],
        cwd=workdir,
        env=variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    assert (workdir / TARGET).stat().st_size > 0
    started = (tmp_path / "started").read_text().splitlines()
    assert started
    assert all(Path(python).is_relative_to(workdir / ".snakemake" / "conda") for python in started)
