"""Where the workflow lies around the library: in the clone, or in the package that pip has installed.

A wheel holds ``workflow/`` (but for this library), ``config/`` and ``envs/`` of the clone below ``gradspec/_workflow``,
with the same paths between them, so that rules, scripts and environments find each other in either.
"""

from pathlib import Path

_LIBRARY = Path(__file__).resolve().parent
_INSTALLED = _LIBRARY / "_workflow"

ROOT = _INSTALLED if _INSTALLED.is_dir() else _LIBRARY.parents[1]
"""Folder of ``workflow``, ``config`` and ``envs``."""
