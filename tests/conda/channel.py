"""A channel on disk whose packages are made of what is installed here: Python itself, and distributions of pip."""

import asyncio
import hashlib
import io
import json
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rattler.index import index_fs

VERSION = "{}.{}".format(*sys.version_info)
SITE = f"lib/python{VERSION}/site-packages"
LEFT_OUT = {"__pycache__", "tests", "test", "site-packages", "idlelib", "tkinter", "ensurepip", "lib2to3"}

# Says which Python was started, in a file that an environment variable names.
WITNESS = """\
import os, sys
if "STARTED_PYTHONS" in os.environ:
    with open(os.environ["STARTED_PYTHONS"], "a") as file:
        print(sys.executable, file=file)
"""


def make_channel(folder: Path, names: Iterable[str]) -> None:
    """Write a channel that holds Python, distributions, and all that these need."""
    subdir = folder / "linux-64"
    subdir.mkdir(parents=True)
    (folder / "noarch").mkdir()
    python = {SITE + "/sitecustomize.py": WITNESS.encode(), **dict(_python())}
    links = {f"bin/{name}": f"python{VERSION}" for name in ("python", "python3")}
    _write(subdir, "python", sys.version.split()[0], [], python, links)
    for package in _closure(names):
        needs = [f"python >={VERSION},<3.{sys.version_info[1] + 1}", *(name for name, _ in _requirements(package))]
        _write(subdir, canonicalize_name(package.name), package.version, needs, dict(_files(package)), {})
    asyncio.run(index_fs(folder, write_zst=False, write_shards=False))


def _closure(names: Iterable[str]) -> list[Distribution]:
    found: dict[str, Distribution] = {}
    left = list(names)
    while left:
        name = canonicalize_name(left.pop())
        if name not in found:
            found[name] = distribution(name)
            left += [other for other, _ in _requirements(found[name])]
    return list(found.values())


def _requirements(package: Distribution) -> Iterator[tuple[str, str]]:
    for text in package.requires or []:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonicalize_name(requirement.name), str(requirement.specifier)


def _python() -> Iterator[tuple[str, bytes]]:
    """The interpreter below the environment of the tests, and its standard library."""
    yield f"bin/python{VERSION}", Path(sys.base_prefix, "bin", f"python{VERSION}").resolve().read_bytes()
    library = Path(sysconfig.get_path("stdlib"))
    for path in library.rglob("*"):
        inside = path.relative_to(library)
        if path.is_file() and not LEFT_OUT & set(inside.parts) and not inside.parts[0].startswith("config-"):
            yield f"lib/python{VERSION}/{inside}", path.read_bytes()


def _files(package: Distribution) -> Iterator[tuple[str, bytes]]:
    for file in package.files or []:
        if ".." not in file.parts and not LEFT_OUT & set(file.parts):
            yield f"{SITE}/{file}", Path(str(file.locate())).read_bytes()


def _write(
    subdir: Path, name: str, version: str, depends: list[str], files: dict[str, bytes], links: dict[str, str]
) -> None:
    """Write one package."""
    index = {
        "name": name,
        "version": version,
        "build": "0",
        "build_number": 0,
        "depends": depends,
        "subdir": "linux-64",
        "arch": "x86_64",
        "platform": "linux",
    }
    paths = [
        {
            "_path": path,
            "path_type": "hardlink",
            "sha256": hashlib.sha256(content).hexdigest(),
            "size_in_bytes": len(content),
        }
        for path, content in files.items()
    ]
    paths += [
        {"_path": path, "path_type": "softlink", "sha256": hashlib.sha256(files["bin/" + target]).hexdigest()}
        for path, target in links.items()
    ]
    info = {
        "info/index.json": json.dumps(index).encode(),
        "info/paths.json": json.dumps({"paths": paths, "paths_version": 1}).encode(),
    }
    with tarfile.open(subdir / f"{name}-{version}-0.tar.bz2", "w:bz2", compresslevel=1) as archive:
        for path, content in {**info, **files}.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            member.mode = 0o755 if path.startswith("bin/") else 0o644
            archive.addfile(member, io.BytesIO(content))
        for path, target in links.items():
            member = tarfile.TarInfo(path)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
