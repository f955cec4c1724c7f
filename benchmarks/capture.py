"""What recording spectra costs: ratios to the plain training step, in CPU time and in memory.

``python -m benchmarks.capture`` trains five models on one thread and measures, in each step, the plain step and every
method one after the other on the same batch, so that whatever else the machine does meets all of them alike. A ratio is
that of the medians over the steps. Recorded are the exact spectra of two groups and pooled, in every step.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.methods import METHODS, Method, plain
from benchmarks.models import WORKLOADS, Workload

# Seconds of CPU a model, shared by the repeats of all methods.
BUDGET = 30.0
WARM_UP = 3


def measure(workload: Workload, repeats: int | None = None, by_group: bool = False) -> list[dict[str, Any]]:
    """Measure every method on one workload.

    Parameters
    ----------
    workload : Workload
        The model and its batches.
    repeats : int, optional
        Steps of each method; as many as fit the budget if not given.
    by_group : bool
        Whether the samples of a batch come sorted by group, rather than mixed.

    Returns
    -------
    list of dict
        For each method its name, ``ratio`` (CPU time) and ``memory_ratio`` (peak) to the plain step, ``milliseconds``
        (of CPU, median), and ``weights``, the number of matrices whose spectra it gives.
    """
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = workload.build()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    methods: dict[str, Method] = {"plain": plain(model), **{name: make(model) for name, make in METHODS.items()}}

    seconds: dict[str, list[float]] = {name: [] for name in methods}
    weights: dict[str, int] = {}
    start = time.process_time()
    while not _enough(len(seconds["plain"]) - WARM_UP, repeats, time.process_time() - start):
        batch = workload.draw(generator, by_group)
        for name, method in methods.items():
            begin = time.process_time()
            weights[name] = method(*batch)
            optimizer.step()
            optimizer.zero_grad()
            seconds[name].append(time.process_time() - begin)

    resident = _resident_bytes(model, optimizer)
    batch = workload.draw(generator, by_group)
    peaks = {name: resident + _peak_bytes(method, optimizer, batch) for name, method in methods.items()}
    medians = {name: median(values[WARM_UP:]) for name, values in seconds.items()}
    return [
        {
            "method": name,
            "ratio": medians[name] / medians["plain"],
            "memory_ratio": peaks[name] / peaks["plain"],
            "milliseconds": 1e3 * medians[name],
            "weights": weights[name],
        }
        for name in METHODS
    ]


def _enough(done: int, repeats: int | None, seconds: float) -> bool:
    return done >= repeats if repeats is not None else done >= 5 and seconds > BUDGET


def _resident_bytes(model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Bytes of parameters, buffers and the optimiser's state."""
    state = [value for values in optimizer.state.values() for value in values.values()]
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers(), *state))


def _peak_bytes(method: Method, optimizer: torch.optim.Optimizer, batch: Sequence[torch.Tensor]) -> int:
    """Most bytes of tensors that a step holds at a time, beyond what was there before it."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        method(*batch)
        optimizer.step()
        optimizer.zero_grad()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    changes = sorted((event["ts"], event["args"]["Bytes"]) for event in events if event["name"] == "[memory]")
    held = peak = 0
    for _, change in changes:
        held += change
        peak = max(peak, held)
    return peak


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and write its rows where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capture", description=__doc__.split("\n")[0])
    parser.add_argument("--model", action="append", choices=WORKLOADS, help="measure only this one; may be repeated")
    parser.add_argument("--sorted", action="store_true", help="samples sorted by group, as the workflow draws them")
    parser.add_argument("--quick", action="store_true", help="three steps a model: only whether it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to a file")
    options = parser.parse_args(arguments)

    torch.set_num_threads(1)
    rows = []
    print(f"{'model':22}{'method':8}{'weights':>8}{'ms':>9}{'ratio':>8}{'memory':>8}")
    for name in options.model or WORKLOADS:
        for row in measure(WORKLOADS[name], repeats=3 if options.quick else None, by_group=options.sorted):
            rows.append({"model": name, **row})
            print(
                f"{name:22}{row['method']:8}{row['weights']:8}{row['milliseconds']:9.2f}{row['ratio']:8.2f}"
                f"{row['memory_ratio']:8.2f}",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
