"""The record of a run: the machine, the versions of what computed, and the state of the code."""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "SimpleITK",
    "antspyx",
    "deepbet",
    "gradspec",
    "h5netcdf",
    "jaxtyping",
    "jsonschema",
    "matplotlib",
    "nibabel",
    "nilearn",
    "nipype",
    "numpy",
    "pandas",
    "scikit-learn",
    "scipy",
    "snakemake",
    "statsmodels",
    "torch",
    "xarray",
)

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def describe_environment(folder: Path) -> dict[str, Any]:
    """Describe what this process runs on and with.

    Parameters
    ----------
    folder : Path
        Working directory of the workflow.

    Returns
    -------
    dict
        Keys ``python``, ``platform``, ``machine``, ``cpu``, ``n_cpus``, ``threads``, ``packages`` (None where one is
        not installed), ``cuda``, and ``git`` of the code (``workflow``) and of ``folder`` (``working_directory``).
    """
    import gradspec

    return {
        "gradspec": gradspec.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu": _cpu_name(),
        "n_cpus": os.cpu_count(),
        "threads": {name: os.environ.get(name) for name in _THREAD_VARIABLES},
        "packages": {name: _version(name) for name in PACKAGES},
        "cuda": _describe_cuda(),
        "git": {
            "workflow": describe_git(Path(gradspec.__file__).parent),
            "working_directory": describe_git(folder),
        },
    }


def describe_git(folder: Path) -> dict[str, Any] | None:
    """Say which commit `folder` is at.

    Returns
    -------
    dict or None
        ``commit`` (None before the first) and ``dirty``: whether tracked files differ from it, or files that git does
        not ignore are new. None outside a repository or without git.
    """
    if _git(folder, "rev-parse", "--is-inside-work-tree") != "true":
        return None
    status = _git(folder, "status", "--porcelain")
    return {"commit": _git(folder, "rev-parse", "--verify", "HEAD"), "dirty": None if status is None else status != ""}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_name() -> str:
    """Name of the processor; Linux keeps it where `platform` does not look."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _describe_cuda() -> dict[str, Any]:
    """Ask torch for graphics processors, where it is installed."""
    if _version("torch") is None:
        return {"available": False, "devices": []}
    import torch

    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {"available": torch.cuda.is_available(), "devices": devices}
