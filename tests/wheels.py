"""Which Pythons have a wheel of every locked package: recorded with the lock, asked before an environment is made.

``PYTHON tests/wheels.py record``, run by the Python of an environment that was made from ``requirements.lock``, enters
into ``requirements.wheels`` what it found there: a package that had to be compiled has no wheel. ``PYTHON
tests/wheels.py``, run before an environment is made, says at once what it would lack. Only the standard library is
imported.
"""

import re
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUPPORTED = ("3.11", "3.12", "3.13")
LOCK, RECORD = "requirements.lock", "requirements.wheels"
_HEADER = """\
# Which Pythons have a wheel of each locked package, for Linux on x86-64; found by making the environment of each.
# Written by `PYTHON tests/wheels.py record`; asked by `make` before it makes an environment, and by the tests.
"""


def read_lines(path: Path) -> list[str]:
    """Read the lines of a file that are no comment."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [line for line in lines if line and not line.startswith("#")]


def read_record(root: Path = ROOT) -> dict[str, list[str]]:
    """Read the Pythons of each requirement."""
    return {requirement: pythons for requirement, *pythons in map(str.split, read_lines(root / RECORD))}


def find_lacking(python: str, root: Path = ROOT) -> list[str]:
    """Give the locked requirements of which no wheel is known for a Python."""
    record = read_record(root)
    return [requirement for requirement in read_lines(root / LOCK) if python not in record.get(requirement, ())]


def check(python: str, root: Path = ROOT) -> str | None:
    """Say why no environment can be made of a Python, or give None."""
    others = f"take one of Python {', '.join(SUPPORTED)}, as in: make PYTHON=/path/to/python3.12"
    if python not in SUPPORTED:
        return f"Python {python} is not supported; {others}"
    if lacking := find_lacking(python, root):
        return f"of {', '.join(lacking)} no wheel is known for Python {python}; {others}"
    return None


def is_compiled_here(package: Distribution) -> bool:
    """Tell whether pip compiled a package itself: such a wheel is for Linux, those of the index for manylinux."""
    return re.search(r"^Tag: .*-linux_", package.read_text("WHEEL") or "", re.MULTILINE) is not None


def record(python: str, root: Path = ROOT) -> None:
    """Enter a Python for every locked requirement that its environment has from a wheel."""
    installed = set()
    for package in distributions():
        name = re.sub(r"[-_.]+", "-", package.metadata["Name"]).lower()
        if name == "torch" or not is_compiled_here(package):  # the build of torch without CUDA has no other tag
            installed.add(f"{name}=={package.version.removesuffix('+cpu')}")
    known, lines = read_record(root), []
    for requirement in read_lines(root / LOCK):
        pythons = {*known.get(requirement, ()), *([python] if requirement in installed else [])}
        lines.append(f"{' '.join([requirement, *sorted(pythons)])}\n")
    partial = root / f".partial-{RECORD}"
    partial.write_text(_HEADER + "".join(lines), encoding="utf-8")
    partial.replace(root / RECORD)


if __name__ == "__main__":
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    sys.exit(record(running) if sys.argv[1:] == ["record"] else check(running))
