"""Side-by-side measurements, each a command that prints a table; run from the root of the project."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))  # the project need not be installed
