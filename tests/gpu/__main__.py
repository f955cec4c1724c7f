"""``python tests/gpu``: the table of all checks, without any package but torch and numpy."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[2]


class Annotation:
    """Stands in for the annotations of shapes, of which nothing is checked here."""

    def __class_getitem__(cls, item: Any) -> Any:
        return Any


class Annotations(ModuleType):
    """Stands in for jaxtyping."""

    def __getattr__(self, name: str) -> type[Annotation]:
        if name.startswith("_"):
            raise AttributeError(name)
        return Annotation


def main() -> int:
    """Print the table; gives 1 where a check failed."""
    sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "tests"), str(ROOT)]
    if importlib.util.find_spec("jaxtyping") is None:
        sys.modules["jaxtyping"] = Annotations("jaxtyping")
    from gpu import checks

    return checks.main()


if __name__ == "__main__":
    sys.exit(main())
