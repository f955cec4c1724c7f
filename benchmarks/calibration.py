"""How often the tests reject: on networks that learn random labels, and on planted differences.

What is measured and how is said in `gradspec.stats.calibration`, which the workflow runs too (``stats.calibration``).
Writes a table with its sidecar, and a figure. Run from the root of the project:
``python -m benchmarks.calibration --size minute``.
"""

import argparse
import gc
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from gradspec.figures.rejection_rates import plot_rejection_rates
from gradspec.figures.saving import save_figure
from gradspec.stats.calibration import COLUMNS, LEVEL, SIZES, measure


def main() -> None:
    """Write the table and the figure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="minute", help="how much is done (default: minute)")
    parser.add_argument("--cohorts", type=int, help="cohorts of each condition, instead of those of the size")
    parser.add_argument("--output", type=Path, default=Path("results/calibration"), help="folder of table and figure")
    arguments = parser.parse_args()
    size = SIZES[arguments.size]
    gc.freeze()  # statsmodels' correction collects garbage each time, which is quick where there is little to look at
    table = measure(size._replace(cohorts=arguments.cohorts or size.cohorts))
    files = {end: arguments.output / f"calibration.{end}" for end in ("png", "svg", "tsv")}
    save_figure(plot_rejection_rates(table), table, COLUMNS, **files)
    wide = table.pivot_table(
        index=["folds", "groups", "size", "test"], columns="feature", values="rejected", sort=False, dropna=False
    )
    print(wide.dropna(how="all").to_string(float_format=lambda value: f"{value:g}", na_rep=""))
    print(f"\nPercent of cohorts with p of at most {LEVEL:g}; table and figure are in {arguments.output}")


if __name__ == "__main__":
    main()
