"""The recorder works in an environment that has only what the package itself asks for."""

import json
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from running import ROOT, build_wheel

import gradspec

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Hides modules as if they had never been installed.
HIDE = """
import importlib.util, json, sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder

hidden = set(json.loads(sys.argv[1]))

class Visible(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return super().find_spec(name, path, target) if name.partition(".")[0] not in hidden else None

sys.meta_path[:] = [BuiltinImporter, FrozenImporter, Visible]
for name in ("nibabel", "nipype", "scipy", "sklearn", "snakemake", "tqdm", "yaml"):
    assert importlib.util.find_spec(name) is None, name
sys.path.insert(0, sys.argv[2])
"""

# Imports what every program that trains does, then the recorder; says how many modules the latter brings, and whose.
IMPORT = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy, torch
before = set(sys.modules)
import gradspec.capture
brought = {name for name in set(sys.modules) - before if name.partition(".")[0] not in sys.stdlib_module_names}
print(len(brought), *{name.partition(".")[0] for name in brought})
"""

TRAIN_AND_WRITE = """
import numpy as np, torch, xarray as xr
from gradspec import SpectraRecorder

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2))
recorder = SpectraRecorder(model, groups=["control", "patient"])
x, y, group = torch.randn(5, 8), torch.tensor([0, 1, 0, 1, 1]), torch.tensor([0, 1, 0, 1, 1])
with recorder.step(group, epoch=0) as step:
    loss = torch.nn.functional.cross_entropy(model(x), y)
    loss.backward()
    step.record(loss=loss.item())
recorder.spectra().to_netcdf(sys.argv[3], engine="h5netcdf")
with xr.open_datatree(sys.argv[3], engine="h5netcdf") as spectra:
    pooled = spectra["0.weight"]["gradient"].sel(group="pooled").values[0]
exact = np.linalg.svd(model[0].weight.grad.double().numpy(), compute_uv=False)
np.testing.assert_allclose(pooled[: len(exact)], exact[: len(pooled)], atol=1e-6 * exact[0])
"""


def required(*names: str) -> set[str]:
    """Name the distributions that installing some brings, themselves included."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        if (name := waiting.pop()) in found:
            continue
        found.add(name)
        requirements = map(Requirement, distribution(name).requires or [])
        waiting += [
            canonicalize_name(requirement.name)
            for requirement in requirements
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        ]
    return found


def run(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a program that sees nothing of this process's paths."""
    return subprocess.run(
        [sys.executable, "-I", "-W", "ignore", "-c", program, *arguments], capture_output=True, text=True
    )


def test_the_recorder_needs_only_the_dependencies_of_the_package(tmp_path: Path) -> None:
    installed = required(*(Requirement(text).name for text in PROJECT["dependencies"]))
    others = [
        module
        for module, names in packages_distributions().items()
        if not installed & {canonicalize_name(name) for name in names}
    ]
    done = run(HIDE + TRAIN_AND_WRITE, json.dumps(others), str(ROOT / "workflow"), str(tmp_path / "spectra.nc"))
    assert done.returncode == 0, done.stderr


def test_importing_the_package_imports_no_other() -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); before = set(sys.modules); import gradspec; gradspec.__version__;"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    assert run(program, str(ROOT / "workflow")).stdout.split() == ["gradspec"]


def test_importing_the_recorder_takes_hardly_longer_than_torch() -> None:
    number, *packages = run(IMPORT, str(ROOT / "workflow")).stdout.split()
    installed = set(packages) & set(packages_distributions())
    assert installed <= {"jaxtyping", "numpy"}  # xarray and h5netcdf take a second, and wait until they are used
    assert 0 < int(number) < 100


@pytest.mark.slow
def test_the_wheel_holds_the_whole_project_and_nothing_else(tmp_path: Path) -> None:
    library = [path for path in (ROOT / "workflow" / "gradspec").rglob("*") if path.suffix in (".py", ".html", ".js")]
    around = [*(ROOT / "config").glob("*.yaml"), *(ROOT / "envs").glob("*.yaml")]
    around += [path for path in (ROOT / "workflow").rglob("*") if path.is_file()]
    around = [path for path in around if (ROOT / "workflow" / "gradspec") not in path.parents]
    expected = [path.relative_to(ROOT / "workflow").as_posix() for path in library]
    expected += [f"gradspec/_workflow/{path.relative_to(ROOT)}" for path in around if path.suffix != ".pyc"]
    wheel = build_wheel(tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        contents = [name for name in archive.namelist() if ".dist-info/" not in name]
        (metadata,) = (archive.read(name) for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    assert sorted(contents) == sorted(expected)
    facts = message_from_bytes(metadata)
    assert facts["Version"] == gradspec.__version__
    plain = [text for text in facts.get_all("Requires-Dist") if "extra" not in text]
    assert set(map(Requirement, plain)) == set(map(Requirement, PROJECT["dependencies"]))
