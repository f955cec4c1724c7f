"""The environment files hold what each stage imports, nothing more, at the versions that were tested."""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from packaging.requirements import Requirement
from rattler import MatchSpec
from running import ROOT

WORKFLOW = ROOT / "workflow"
STAGES = sorted(path.stem for path in (ROOT / "envs").glob("*.yaml"))

# Names of the package that brings an import, where conda-forge does not use the import's own.
PACKAGES = {
    "SimpleITK": {"simpleitk"},
    "bids": {"pybids"},
    "isal": {"python-isal"},
    "matplotlib": {"matplotlib-base"},
    "openneuro": {"openneuro-py"},
    "sklearn": {"scikit-learn"},
    "torch": {"pytorch-cpu", "pytorch-gpu"},
    "yaml": {"pyyaml"},
}
# The same packages under the names that PyPI, and with it requirements.lock, gives them.
DISTRIBUTIONS = {
    "matplotlib-base": "matplotlib",
    "python-isal": "isal",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
}

# Listed although no import names them: what is run, not imported, and what others need but leave open.
UNSEEN = {
    "preprocess": {
        "ants",  # nipype runs its programs; the Python package antspyx is for where there are none (pip)
        "filelock",  # held back: nipype's MultiProc hangs with version 4
        "pip",  # installs deepbet
        "pytorch-cpu",  # deepbet runs in it; listed so that pip does not bring another, with CUDA
    },
    "training": {"tensorboard"},  # torch.utils.tensorboard imports it, where training.tensorboard asks for it
}
# Imports that are made only where the package happens to be installed.
OPTIONAL = {
    ("gradspec.figures.environment", "torch"),
    ("gradspec.ica.moments", "torch"),  # only where ica.device asks for it
    ("gradspec.ica.order", "mapca"),  # only where ica.order asks for it
}


class Place(NamedTuple):
    """A module, or a name in it."""

    module: str
    name: str | None = None


class Module:
    """The syntax of a module: what importing it runs, what it defines, and which of its names are imported."""

    def __init__(self, name: str, path: Path) -> None:
        tree = _WithoutTyping().visit(ast.parse(path.read_text(encoding="utf-8"), str(path)))
        self.name = name
        self.definitions: dict[str, ast.AST] = {}
        self.body: list[ast.AST] = []
        self.imported: dict[str, Place] = {}
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self.definitions[node.name] = node
                self.body += [*node.decorator_list, *getattr(node, "bases", [])]
                continue
            self.body.append(node)
            for part in ast.walk(node):
                self.imported |= dict(_bindings(part))


class _WithoutTyping(ast.NodeTransformer):
    """Leaves out what only type checkers run."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return node.orelse if ast.unparse(node.test).endswith("TYPE_CHECKING") else node


def _bindings(node: ast.AST) -> Iterator[tuple[str, Place]]:
    """Give the names that an import binds, with the places they stand for."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.asname or alias.name.partition(".")[0], Place(alias.name)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute here"
        for alias in node.names:
            submodule = f"{node.module}.{alias.name}"
            yield alias.asname or alias.name, Place(submodule) if _file(submodule) else Place(node.module, alias.name)


def _file(module: str) -> Path | None:
    path = WORKFLOW.joinpath(*module.split("."))
    files = (path / "__init__.py", path.with_suffix(".py"))
    return next((file for file in files if module.startswith("gradspec") and file.is_file()), None)


@cache
def read(module: str) -> Module:
    """Read a module of gradspec."""
    path = _file(module)
    assert path is not None, f"there is no module {module}"
    return Module(module, path)


@cache
def lazy_names() -> dict[str, str]:
    """Names that `gradspec` imports on first use, and the modules they come from."""
    tables = [node for node in read("gradspec").body if isinstance(node, ast.Assign) and "_LAZY" in ast.unparse(node)]
    return ast.literal_eval(tables[0].value)


def imports(script: Module) -> dict[str, set[str]]:
    """Name the packages that a script can come to import, each with the modules that do so.

    A function's own imports count if the function can be reached by name from the script: through the names in the
    body of each module that is imported, and on through the functions and classes these stand for (all methods of a
    class count). The backend that xarray is told by name counts as an import.
    """
    found: dict[str, set[str]] = {}
    seen: set[Place] = set()

    def scan(module: Module, nodes: list[ast.AST], *, function: bool) -> None:
        for part in (part for node in nodes for part in ast.walk(node)):
            for _, place in _bindings(part):
                reach(module, Place(place.module))
                if function:  # those of a module's body are followed where their names are used
                    use(module, place)
            if isinstance(part, ast.Name) and part.id in module.definitions:
                reach(module, Place(module.name, part.id))
            elif isinstance(part, ast.Name) and part.id in module.imported:
                use(module, module.imported[part.id])
            elif isinstance(part, ast.keyword) and ast.unparse(part) == "engine='h5netcdf'":
                reach(module, Place("h5netcdf"))

    def use(user: Module, place: Place) -> None:
        names = read(place.module).definitions if place.name is None and _file(place.module) else [place.name]
        for name in names:
            reach(user, Place(place.module, name))

    def reach(user: Module, place: Place) -> None:
        package = place.module.partition(".")[0]
        if package not in ("gradspec", script.name):
            if package not in sys.stdlib_module_names and (user.name, package) not in OPTIONAL:
                found.setdefault(package, set()).add(user.name)
            return
        if place in seen:
            return
        seen.add(place)
        module = script if package == script.name else read(place.module)
        if place.name is None:
            if "." in place.module:
                reach(module, Place(place.module.rpartition(".")[0]))
            scan(module, module.body, function=False)
            return
        reach(user, Place(place.module))
        if place.module == "gradspec" and place.name in lazy_names():
            reach(module, Place(lazy_names()[place.name], place.name))
        elif place.name in module.definitions:
            scan(module, [module.definitions[place.name]], function=True)
        elif place.name in module.imported:
            use(module, module.imported[place.name])

    reach(script, Place(script.name))
    return found


