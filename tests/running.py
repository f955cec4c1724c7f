"""Running Snakemake on a stand-in for a clone, away from the results of whoever works here."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]

SMALL = str(ROOT / "tests" / "workflow" / "small.yaml")
"""The demo in small."""

PROJECT = ("Snakefile", "workflow", "config", "envs", "profiles")
"""What a clone must hold for the workflow to run."""

OFFLINE = ("unshare", "--map-root-user", "--net")
"""Starts a program that has no network, not even the machine's own address."""


CLUSTERS = Path(sys.prefix) / "clusters"
"""Where `make test` puts the executor plugins of clusters, beside the environment."""


def environment(*, plugins: bool = False) -> dict[str, str]:
    """Return the variables under which Snakemake of this environment runs, with the plugins of clusters or without."""
    variables = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return {**variables, "PYTHONPATH": str(CLUSTERS)} if plugins else variables


def snakemake(
    workdir: Path, *arguments: str, before: Sequence[str] = (), plugins: bool = False
) -> "subprocess.CompletedProcess[str]":
    """Run Snakemake of this environment in `workdir`; the command `before` starts it."""
    return subprocess.run(
        [*before, sys.executable, "-m", "snakemake", *arguments],
        cwd=workdir,
        capture_output=True,
        text=True,
        env=environment(plugins=plugins),
    )


def make_workdir(folder: Path) -> Path:
    """Make a folder that looks like a clone: links to the project's files, results of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PROJECT:
        (folder / name).symlink_to(ROOT / name)
    return folder


def copy_clone(folder: Path) -> Path:
    """Copy what a clone holds, so that its code may be changed."""
    folder.mkdir(parents=True)
    for name in PROJECT:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def build_wheel(folder: Path) -> Path:
    """Build the wheel, without network, from a copy, since building leaves folders in the tree it builds from."""
    source = copy_clone(folder / "source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(source)], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def write_config(folder: Path, config: dict[str, Any], name: str = "test.yaml") -> str:
    """Write a configuration and return its path, for ``--configfile``."""
    path = folder / name
    path.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    return str(path)
