"""The code behind a script as one short text, so that a change of it makes its jobs run again, and no others.

Snakemake sees that a script changed, but not the modules it imports. So a rule has the hash of both as a parameter.
"""

import ast
import hashlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent
_WITHOUT_RESULT = ("job", "advice", "progress")


def hash_code(script: str | Path) -> str:
    """Hash what a script and the modules of gradspec that it can come to import do when they run.

    Comments, docstrings, layout and what only type checkers read leave the hash as it is. So do modules that change no
    result: ``gradspec/__init__.py``, whose names no script uses (a new version alone makes nothing run again), and
    those that write logs and messages, ``job``, ``advice`` and ``progress``.

    Parameters
    ----------
    script : path
        A Python file.

    Returns
    -------
    str
        Sixteen hexadecimal digits.
    """
    text, named = _read(Path(script).resolve())
    parts, waiting = {"": text}, set(named)
    while waiting:
        path = waiting.pop()
        text, named = _read(path)
        parts[path.relative_to(_FOLDER).as_posix()] = text
        waiting |= {other for other in named if other.relative_to(_FOLDER).as_posix() not in parts}
    return hashlib.sha256(repr(sorted(parts.items())).encode()).hexdigest()[:16]


@cache
def _read(path: Path) -> tuple[str, frozenset[Path]]:
    """Read a file once: what it does, as text, and the modules and other files of gradspec that it names."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return text, frozenset()
    tree = _WhatRuns().visit(ast.parse(text, str(path)))
    return ast.unparse(tree), frozenset(_named(tree, path.parent))


def _named(tree: ast.AST, folder: Path) -> Iterator[Path]:
    """Give the modules that are imported anywhere, with their packages, and the files beside that are named."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files_of(alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield from _files_of(f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Constant) and re.fullmatch(r"\w+\.html", str(node.value)):
            yield from filter(Path.is_file, [folder / str(node.value)])


def _files_of(name: str) -> Iterator[Path]:
    """Give the files that importing a dotted name runs; the last part may be a name within a module."""
    package, *parts = name.split(".")
    path = _FOLDER
    if package != _FOLDER.name or (parts[:1] and parts[0] in _WITHOUT_RESULT):
        return
    for part in parts:
        path = path / part
        for file in (path / "__init__.py", path.with_suffix(".py")):
            if file.is_file():
                yield file


class _WhatRuns(ast.NodeTransformer):
    """Leaves out docstrings and what only type checkers read."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return node.orelse if ast.unparse(node.test).endswith("TYPE_CHECKING") else node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)
