"""Training in several processes, as data-parallel training runs: what each process does, for tests to spawn."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from capture_cases import CASE
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gradspec.capture import SpectraRecorder

NAMES = ["control", "patient"]

# Labels of the batch of each of two processes: of equal and unequal size, with a group that one of them lacks.
LABELS = {
    "mixed": [[0, 1, 0, 1, 1, -1, 1], [1, 0, 0, 0, 1, 1, 0]],
    "sizes": [[0, 1, 0, 1, 1, -1, 1], [1, 0]],
    "apart": [[0, 0, 0, -1], [1, 1, 1, 1]],
}
STEPS = list(LABELS)


def batch_of(name: str, pattern: str, rank: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, classes and labels of a process's batch."""
    _, x, y = CASE[name].make(dtype)
    labels = torch.tensor(LABELS[pattern][rank])
    shift = 3 * rank
    return x.roll(shift, 0)[: len(labels)] + rank, y.roll(shift)[: len(labels)], labels


def forkserver() -> multiprocessing.context.ForkServerContext:
    """Where processes come from that find all imported which takes seconds to import."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "h5netcdf", "torch._dynamo", "xarray"])
    return context


def in_two_processes(folder: Path, work: Callable[..., None], *arguments: object) -> None:
    """Run ``work(rank, folder, *arguments)`` in two processes with a gloo process group; raise what either raises."""
    forkserver()
    context = mp.start_processes(_run, (folder, work, arguments), nprocs=2, join=False, start_method="forkserver")
    deadline = monotonic() + 60
    while not context.join(timeout=1):
        if monotonic() > deadline:
            for process in context.processes:
                process.kill()
            raise TimeoutError("the processes wait for each other")


def _run(rank: int, folder: Path, work: Callable[..., None], arguments: tuple[object, ...]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    try:
        work(rank, folder, *arguments)
    finally:
        dist.destroy_process_group()


def train_all(rank: int, folder: Path, names: list[str], processes: str, dtype: torch.dtype = torch.float64) -> None:
    """Train copies of some models, and leave each process's spectra of them in the folder."""
    for name in names:
        model, _, _ = CASE[name].make(dtype)
        with SpectraRecorder(
            model, NAMES, extras=CASE[name].extras, processes=processes, path=folder / f"{name}-{rank}.nc"
        ) as recorder:
            wrapped = DistributedDataParallel(model, find_unused_parameters=False)
            for pattern in STEPS:
                x, y, group = batch_of(name, pattern, rank, dtype)
                with recorder.step(group):
                    F.cross_entropy(wrapped(x), y).backward()
                wrapped.zero_grad()


def train_and_compare(rank: int, folder: Path, names: list[str]) -> None:
    """Check that gradients are those of data-parallel training without the recorder."""
    for name in names:
        gradients = []
        for is_recorded in (False, True):
            model, _, _ = CASE[name].make()
            recorder = SpectraRecorder(model, NAMES, extras=CASE[name].extras, processes="all")
            wrapped = DistributedDataParallel(model)
            x, y, group = batch_of(name, "sizes", rank)
            if is_recorded:
                with recorder.step(group):
                    F.cross_entropy(wrapped(x), y).backward()
            else:
                F.cross_entropy(wrapped(x), y).backward()
            gradients.append([_dense(parameter) for parameter in model.parameters()])
        for bare, recorded in zip(*gradients, strict=True):
            torch.testing.assert_close(recorded, bare, rtol=1e-10, atol=1e-12)


def accumulate(rank: int, folder: Path, name: str) -> None:
    """Accumulate all the batches of a process, synchronising at the last, as DDP is used."""
    model, _, _ = CASE[name].make()
    path = folder / f"{name}-{rank}.nc"
    with SpectraRecorder(model, NAMES, processes="all", path=path) as recorder:
        wrapped = DistributedDataParallel(model)
        with recorder.accumulate() as step:
            for pattern in STEPS[:-1]:
                x, y, group = batch_of(name, pattern, rank)
                with wrapped.no_sync(), step.batch(group):
                    F.cross_entropy(wrapped(x), y).backward()
            x, y, group = batch_of(name, STEPS[-1], rank)
            with step.batch(group):
                F.cross_entropy(wrapped(x), y).backward()


def lack_a_group_everywhere(rank: int, folder: Path) -> None:
    """A group that no process has, and one that overflows in one process."""
    model = nn.Linear(6, 5).double()
    with SpectraRecorder(model, [*NAMES, "nobody"], processes="all", path=folder / f"odd-{rank}.nc") as recorder:
        x = torch.ones(2, 6, dtype=torch.float64)
        x[0] *= torch.inf if rank else 1
        with recorder.step(torch.tensor([1, 0])):
            model(x).square().mean().backward()


def _dense(parameter: nn.Parameter) -> Tensor:
    return parameter.grad.to_dense().clone()
