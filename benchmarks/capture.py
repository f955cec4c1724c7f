"""What recording spectra costs: ratios to the plain training step, in CPU time and in memory.

``python -m benchmarks.capture`` trains seven networks on one thread. In every round each method, the plain step among
them, trains for as many steps as the recorder solves together, on the same batches; a ratio is the median over the
rounds of a method's time over that of the plain step, so that whatever else the machine does meets both alike. Recorded
are the exact spectra of two groups and pooled, in every step, by ``naive``, ``hooks``, ``sync`` and ``worker``;
``budget`` records as many steps as cost 5 %, and its ratio is that of the sums over all rounds.

``--scaling`` prints the second table: the cost of ``sync`` against batch size, width of the layers, number of groups.
``--baseline FILE`` puts the ratios of an earlier run, written by ``--json``, beside those of this one.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when numpy and torch are imported

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.methods import METHODS, ON_DEVICE, Method, plain, recorder
from benchmarks.models import WORKLOADS, Workload, mlp

# Seconds of CPU a model, shared by the rounds of all methods.
BUDGET = 40.0
STEPS_A_ROUND = 16
CPU = torch.device("cpu")

Batch = tuple[torch.Tensor, torch.Tensor]
Row = dict[str, Any]


def measure(
    workload: Workload,
    rounds: int | None = None,
    by_group: bool = False,
    device: torch.device = CPU,
    only: Sequence[str] | None = None,
) -> list[Row]:
    """Measure every method on one workload.

    Parameters
    ----------
    workload : Workload
        The model and its batches.
    rounds : int, optional
        Rounds of each method; as many as fit the budget if not given, at least three.
    by_group : bool
        Whether the samples of a batch come sorted by group, rather than mixed.
    device : torch.device
        Where to train. On an accelerator, wall time is what counts, and memory isn't measured.
    only : sequence of str, optional
        Methods, if not all.

    Returns
    -------
    list of dict
        For each method its name, ``ratio`` (CPU time), ``wall_ratio`` and ``memory_ratio`` (peak) to the plain step,
        ``milliseconds`` (of CPU a step, median), and ``weights``, the number of matrices whose spectra it gives.
    """
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    methods = {"plain": plain, **METHODS, **(ON_DEVICE if device.type != "cpu" else {})}
    wanted = {name: make for name, make in methods.items() if only is None or name in ("plain", *only)}
    trainings = {name: _Training(workload.build, make, device) for name, make in wanted.items()}
    start = time.process_time()
    done = 0
    # The first round warms up. The naive ways take long and vary little: fewer steps of them do.
    while not _enough(done - 1, rounds, time.process_time() - start):
        drawn = [workload.draw(generator, by_group) for _ in range(STEPS_A_ROUND)]
        batches = [(x.to(device), group.to(device)) for x, group in drawn]
        for name, training in trainings.items():
            training.run(batches[:2] if name in ("naive", "hooks") else batches)
        done += 1

    batch = workload.draw(generator, by_group)
    base = trainings.pop("plain")
    is_on_host = device.type == "cpu"
    base_peak = base.peak_bytes(batch) if is_on_host else 0
    return [
        {
            "method": name,
            "ratio": training.ratio(base, "cpu", name == "budget"),
            "wall_ratio": training.ratio(base, "wall", name == "budget"),
            "memory_ratio": training.peak_bytes(batch) / base_peak if is_on_host else math.nan,
            "milliseconds": 1e3 * median(training.cpu[1:]),
            "weights": training.n_weights,
        }
        for name, training in trainings.items()
    ]


def measure_scaling(rounds: int | None = None) -> list[Row]:
    """Cost of recording every step of a small network against batch size, width and number of groups, one at a time."""
    rows = []
    settings = [
        *({"batch": batch, "width": 256, "groups": 2} for batch in (16, 32, 64, 128, 256)),
        *({"batch": 64, "width": width, "groups": 2} for width in (64, 128, 512, 768, 1024)),
        *({"batch": 64, "width": 256, "groups": groups} for groups in (4, 8, 16)),
    ]
    for setting in settings:
        workload = Workload(lambda width=setting["width"]: mlp(width), setting["batch"], (setting["width"],))
        generator = torch.Generator().manual_seed(0)
        names = [f"group{index}" for index in range(setting["groups"])]
        base, ours = _Training(workload.build, plain), _Training(workload.build, recorder(names))
        # the first round warms up
        for _ in range(1 + (rounds or 12)):
            steps = STEPS_A_ROUND if rounds is None else 2
            batches = [workload.draw(generator, False, setting["groups"]) for _ in range(steps)]
            for training in (base, ours):
                training.run(batches)
        rows.append({**setting, "milliseconds": 1e3 * median(base.cpu[1:]), "ratio": ours.ratio(base, "cpu", False)})
    return rows


class _Training:
    """A model that is trained by one method, and the time that it took."""

    def __init__(
        self, build: Callable[[], nn.Module], make: Callable[[nn.Module], Method], device: torch.device = CPU
    ) -> None:
        torch.manual_seed(0)
        self._model = build().to(device)
        self._wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
        self._optimizer = torch.optim.Adam(self._model.parameters(), 1e-3)
        self._method = make(self._model)
        self.n_weights = 0
        self.cpu: list[float] = []
        self.wall: list[float] = []

    def run(self, batches: Sequence[Batch]) -> None:
        """Train on some batches, and note the seconds a step."""
        self._wait()
        cpu, wall = time.process_time(), time.perf_counter()
        for batch in batches:
            self._step(batch)
        self._wait()
        self.cpu.append((time.process_time() - cpu) / len(batches))
        self.wall.append((time.perf_counter() - wall) / len(batches))

    def ratio(self, base: "_Training", clock: str, of_sums: bool) -> float:
        """Time relative to that of another training, without the first round."""
        own, others = getattr(self, clock)[1:], getattr(base, clock)[1:]
        if of_sums:
            return sum(own) / sum(others)
        return median(mine / theirs for mine, theirs in zip(own, others, strict=True))

    def peak_bytes(self, batch: Batch) -> int:
        """Most bytes of tensors in a step: parameters, buffers, optimiser and what the step itself holds at a time."""
        state = [value for values in self._optimizer.state.values() for value in values.values()]
        resident = sum(tensor.nbytes for tensor in (*self._model.parameters(), *self._model.buffers(), *state))
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            for _ in range(3):
                self._step(batch)
        with tempfile.TemporaryDirectory() as folder:
            trace = Path(folder) / "trace.json"
            profiler.export_chrome_trace(str(trace))
            events = json.loads(trace.read_text())["traceEvents"]
        changes = sorted((event["ts"], event["args"]["Bytes"]) for event in events if event["name"] == "[memory]")
        held = peak = 0
        for _, change in changes:
            held += change
            peak = max(peak, held)
        return resident + peak

    def _step(self, batch: Batch) -> None:
        self.n_weights = max(self._method(*batch), self.n_weights)
        self._optimizer.step()
        self._optimizer.zero_grad()


def _enough(done: int, rounds: int | None, seconds: float) -> bool:
    return done >= rounds if rounds is not None else done >= 3 and seconds > BUDGET


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and write its rows where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capture", description=__doc__.split("\n")[0])
    parser.add_argument("--model", action="append", choices=WORKLOADS, help="measure only this one; may be repeated")
    parser.add_argument("--sorted", action="store_true", help="samples sorted by group, as the workflow draws them")
    parser.add_argument("--scaling", action="store_true", help="cost against batch size, width, number of groups")
    parser.add_argument("--device", default="cpu", help="such as cuda, where the columns of wall time count")
    parser.add_argument("--quick", action="store_true", help="a round a model: only whether it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to a file")
    parser.add_argument("--baseline", type=Path, metavar="FILE", help="rows of an earlier run, to stand beside")
    options = parser.parse_args(arguments)

    torch.set_num_threads(1)
    rounds = 1 if options.quick else None
    before = json.loads(options.baseline.read_text()) if options.baseline else []
    rows = _print_scaling(before, rounds) if options.scaling else _print_methods(options, before, rounds)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


def _print_methods(options: argparse.Namespace, before: list[Row], rounds: int | None) -> list[Row]:
    rows = []
    earlier = {(row["model"], row["method"]): row["ratio"] for row in before}
    print(f"{'model':22}{'method':8}{'weights':>8}{'ms':>9}{'ratio':>8}{'wall':>8}{'memory':>8}{'earlier':>9}")
    for name in options.model or WORKLOADS:
        for row in measure(WORKLOADS[name], rounds, options.sorted, torch.device(options.device)):
            rows.append({"model": name, **row})
            print(
                f"{name:22}{row['method']:8}{row['weights']:8}{row['milliseconds']:9.2f}{row['ratio']:8.2f}"
                f"{row['wall_ratio']:8.2f}{row['memory_ratio']:8.2f}{_beside(earlier.get((name, row['method'])))}",
                flush=True,
            )
    return rows


def _print_scaling(before: list[Row], rounds: int | None) -> list[Row]:
    rows = measure_scaling(rounds)
    settings = ("batch", "width", "groups")
    earlier = {tuple(row[name] for name in settings): row["ratio"] for row in before}
    print(f"{'batch':>8}{'width':>8}{'groups':>8}{'plain ms':>10}{'ratio':>8}{'earlier':>9}")
    for row in rows:
        setting = tuple(row[name] for name in settings)
        print(
            f"{row['batch']:8}{row['width']:8}{row['groups']:8}{row['milliseconds']:10.2f}{row['ratio']:8.2f}"
            f"{_beside(earlier.get(setting))}"
        )
    return rows


def _beside(earlier: float | None) -> str:
    return f"{'-' if earlier is None else format(earlier, '.2f'):>9}"


if __name__ == "__main__":
    main()
