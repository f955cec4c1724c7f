"""What a data set asks to be passed over: its ``.bidsignore``, which is written as git's ``.gitignore`` is.

Own code, since the workflow is planned with nothing installed but Snakemake; the tests compare it with git.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gradspec.errors import ConfigError

_WILDCARDS = re.compile(r"\*\*/|/\*\*$|\*+|\?|\[[!^]?\]?[^\]]*\]|\\.|.")


def read_bidsignore(root: Path) -> Callable[[Path], bool]:
    """Read the ``.bidsignore`` of a data set.

    Parameters
    ----------
    root : Path
        Folder of the data set.

    Returns
    -------
    callable
        Says whether a file below `root` is ignored.

    Raises
    ------
    ConfigError
        If the file is not text in UTF-8.
    """
    file = root / ".bidsignore"
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines() if file.is_file() else []
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not encoded in UTF-8 ({error}); save it as UTF-8 text") from error
    patterns = [_translate(line) for line in map(str.rstrip, lines) if line and not line.startswith("#")]

    def ignored(path: Path) -> bool:
        names = path.relative_to(root).parts
        for depth in range(1, len(names) + 1):  # what lies in an ignored folder cannot be taken back
            name, is_folder = "/".join(names[:depth]), depth < len(names)
            hits = [each.ignores for each in patterns if (is_folder or not each.folders) and each.name.fullmatch(name)]
            if hits and hits[-1]:
                return True
        return False

    return ignored


class _Pattern(NamedTuple):
    """A line: whether it ignores (or, with ``!``, takes back), whether it is about folders only, and their names."""

    ignores: bool
    folders: bool
    name: re.Pattern[str]


def _translate(line: str) -> _Pattern:
    ignores = not line.startswith("!")
    text = line if ignores else line[1:]
    anchored = "/" in text.rstrip("/")
    body = "".join(map(_translate_part, _WILDCARDS.findall(text.strip("/"))))
    return _Pattern(ignores, text.endswith("/"), re.compile(("" if anchored else "(?:.*/)?") + body, re.DOTALL))


def _translate_part(part: str) -> str:
    if part == "**/":
        return "(?:.*/)?"
    if part == "/**":
        return "/.*"
    if part.startswith("*"):
        return "[^/]*"
    if part == "?":
        return "[^/]"
    if part.startswith("[") and len(part) > 1:
        negated = part[1] in "!^"
        return ("[^" if negated else "[") + part[1 + negated :].replace("\\", "\\\\")
    return re.escape(part.removeprefix("\\") or part)
