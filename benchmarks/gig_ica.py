"""What guiding all components at once saves: GIG-ICA beside the same equations one component after the other.

``python -m benchmarks.gig_ica`` simulates runs of 24,000 voxels and a template from other people, and times the plain
reference (float64, a whitened copy of the run, one component at a time) and ours (float32, all components) on the same
run, one thread each. Seconds are medians over the repeats.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from tests.gig_reference import plain_gig_ica
from threadpoolctl import threadpool_limits

from gradspec.ica.gig_ica import gig_ica
from gradspec.ica.images import prepare

SHAPE = (37, 37, 37)
SIZES = {  # components, volumes
    "25 components, 120 volumes": (25, 120),
    "53 components, 200 volumes": (53, 200),
    "105 components, 200 volumes": (105, 200),
}


def simulate(seed: int, n_components: int, n_volumes: int) -> tuple[np.ndarray, np.ndarray]:
    """Simulate a prepared run and a template.

    Parameters
    ----------
    seed : int
        Seed of everything.
    n_components, n_volumes : int
        Size; there are five sources more, which are the participant's own and not in the template.

    Returns
    -------
    signal : array, (time, voxel)
        Prepared run: blobs moved by a few millimetres against the template, AR(1) time courses, white noise of three
        times their size.
    template : array, (component, voxel)
        Blobs where most people have them.
    """
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij"), axis=-1).reshape(-1, 3)
    voxels = grid[np.square(grid).sum(axis=1) < 1.0]
    centres = rng.uniform(-0.55, 0.55, (n_components + 5, 3))

    def blobs(at: np.ndarray) -> np.ndarray:
        return np.exp(-np.square(voxels[None] - at[:, None]).sum(axis=2) / (2 * 0.12**2))

    courses = rng.standard_normal((n_volumes, len(centres)))
    for t in range(1, n_volumes):
        courses[t] += 0.6 * courses[t - 1]
    own = blobs(centres + rng.normal(0, 0.04, centres.shape))
    signal = 1000 + courses @ own + 3 * rng.standard_normal((n_volumes, len(voxels)))
    return prepare(signal.astype(np.float32)), blobs(centres[:n_components])


def measure(name: str, repeats: int) -> dict[str, Any]:
    """Time both on as many runs as there are repeats.

    Returns
    -------
    dict
        ``seconds`` and ``plain_seconds`` (CPU, median), their ``ratio``, and ``correlation``, the smallest of a map
        with that of the reference.
    """
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    correlation = 1.0
    for seed in range(repeats):
        signal, template = simulate(seed, *SIZES[name])
        ours = _time(seconds["ours"], lambda: gig_ica(signal, template).maps)  # noqa: B023
        plain = _time(seconds["plain"], lambda: plain_gig_ica(signal, template)[0])  # noqa: B023
        pairs = zip(ours, plain, strict=True)
        correlation = min(correlation, *(float(np.corrcoef(a, b)[0, 1]) for a, b in pairs))
    ours_median, plain_median = median(seconds["ours"]), median(seconds["plain"])
    return {
        "size": name,
        "seconds": ours_median,
        "plain_seconds": plain_median,
        "ratio": plain_median / ours_median,
        "correlation": correlation,
    }


def _time(seconds: list[float], run: Callable[[], np.ndarray]) -> np.ndarray:
    begin = time.process_time()
    result = run()
    seconds.append(time.process_time() - begin)
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and write its rows where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gig_ica", description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="runs of each size")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to a file")
    options = parser.parse_args(arguments)
    rows = []
    print(f"{'size':30}{'ours (s)':>10}{'plain (s)':>11}{'ratio':>8}{'smallest r':>12}")
    with threadpool_limits(1):
        for name in SIZES:
            row = measure(name, options.repeats)
            rows.append(row)
            print(
                f"{name:30}{row['seconds']:10.3f}{row['plain_seconds']:11.2f}{row['ratio']:8.1f}"
                f"{row['correlation']:12.6f}"
            )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
