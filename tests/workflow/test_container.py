"""The image holds what the workflow needs, and Snakemake runs every rule in it where it is told to.

Neither podman nor apptainer is at hand: a stand-in takes the command that Snakemake gives to apptainer and runs what it
asks for outside of any image. That proves the calls, not the image.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from running import ROOT, environment, write_config

# Snakemake mounts what its scripts import from; without mounts the same folders are searched where they are.
STAND_IN = """\
#!/bin/sh
if [ "$1" = --version ]; then echo "apptainer version 1.3.4"; exit; fi
echo "$@" >> "$APPTAINER_CALLS"
while [ "$1" != gradspec.sif ]; do
  case "$1" in *:/mnt/snakemake_searchpaths/*) PYTHONPATH="$PYTHONPATH:${1%%:*}" ;; esac
  shift
done
shift
export PYTHONPATH
exec "$@"
"""


def test_what_the_image_copies_is_there_and_let_through() -> None:
    text = (ROOT / "Containerfile").read_text().replace("\\\n", " ")
    copied = [name for line in re.findall(r"^COPY (.*) \S+$", text, flags=re.MULTILINE) for name in line.split()]
    assert {"requirements.lock", "workflow", "Snakefile"} <= set(copied)
    let_through = {line[1:] for line in (ROOT / ".containerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) == let_through
    assert all((ROOT / name).exists() for name in copied)
    assert f"python:3.{sys.version_info[1]}-" in text or sys.version_info[:2] != (3, 11)


def test_every_rule_runs_in_the_image_where_asked(workdir: Path, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "apptainer").write_text(STAND_IN)
    (programs / "apptainer").chmod(0o755)
    variables = environment()
    variables |= {
        "PATH": os.pathsep.join([str(programs), variables["PATH"]]),
        "APPTAINER_CALLS": str(tmp_path / "calls"),
    }
    config = {
        "cohort": {"source": "numerical", "numerical": {"n_samples": 16, "n_volumes": 40}},
        "training": {"models": {"mlp": {}}, "folds": 2, "repeats": 1},
    }
    targets = ["results/cohort/checked.tsv", "results/training/splits.tsv"]
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", write_config(workdir, config)]
    done = subprocess.run(
        [*command, "--sdm=apptainer", "--", *targets], cwd=workdir, env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text()
    for script in ("check_cohort.py", "select_participants.py", "split_folds.py"):
        assert re.search(rf"exec --home .*gradspec\.sif .*{script}", calls), calls
