"""Whole participants: CPU seconds and peak memory of every step against the number of volumes.

``python -m benchmarks.preprocess_participant`` simulates a participant (T1w image of 2 mm, run of 3 mm) and takes it
from raw images to denoised ones in a child process for each length of run. Memory is what a step adds to the process at
its peak, in copies of the run (float32; the larger of the raw one and that in template space); ANTs runs in processes
of its own, whose CPU time is counted and whose memory is not. Linux only.
"""

import argparse
import json
import logging
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

N_SIMULATED = 20
SETTINGS: dict[str, Any] = {
    "dummy_scans": None,
    "slice_timing": True,
    "resolution": 3.0,
    "fwhm": 6.0,
    "quality": {},
    "denoise": {"strategy": "24P+aCompCor", "scrub": True, "high_pass": 0.008, "min_degrees_of_freedom": 1},
}


def simulate(folder: Path, lengths: Sequence[int], seed: int) -> None:
    """Write ``T1w.nii.gz`` and a run ``<length>.nii.gz`` of every length; 20 volumes are simulated, then repeated."""
    from gradspec.cohort.simulate import simulate_design, simulate_participant

    simulated = {
        "n_participants": 2,
        "n_volumes": N_SIMULATED,
        "repetition_time": 2.0,
        "n_networks": 8,
        "bold_voxel_size": 3.0,
        "t1w_voxel_size": 2.0,
        "effect": 0.5,
        "max_displacement": 1.0,
        "noise": 1.0,
    }
    design, _ = simulate_design(simulated, ["control", "patient"], seed)
    scan = simulate_participant(str(design["participant"].values[0]), design, simulated, seed)
    nib.save(scan.t1w, folder / "T1w.nii.gz")
    run, rng = np.asarray(scan.bold.dataobj), np.random.default_rng(seed)
    for length in lengths:
        order = np.arange(length) % (2 * N_SIMULATED)
        order = np.where(order < N_SIMULATED, order, 2 * N_SIMULATED - 1 - order)  # there and back: no jump
        volumes = np.stack([run[..., index] + rng.integers(-5, 6, run.shape[:3]) for index in order], axis=3)
        nib.save(
            nib.Nifti1Image(volumes.clip(0).astype(np.int16), scan.bold.affine, scan.bold.header),
            folder / f"{length}.nii.gz",
        )


def process(folder: Path, length: int, method: str, results: Any) -> None:
    """Run both stages in this process and put the rows of its steps into a queue."""
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"  # read when ITK is imported, which is later
    from gradspec.cohort.runs import BoldRun
    from gradspec.preprocess.denoised import denoise_participant
    from gradspec.preprocess.interfaces import Step
    from gradspec.preprocess.participant import preprocess_participant

    logging.getLogger("nipype").setLevel(logging.ERROR)
    rows: list[dict[str, Any]] = []
    compute = Step._run_interface

    def measured(self: Step, runtime: Any) -> Any:
        with measure(type(self).__name__, rows):
            return compute(self, runtime)

    Step._run_interface = measured  # type: ignore[method-assign]
    slices = nib.load(folder / f"{length}.nii.gz").shape[2]
    times = tuple(float(moment) for moment in np.linspace(0, 1.9, slices))
    run = BoldRun(
        "sub-01",
        folder / f"{length}.nii.gz",
        t1w=folder / "T1w.nii.gz",
        repetition_time=2.0,
        n_volumes=length,
        slice_timing=times,
        slice_encoding_direction="k",
    )
    settings = {**SETTINGS, "motion": method, "normalization": method}
    done = preprocess_participant("sub-01", [run], folder / "preprocessed", settings, seed=1)
    with measure("denoise", rows):
        denoise_participant("sub-01", done, folder / "denoised", settings)
    template = np.prod(nib.load(done[0].bold).shape)
    raw = np.prod(nib.load(folder / f"{length}.nii.gz").shape)
    results.put((rows, _cpu_seconds(), 4 * int(max(template, raw))))


@contextmanager
def measure(name: str, rows: list[dict[str, Any]]) -> Iterator[None]:
    """Add a row with the wall and CPU seconds of a block, and the memory (bytes) that it added at its peak."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew (Linux)
    before, wall, cpu = _status("VmRSS"), time.perf_counter(), _cpu_seconds()
    yield
    rows.append(
        {
            "step": name,
            "wall": time.perf_counter() - wall,
            "cpu": _cpu_seconds() - cpu,
            "memory": _status("VmHWM") - before,
            "total": _status("VmHWM"),
        }
    )


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])


def _cpu_seconds() -> float:
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in spent)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table for every length, and write its rows where asked to."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.preprocess_participant", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--volumes", type=int, nargs="+", default=[60, 120, 240], help="lengths of the run")
    parser.add_argument("--method", choices=["fast", "precise"], default="fast", help="of motion and normalization")
    parser.add_argument("--seed", type=int, default=1, help="seed of the participant")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to a file")
    options = parser.parse_args(arguments)
    context = multiprocessing.get_context("spawn")
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate(folder, options.volumes, options.seed)
        for length in options.volumes:
            queue = context.Queue()
            child = context.Process(target=process, args=(folder, length, options.method, queue))
            child.start()
            rows, cpu, size = queue.get()
            child.join()
            peak = max(row["total"] for row in rows)
            print(f"\n{length} volumes: {cpu:.0f} CPU s, peak {peak / 2**20:.0f} MiB; a copy is {size / 2**20:.0f} MiB")
            print(f"{'step':24}{'CPU (s)':>9}{'copies':>8}")
            for row in (row for row in rows if row["step"] != "SaveDerivative"):
                print(f"{row['step']:24}{row['cpu']:9.1f}{row['memory'] / size:8.2f}", flush=True)
            found.append({"volumes": length, "cpu": cpu, "copy": size, "peak": peak, "steps": rows})
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
