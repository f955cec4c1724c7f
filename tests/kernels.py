"""Sets of kernels that libraries choose by the processor, so that one machine computes as another would.

BLAS, MKL, oneDNN, torch and NumPy hold the same routines several times, for processors of several ages, and take the
newest that the processor has. They sum in another order, and so round in another way. The choice is made at import,
from variables of the environment, hence always for another process: ``python tests/kernels.py COMMAND`` runs a command
under a set that this machine would not choose.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

# What a process has really loaded, as a line of JSON.
_PROBE = """
import json, numpy, scipy.linalg, torch
from threadpoolctl import threadpool_info
blas = {library["architecture"] for library in threadpool_info() if library["internal_api"] == "openblas"}
print(json.dumps({"OpenBLAS": sorted(blas), "torch": torch.backends.cpu.get_cpu_capability()}))
"""


@dataclass(frozen=True)
class Kernels:
    """The kernels of processors of one age: their name, and what each library calls them.

    Attributes
    ----------
    name : str
        Of the instructions that they use.
    flags : frozenset of str
        What the processor must have, as Linux names it.
    openblas, torch, mkl, onednn : str
        Values of the variables that ask for them.
    numpy_disables : tuple of str
        Beginnings of the names of features that NumPy must not use.
    openblas_loads : str
        What OpenBLAS calls what it then loads.
    """

    name: str
    flags: frozenset[str]
    openblas: str
    torch: str
    mkl: str
    onednn: str
    numpy_disables: tuple[str, ...]
    openblas_loads: str

    @property
    def loads(self) -> dict[str, object]:
        """What a process under them has loaded, if all goes as it should."""
        return {"OpenBLAS": [self.openblas_loads], "torch": self.torch.upper()}


_AVX2 = frozenset({"avx2", "fma"})
_AVX512 = _AVX2 | {"avx512f", "avx512dq", "avx512bw", "avx512vl"}
SETS = (
    Kernels("AVX-512", _AVX512, "SkylakeX", "avx512", "AVX512", "AVX512_CORE", (), "SkylakeX"),
    Kernels("AVX2", _AVX2, "Haswell", "avx2", "AVX2", "AVX2", ("AVX512", "X86_V4"), "Haswell"),
    Kernels("generic", frozenset({"sse4_2"}), "Prescott", "default", "SSE4_2", "SSE41", ("",), "Katmai"),
)
"""From the newest to the oldest."""

_CHOICES = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "ATEN_CPU_CAPABILITY",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
    "NPY_DISABLE_CPU_FEATURES",
)


def environment(kernels: Kernels | None, *, threads: int = 1) -> dict[str, str]:
    """Return the variables for a process under a set of kernels; None leaves the choice to the libraries."""
    variables = {name: value for name, value in os.environ.items() if name not in _CHOICES}
    variables |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    if kernels is None:
        return variables
    return {
        **variables,
        "OPENBLAS_CORETYPE": kernels.openblas,
        "ATEN_CPU_CAPABILITY": kernels.torch,
        "MKL_ENABLE_INSTRUCTIONS": kernels.mkl,
        "ONEDNN_MAX_CPU_ISA": kernels.onednn,
        "NPY_DISABLE_CPU_FEATURES": " ".join(filter(lambda name: name.startswith(kernels.numpy_disables), _features())),
    }


def find_reason_against(kernels: Kernels) -> str | None:
    """Say why this machine cannot run a set of kernels, by its processor and by what is really loaded, or give None."""
    if missing := kernels.flags - _processor_flags():
        return f"the processor has no {', '.join(sorted(missing))}"
    if (loaded := find_loaded(kernels)) != kernels.loads:
        return f"{loaded} is loaded where {kernels.loads} was asked for"
    return None


@cache
def find_loaded(kernels: Kernels | None) -> dict[str, object]:
    """Find what a process under a set of kernels has really loaded."""
    return _probe(environment(kernels))


def _probe(variables: dict[str, str]) -> dict[str, object]:
    command = [sys.executable, "-W", "ignore", "-c", _PROBE]
    loaded: dict[str, object] = json.loads(
        subprocess.run(command, env=variables, capture_output=True, check=True).stdout
    )
    return loaded


@cache
def _processor_flags() -> frozenset[str]:
    """What Linux says of the processor; nothing on other systems."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return frozenset(next((line for line in lines if line.startswith("flags")), "").split())


def _features() -> list[str]:
    """Features of this processor that this build of NumPy can do without."""
    found: list[str] = np.show_config("dicts")["SIMD Extensions"].get("found", [])
    return found


def run_under_others(command: Sequence[str]) -> int:
    """Run a command under a set of kernels whose BLAS is not that of this environment; return its exit status."""
    here = _probe(dict(os.environ))["OpenBLAS"]
    others = [kernels for kernels in SETS if kernels.loads["OpenBLAS"] != here and not find_reason_against(kernels)]
    if not others:
        print(f"this machine has no other kernels than {here}; nothing is run")
        return 0
    print(f"under the kernels for {others[0].name}: {find_loaded(others[0])}", flush=True)
    return subprocess.run(command, env=environment(others[0])).returncode


if __name__ == "__main__":
    sys.exit(run_under_others(sys.argv[1:]))
