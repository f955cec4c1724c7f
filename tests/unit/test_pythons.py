"""One lock serves every supported Python, and make takes the newest of them that runs."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from running import ROOT

spec = importlib.util.spec_from_file_location("wheels", ROOT / "tests" / "wheels.py")
wheels = importlib.util.module_from_spec(spec)
spec.loader.exec_module(wheels)


@pytest.mark.parametrize("python", wheels.SUPPORTED)
def test_every_locked_package_has_a_wheel(python: str) -> None:
    assert wheels.check(python) is None
    assert len(wheels.read_lines(ROOT / wheels.LOCK)) > 100


def test_what_has_none_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / wheels.LOCK).write_text("# exact versions\nnumpy==2.3.5\nscipy==1.15.3\n")
    (tmp_path / wheels.RECORD).write_text("numpy==2.3.5 3.11 3.12 3.13\nscipy==1.15.2 3.11 3.12 3.13\n")
    assert "of scipy==1.15.3 no wheel is known for Python 3.13" in wheels.check("3.13", tmp_path)
    assert "Python 3.14 is not supported" in wheels.check("3.14", tmp_path)


def test_the_environment_of_the_tests_is_found_as_it_was_recorded(tmp_path: Path) -> None:
    shutil.copy(ROOT / wheels.LOCK, tmp_path)
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    wheels.record(running, tmp_path)
    assert wheels.check(running, tmp_path) is None


def test_the_package_states_the_same_pythons() -> None:
    stated = re.findall(r"Programming Language :: Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())
    assert tuple(stated) == wheels.SUPPORTED


@pytest.mark.parametrize(
    ("runs", "taken"), [({"3.11", "3.12", "3.13"}, "3.13"), ({"3.11", "3.12"}, "3.12"), ({"3.11"}, "3.11")]
)
def test_make_takes_the_newest_python_that_runs(tmp_path: Path, runs: set[str], taken: str) -> None:
    """One that is on the PATH but does not run, as a shim of pyenv may be, is passed over."""
    for version in wheels.SUPPORTED:
        program = tmp_path / f"python{version}"
        program.write_text(f"#!/bin/sh\nexit {0 if version in runs else 127}\n")
        program.chmod(0o755)
    plan = ["make", "--dry-run", "--no-print-directory", "--makefile", str(ROOT / "Makefile"), "VENV=none"]
    system = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run([*plan, "none/.installed"], cwd=ROOT, env=system, capture_output=True, text=True, check=True)
    assert f"python{taken} -m venv none" in done.stdout
    named = subprocess.run(
        [*plan, "PYTHON=mine", "none/.installed"], cwd=ROOT, env=system, capture_output=True, text=True, check=True
    )
    assert "mine -m venv none" in named.stdout
