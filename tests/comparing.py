"""Results as bytes, to say that two runs ended alike."""

import json
from pathlib import Path

RECORDS = ("logs", "benchmarks", "progress.html", "report.html", "environment.json")
"""What tells of a run itself, its times and its machine."""


def contents(results: Path) -> dict[str, bytes]:
    """Every file of a folder of results, by its path there, but for the records of the run."""
    return {
        path.relative_to(results).as_posix(): _read(path)
        for path in sorted(results.rglob("*"))
        if path.is_file() and path.relative_to(results).parts[0] not in RECORDS
    }


def _read(path: Path) -> bytes:
    """Read a file; the record of a training without the time it took."""
    if path.name != "training.json":
        return path.read_bytes()
    return json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "seconds"}).encode()


def differences(one: Path, other: Path) -> list[str]:
    """Name the files that are in one folder of results only, or have other bytes in the other."""
    first, second = contents(one), contents(other)
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
