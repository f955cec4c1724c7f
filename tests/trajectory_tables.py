"""Random trajectories of two groups, of every sort that a mixed model may meet; as a program, what it makes of some."""

import json
import sys

import numpy as np

from gradspec.stats.corrected_t import corrected_resampled_t_test
from gradspec.stats.mixed_model import fit_mixed_model

SORTS = (
    "noise alone",
    "runs differ",
    "runs differ in level alone",
    "level and slope go together",
    "without noise",
    "nearly without noise",
    "constant",
    "constant but for rounding",
    "nearly constant",
    "level alone differs, without noise",
    "one run far away",
)
GAPS = (
    "none",
    "an epoch of one run",
    "here and there",
    "much in some runs",
    "from some epoch on",
    "the same in all runs",
)


def over_runs(lines):
    """Test of independent runs."""
    return corrected_resampled_t_test(lines, 0.0)


def draw_table(seed):
    """Trajectories (run, epoch) of both groups, NaN where undefined; their sort, and that of their gaps."""
    rng = np.random.default_rng(seed)
    n_runs, n_epochs = int(rng.integers(3, 41)), int(rng.integers(2, 13))
    sort, gaps = SORTS[seed % len(SORTS)], GAPS[rng.integers(len(GAPS))]
    time = np.linspace(-0.5, 0.5, n_epochs)
    level, slope = rng.normal(size=(2, n_runs, 1))
    noise = rng.normal(size=(2, n_runs, n_epochs))
    if sort in ("noise alone", "one run far away"):
        level, slope = 0 * level, 0 * slope
    if sort in ("runs differ in level alone", "level alone differs, without noise"):
        slope = 0 * slope
    if sort == "level and slope go together":
        slope = -2 * level
    if "without noise" in sort or "constant" in sort:
        noise = (1e-9 if sort.startswith("nearly") else 0.0) * noise
    if "constant" in sort:
        level, slope = 0.3 + 0 * level, 0 * slope
    if sort == "one run far away":
        level[0] = 1e6
    common = 1 / 3 + np.exp(-3 * time) + rng.normal(size=(n_runs, 1))
    unit = 10.0 ** rng.integers(-8, 9)
    tables = [
        unit * (common + side * (level + slope * time) + one) for side, one in zip((-0.5, 0.5), noise, strict=True)
    ]
    if sort == "constant":
        tables[0], tables[1] = np.full_like(common, unit), np.full_like(common, 2 * unit)
    defined = _leave_gaps(rng, gaps, n_runs, n_epochs)
    return tuple(np.where(defined, table, np.nan) for table in tables), sort, gaps


def _leave_gaps(rng, gaps, n_runs, n_epochs):
    """Which epochs of which runs are there: two in every run at least."""
    defined = np.ones((n_runs, n_epochs), bool)
    if gaps == "an epoch of one run":
        defined[0, rng.integers(n_epochs)] = False
    if gaps == "here and there":
        defined = rng.random((n_runs, n_epochs)) < 0.7
    if gaps == "much in some runs":
        defined = rng.random((n_runs, n_epochs)) < rng.uniform(0.2, 1, size=(n_runs, 1))
    if gaps == "from some epoch on":
        defined = np.arange(n_epochs) < rng.integers(2, n_epochs + 1, size=(n_runs, 1))
    if gaps == "the same in all runs":
        defined = np.tile(rng.random(n_epochs) < 0.7, (n_runs, 1))
    defined[defined.sum(axis=1) < 2, :2] = True
    return defined


if __name__ == "__main__":
    fits = [fit_mixed_model(*draw_table(seed)[0], over_runs) for seed in range(int(sys.argv[1]))]
    print(json.dumps([[*(np.asarray(part).tolist() for part in fit)] for fit in fits]))
