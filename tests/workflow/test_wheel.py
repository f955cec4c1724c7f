"""From a wheel, in an empty folder, the workflow makes what it makes in the clone: no user needs a clone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from comparing import contents, differences
from running import build_wheel, environment, make_workdir, snakemake, write_config

CONFIG = {
    "cohort": {"source": "numerical", "numerical": {"kind": "gaussian-mixture", "n_samples": 16, "n_features": 6}},
    "training": {"models": {"mlp": {}}, "folds": 2, "repeats": 1, "epochs": 3},
}

IMPORTER = """
from gradspec.places import ROOT

rule all:
    input: "results/stats/group_differences.tsv"

module gradspec:
    snakefile: str(ROOT / "workflow" / "Snakefile")
    config: config

use rule * from gradspec as gradspec_*
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder into which the wheel was installed; everything else comes from this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    site = folder / "site"
    options = ["--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(build_wheel(folder))], check=True)
    return site


def run(site: Path, folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in a folder where the installed package is found, and the clone is not."""
    variables = {**environment(), "PYTHONPATH": str(site)}
    return subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, env=variables)


@pytest.mark.slow
def test_the_command_makes_the_bytes_of_the_clone_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    alone, clone = tmp_path / "alone", make_workdir(tmp_path / "clone")
    alone.mkdir()
    write_config(alone, CONFIG, "my.yaml")
    done = run(installed, alone, str(installed / "bin" / "gradspec"), "run", "--cores", "1", "my.yaml", "stats")
    assert done.returncode == 0, done.stderr[-4000:]
    assert {path.name for path in alone.iterdir()} == {"my.yaml", "results", ".snakemake"}
    same = snakemake(clone, "--cores", "1", "--configfile", str(alone / "my.yaml"), "--", "stats")
    assert same.returncode == 0, same.stderr[-4000:]
    assert "stats/group_differences.tsv" in contents(alone / "results")
    assert differences(alone / "results", clone / "results") == []
    # Hashes of code and settings are those of the clone, so that results may go on with either.
    again = snakemake(
        alone, "-n", "-s", str(clone / "workflow" / "Snakefile"), "--configfile", "my.yaml", "--", "stats"
    )
    assert "Nothing to be done" in again.stdout + again.stderr


def test_the_installed_workflow_can_be_imported(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(IMPORTER)
    done = run(installed, tmp_path, "-m", "snakemake", "-n", "--configfile", write_config(tmp_path, CONFIG))
    assert done.returncode == 0, done.stderr
    assert "rule gradspec_train_folds:" in done.stdout + done.stderr


def test_every_environment_profile_and_ready_configuration_is_found(installed: Path, tmp_path: Path) -> None:
    for name in ("numerical", "paper-numerical"):
        done = run(installed, tmp_path, "-m", "gradspec", "run", "--profile", "gpu-workstation", name, "-n")
        assert done.returncode == 0, done.stderr
        assert "train_folds" in done.stdout + done.stderr
    around = installed / "gradspec" / "_workflow"
    named = {
        os.path.normpath(rules.parent / line.strip().strip('"'))
        for rules in (around / "workflow" / "rules").glob("*.smk")
        for line in rules.read_text().splitlines()
        if line.strip().startswith('"../')
    }
    assert len(named) > 50
    assert [path for path in named if not Path(path).is_file()] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["run", "mine.yaml"],
            "there is no such file; write the path of a YAML file, or the name of a ready one: abide",
        ),
        (["report", "numerical"], "there are no results yet; write: gradspec run numerical"),
        (["figures", "results"], "is no folder of results"),
    ],
)
def test_what_is_not_there_is_said_in_words(installed: Path, tmp_path: Path, words: list[str], said: str) -> None:
    done = run(installed, tmp_path, "-m", "gradspec", *words)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_arguments_of_gift_go_to_gift(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "-m", "gradspec", "gift", "--help")
    assert done.returncode == 0
    assert "--session" in done.stdout
