"""Every message that gradspec raises, listed from its code: the directive ``messages``.

A message is what an error is made with, ``SomethingError(…)``; what is put in at the time stands as ``…``.
"""

import ast
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

PACKAGE = Path(__file__).resolve().parents[2] / "workflow" / "gradspec"
OURS = {
    "AttachedTwiceError",
    "CaptureError",
    "ConfigError",
    "GroupError",
    "NothingCapturedError",
    "ParticipantError",
    "RowsError",
    "UnsupportedError",
}


def find_messages() -> list[tuple[str, str, str]]:
    """Find (stage, error, message) of all messages, stages and files in their order."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        stage = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id=error), args=[first, *_]) if error in OURS:
                    message = "".join(_text(first))
                    if any(letter.isalpha() for letter in message):
                        found.append((stage, error, message))
    return found


def _text(node: ast.expr) -> Iterator[str]:
    """Say what an expression shows when it is raised."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=values):
            for value in values:
                yield from _text(value)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            yield from _text(left)
            yield from _text(right)
        case _:
            yield "…"


class Messages(SphinxDirective):
    """A section a stage, a line a message."""

    def run(self) -> list[nodes.Node]:
        """Make the sections."""
        sections: list[nodes.Node] = []
        for stage, rows in groupby(find_messages(), key=lambda row: row[0]):
            section = nodes.section(ids=[f"messages-{stage}"], names=[f"messages-{stage}"])
            section += nodes.title(text=stage)
            listed = nodes.bullet_list()
            for _, error, message in rows:
                line = nodes.paragraph()
                line += [nodes.literal(text=error), nodes.Text(f": {message}")]
                listed += nodes.list_item("", line)
            section += listed
            sections.append(section)
        return sections


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("messages", Messages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
