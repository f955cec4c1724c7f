"""ANTs on PATH: the real binaries where there are any, else launchers over the copy of ANTs inside antspyx.

antspyx carries the entry points of the ANTs programs in its compiled library. A launcher loads that library alone
(without the Python package, which takes seconds to import) and hands the command line over, so that nipype's stock
interfaces run unchanged.
"""

import logging
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from gradspec.errors import ConfigError

log = logging.getLogger(__name__)

PROGRAMS = ("antsRegistration", "antsApplyTransforms", "N4BiasFieldCorrection", "Atropos")

_LAUNCHER_FILE = "launch_ants.py"

_LAUNCHER = """\
import sys
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
library, program, *arguments = sys.argv[1:]
spec = spec_from_loader("lib", ExtensionFileLoader("lib", library))
ants = module_from_spec(spec)
spec.loader.exec_module(ants)
sys.exit(getattr(ants, program)(arguments))
"""


@contextmanager
def ants_on_path(folder: Path) -> Iterator[None]:
    """Make the ANTs programs findable while the block runs.

    Parameters
    ----------
    folder : Path
        Where launchers are written if a program is not on PATH already.

    Raises
    ------
    ConfigError
        If there are neither ANTs binaries nor antspyx.
    """
    threads = os.environ.get("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")
    if threads != "1":
        log.warning(
            "ANTs works with %s threads: registrations differ from run to run then, by up to 2.4 mm; give the job one "
            "thread for results that can be made again",
            threads,
        )
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    before = os.environ["PATH"]
    if missing:
        write_launchers(folder, missing)
        os.environ["PATH"] = f"{folder}{os.pathsep}{before}"
    try:
        yield
    finally:
        os.environ["PATH"] = before


def ants_version() -> str:
    """Name and version of the ANTs that is on PATH: the programs', or that of antspyx behind the launchers."""
    program = shutil.which(PROGRAMS[0])
    if program is None or Path(program).with_name(_LAUNCHER_FILE).exists():
        return f"ANTs of antspyx {version('antspyx')}"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.split("\n")[0]
    return f"ANTs {said.removeprefix('ANTs Version:').strip() or 'of unknown version'}"


def write_launchers(folder: Path, programs: list[str] | tuple[str, ...] = PROGRAMS) -> None:
    """Write an executable file for each of `programs` that runs it from antspyx."""
    folder.mkdir(parents=True, exist_ok=True)
    code = folder / _LAUNCHER_FILE
    code.write_text(_LAUNCHER, encoding="utf-8")
    command = shlex.join([sys.executable, "-I", "-S", str(code), str(_antspyx_library())])
    for program in programs:
        launcher = folder / program
        launcher.write_text(f'#!/bin/sh\nexec {command} {program} "$@"\n', encoding="utf-8")
        launcher.chmod(0o755)


def _antspyx_library() -> Path:
    spec = find_spec("ants")
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    libraries = [library for folder in folders for library in Path(folder).glob("lib.*so")]
    if not libraries:
        raise ConfigError(
            "ANTs is needed for preprocessing: put its programs on PATH (conda-forge: ants) or install antspyx"
        )
    return libraries[0]
