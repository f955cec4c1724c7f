"""The checks of `make test-gpu` check what they say; here on the CPU, where all they need is torch."""

import subprocess
import sys

import pytest
import torch
from gpu import checks
from running import ROOT

CPU = torch.device("cpu")
QUICK = [name for name in checks.CHECKS if name.startswith("capture")]


@pytest.mark.parametrize("name", [*QUICK, "training is the same", "sums of group ICA"])
def test_a_check_passes_where_both_devices_are_the_processor(name: str) -> None:
    assert "off by" in (seen := checks.CHECKS[name](CPU)) or "bounds up to" in seen


def test_another_spectrum_fails() -> None:
    case = next(case for case in checks.CASES if case.name == "linear")
    expected = checks.record(case, CPU, torch.float64)
    found = {key: values * (1 + 1e-6) for key, values in expected.items()}
    with pytest.raises(AssertionError, match="of the largest value off"):
        checks.compare(found, expected, 1e-9)


def test_the_table_names_what_failed_and_what_was_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(device: torch.device) -> str:
        raise ValueError("wrong number")

    def lack(device: torch.device) -> str:
        raise ModuleNotFoundError("No module named 'xarray'", name="xarray")

    rows = [(name, outcome, seen) for name, outcome, _, seen in checks.run(CPU, {"a": fail, "b": lack})]
    assert rows == [("a", "failed", "wrong number"), ("b", "left out", "needs xarray")]
    monkeypatch.setattr(checks, "MINUTES", 0)
    assert next(iter(checks.run(CPU, {"a": fail})))[1] == "left out"


WITHOUT_PACKAGES = """
import importlib.util, runpy, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("jaxtyping", "xarray", "h5netcdf", "pandas", "scipy", "sklearn", "pytest"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "jaxtyping" else real(name, *rest)
sys.meta_path.insert(0, Missing())
try:
    runpy.run_path("tests/gpu", run_name="__main__")
except SystemExit as end:
    assert end.code == 0
from gpu import checks
names = ("capture linear", "capture of leading values", "fold of the workflow")
for name, outcome, _, seen in checks.run(checks.torch.device("cpu"), {name: checks.CHECKS[name] for name in names}):
    print(name, outcome, seen, sep=": ")
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_torch_and_numpy_are_enough_and_a_machine_without_a_device_is_told_so() -> None:
    run = subprocess.run([sys.executable, "-c", WITHOUT_PACKAGES], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    told, linear, leading, fold = run.stdout.splitlines()
    assert "sees no CUDA device: nothing was checked" in told
    assert linear.startswith("capture linear: passed: off by")
    assert leading.startswith("capture of leading values: passed: bounds up to")
    assert fold.startswith("fold of the workflow: left out: needs ")
