"""How deep networks learn from two groups of people, seen in the spectra of their gradients.

Each stage of the workflow is a subpackage of the same name. The names below are imported on first use, so that
``import gradspec`` costs nothing and a stage needs only its own dependencies.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "GroupICA": "gradspec.ica.group",
    "SpectraRecorder": "gradspec.capture",
    "open_results": "gradspec.results",
}

__all__ = ["GroupICA", "SpectraRecorder", "__version__", "open_results"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'gradspec' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