@cache
def needs(stage: str) -> dict[str, set[str]]:
    """Name what the scripts of a stage import, together."""
    found: dict[str, set[str]] = {}
    for path in sorted((WORKFLOW / "scripts" / stage).glob("*.py")):
        for package, users in imports(Module(f"{stage}/{path.stem}", path)).items():
            found.setdefault(package, set()).update(users)
    return found


def specs(stage: str) -> list[str]:
    """Read the packages that conda installs."""
    dependencies = yaml.safe_load((ROOT / "envs" / f"{stage}.yaml").read_text())["dependencies"]
    return [entry for entry in dependencies if isinstance(entry, str)]


def pip_specs(stage: str) -> list[Requirement]:
    """Read the packages that pip installs on top."""
    dependencies = yaml.safe_load((ROOT / "envs" / f"{stage}.yaml").read_text())["dependencies"]
    return [Requirement(text) for entry in dependencies if isinstance(entry, dict) for text in entry["pip"]]


def listed(stage: str) -> list[str]:
    """Name all packages of an environment file."""
    return [re.split(r"[ =<>]", spec)[0] for spec in specs(stage)] + [spec.name for spec in pip_specs(stage)]


@cache
def locked() -> dict[str, str]:
    """Read the versions of requirements.lock."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from gradspec.files import write_json", set()),
        ("from gradspec.files import write_json\nwrite_json({}, 'x')", set()),
        ("from gradspec.files import read_table\nread_table('x')", {"pandas"}),
        ("from gradspec import files\nfiles.write_json({}, 'x')", {"pandas", "xarray", "h5netcdf"}),
        ("def f():\n    from gradspec.files import read_table\nf()", {"pandas"}),
        ("def f():\n    import pandas", set()),
        ("import typing\nif typing.TYPE_CHECKING:\n    import torch\nelse:\n    import numpy.linalg", {"numpy"}),
        ("import xarray as xr\nxr.open_dataset('x', engine='h5netcdf')", {"xarray", "h5netcdf"}),
        (
            "from gradspec import SpectraRecorder\nSpectraRecorder",
            {"torch", "numpy", "xarray", "jaxtyping", "h5netcdf", "threadpoolctl"},
        ),
    ],
)
def test_imports_are_followed_to_where_they_are_made(text: str, expected: set[str], tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(text)
    assert set(imports(Module("script", script))) == expected


def test_every_stage_has_scripts_and_an_environment() -> None:
    assert sorted(path.name for path in (WORKFLOW / "scripts").iterdir() if path.is_dir()) == STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_conda_can_read_every_spec(stage: str) -> None:
    for spec in specs(stage):
        assert MatchSpec(spec, strict=True).name.normalized == re.split(r"[ =<>]", spec)[0], spec
    assert len(set(listed(stage))) == len(listed(stage)), "a package is listed twice"
    assert "pip" in listed(stage) or not pip_specs(stage), "conda warns if pip is used but not listed"


@pytest.mark.parametrize("stage", STAGES)
def test_an_environment_holds_all_that_its_scripts_import(stage: str) -> None:
    missing = {
        package: sorted(users)
        for package, users in needs(stage).items()
        if not PACKAGES.get(package, {package}) & set(listed(stage))
    }
    assert not missing, f"add to envs/{stage}.yaml (package: imported by): {missing}"


@pytest.mark.parametrize("stage", STAGES)
def test_an_environment_holds_nothing_else(stage: str) -> None:
    wanted = set().union(*(PACKAGES.get(package, {package}) for package in needs(stage)))
    if "h5netcdf" in needs(stage):
        wanted.add("h5py")  # reads and writes the files; h5netcdf itself does not ask for it
    idle = set(listed(stage)) - wanted - {"python"} - UNSEEN.get(stage, set())
    assert UNSEEN.get(stage, set()) <= set(listed(stage)) - wanted, "the list of exceptions is out of date"
    assert not idle, f"envs/{stage}.yaml lists what no script of {stage} imports: {sorted(idle)}"


@pytest.mark.parametrize("stage", STAGES)
def test_an_environment_has_the_versions_that_were_tested(stage: str) -> None:
    versions = {**locked(), "python": "3.11"}
    for text in specs(stage):
        spec = MatchSpec(text, strict=True)
        name = DISTRIBUTIONS.get(spec.name.normalized, spec.name.normalized)
        if name not in versions or name == "pip":
            continue
        minor = ".".join(versions[name].split(".")[:2])
        assert text.endswith(f" ={minor}"), f"{text}: requirements.lock has {name} {versions[name]}"
    for requirement in pip_specs(stage):
        assert str(requirement.specifier) == f"=={locked()[requirement.name]}"
