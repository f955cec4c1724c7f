"""Peak memory of the jobs that see the whole cohort, against the number of participants.

Group ICA merges reductions of participants (30 components of 30,000 voxels each), at most `ica.merge_at_once` of them
a job. The spectra of 20 folds are merged as they are after 50 epochs of batches of 16, recorded at every step or at
every hundredth: three groups, two layers of 64 and 2 singular values. Every measurement is a process of its own.
"""

import argparse
import multiprocessing
import os
import resource
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import xarray as xr

from gradspec.files import write_dataset
from gradspec.ica.batches import part_into_batches
from gradspec.ica.reduced import kept_directions, merge_files, save_reduction
from gradspec.spectra.merge import merge_folds

N_VOXELS, N_REDUCED, N_COMPONENTS, AT_ONCE = 30_000, 30, 20, 64
N_FOLDS, N_EPOCHS, BATCH = 20, 50, 16


def merge_participants(folder: Path, n: int) -> None:
    """Merge the largest batch of a cohort; eight different files stand for all."""
    batches = part_into_batches([f"{number:06d}" for number in range(n)], AT_ONCE)
    largest = max(map(len, batches.values())) if batches else n
    files = [folder / f"{number}.npy" for number in range(8)]
    rng = np.random.default_rng(0)
    for file in files:
        save_reduction(rng.standard_normal((N_REDUCED, N_VOXELS), dtype=np.float32), file)
    merge_files([files[number % 8] for number in range(largest)], kept_directions(N_COMPONENTS))


def merge_spectra(folder: Path, n: int, record_every: int = 1) -> None:
    """Merge the spectra of all folds of a model."""
    n_steps = n * (N_FOLDS - 1) // N_FOLDS // BATCH * N_EPOCHS // record_every
    paths = [folder / f"{fold}.nc" for fold in range(N_FOLDS)]
    for fold, path in enumerate(paths):
        write_dataset(_fold(fold, n_steps), path)
    write_dataset(merge_folds(paths), folder / "merged.nc")


def merge_sparse_spectra(folder: Path, n: int) -> None:
    """Merge spectra of which every hundredth step was recorded."""
    merge_spectra(folder, n, record_every=100)


def _fold(fold: int, n_steps: int) -> xr.DataTree:
    rng = np.random.default_rng(fold)
    root = xr.Dataset(
        {
            "n": (("step", "group"), np.tile([BATCH // 2, BATCH // 2, BATCH], (n_steps, 1))),
            "epoch": ("step", np.arange(n_steps) * N_EPOCHS // max(n_steps, 1)),
            "loss": ("step", rng.random(n_steps)),
            "group_loss": (("step", "group"), rng.random((n_steps, 3))),
        },
        coords={"step": np.arange(n_steps), "group": ["control", "patient", "pooled"]},
        attrs={
            "model": "mlp",
            "repeat": 0,
            "fold": fold,
            "seed": fold,
            "loss_reduction": "mean",
            "group_definition": "",
        },
    )
    nodes = {"/": root}
    for layer, shape in {"hidden.weight": (64, 1000), "output.weight": (2, 64)}.items():
        spectra = -np.sort(-rng.random((n_steps, 3, min(shape))), axis=-1)
        nodes[layer] = xr.Dataset(
            {"gradient": (("step", "group", "index"), spectra)},
            attrs={"layer": "Linear", "shape": list(shape), "route": "sample side"},
        )
    return xr.DataTree.from_dict(nodes)


def peak_mib(task: Callable[[Path, int], None], n: int) -> float:
    """Run a task and return the peak memory of this process, in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        task(Path(folder), n)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print a row for each number of participants."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling_memory", description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[20, 200, 2000], help="numbers of participants")
    tasks = (merge_participants, merge_spectra, merge_sparse_spectra)
    options = parser.parse_args()
    print(f"{'participants':>12}", *(f"{task.__name__:>22}" for task in tasks), "(MiB)")
    context = multiprocessing.get_context("spawn")
    for n in options.sizes:
        with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
            print(f"{n:>12}", *(f"{pool.submit(peak_mib, task, n).result():>22.0f}" for task in tasks), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
