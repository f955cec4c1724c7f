"""Group ICA beside nilearn's CanICA: time, memory, and how well true sources are found.

``python -m benchmarks.ica`` simulates cohorts as ``.nii.gz`` files (a seed each repeat), runs both on the same files
and cores, ten starts each, every run in a process of its own, and prints medians. CanICA gets the mask, its own
detrending and scaling, and no smoothing, as the others; maps are judged as they are, and with CanICA's default
threshold applied to those of either method (column ``thresholded``). Then the ICA step alone beside python-picard and
mne, and whether reproducibility between halves tells real from spurious components.

Seconds are those of the fit, from files to maps; processor time and memory (proportional set size) are those of the
process and its workers, start included.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.ica_cohort import NOISE, Design, design, oracle_maps, participants, write_cohort, write_mask

N_COMPONENTS = 25
N_STARTS = 10
METHODS = ("gradspec", "canica")
PERIOD = 0.05  # s between looks at the memory
TICK = os.sysconf("SC_CLK_TCK")


def fit(method: str, files: Sequence[str], mask: str, n_jobs: int) -> tuple[float, np.ndarray]:
    """Run a method; return the seconds of its fit, and its maps."""
    if method == "gradspec":
        from gradspec.ica.group import GroupICA

        ica = GroupICA(N_COMPONENTS, n_starts=N_STARTS, n_splits=0, n_jobs=n_jobs)
        start = time.perf_counter()
        ica.fit(files, [mask] * len(files))
        return time.perf_counter() - start, ica.components_
    from nilearn.decomposition import CanICA
    from nilearn.maskers import NiftiMasker

    peer = CanICA(
        n_components=N_COMPONENTS,
        n_init=N_STARTS,
        mask=mask,
        smoothing_fwhm=None,
        threshold=None,
        standardize="zscore_sample",
        random_state=0,
        n_jobs=n_jobs,
    )
    start = time.perf_counter()
    peer.fit(files)
    return time.perf_counter() - start, NiftiMasker(mask).fit().transform(peer.components_img_)


def measure(method: str, files: Sequence[Path], mask: Path, cores: int, folder: Path) -> dict[str, Any]:
    """Run a method in a process of its own, on so many cores, and watch that and its workers."""
    maps = folder / "maps.npy"
    command = [sys.executable, "-m", "benchmarks.ica", "--fit", method, str(maps), str(mask), str(cores)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    child = subprocess.Popen(
        [*command, *map(str, files)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    peak, ticks = 0.0, {}
    while child.poll() is None:
        tree = list(_family(child.pid))
        peak = max(peak, sum(_proportional_kb(pid) for pid in tree) / 1024)
        ticks.update({pid: used for pid in tree if (used := _ticks(pid))})
        time.sleep(PERIOD)
    if child.returncode:
        raise RuntimeError(f"{method} failed; run `{' '.join(command)} FILES` to see why")
    assert child.stdout is not None
    return {
        "seconds": float(child.stdout.read().split()[-1]),
        "cpu_seconds": sum(ticks.values()) / TICK,
        "peak_mb": peak,
        "maps": np.load(maps, allow_pickle=False),
    }


def _family(pid: int) -> Iterable[int]:
    """Give a process and all that descend from it."""
    yield pid
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _family(int(child))
    except OSError:  # it has ended
        return


def _proportional_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def compare(
    sizes: Sequence[int], seeds: Sequence[int], cores: Sequence[int], work: Path, **options: Any
) -> list[dict[str, Any]]:
    """Measure both methods on cohorts of several sizes; return a row a size, method and number of cores."""
    measured: dict[tuple[int, str, int], list[dict[str, Any]]] = {}
    for seed in seeds:
        plan = design(seed, **options)
        folder = work / f"seed-{seed}_noise-{plan.noise:g}"
        files = write_cohort(plan, max(sizes), folder, max(cores))
        mask = write_mask(plan, folder / "mask.nii.gz")
        best = {size: recovery(maps, plan) for size, maps in oracle_maps(plan, sizes).items()}
        for size in sizes:
            for n_cores in cores:
                for method in METHODS:
                    run = measure(method, files[:size], mask, n_cores, work)
                    maps = run.pop("maps")
                    run |= {"recovery": recovery(maps, plan), "oracle": best[size]}
                    run["thresholded"] = recovery(_thresholded(maps), plan)
                    measured.setdefault((size, method, n_cores), []).append(run)
    return [
        {"participants": size, "method": method, "cores": n_cores}
        | {name: median(run[name] for run in runs) for name in runs[0]}
        for (size, method, n_cores), runs in measured.items()
    ]


def recovery(maps: np.ndarray, plan: Design) -> float:
    """Mean absolute correlation of the true maps with the components that fit them best, one to one."""
    from gradspec.ica.matching import match_components

    return float(match_components(maps, plan.maps)[2].mean())


def _thresholded(maps: np.ndarray) -> np.ndarray:
    """Keep as many values as a map has voxels, over all maps: the default threshold of CanICA."""
    size = np.abs(maps)
    return np.where(size > np.sort(size, axis=None)[-maps.shape[1]], maps, 0)


def reduce_in_memory(plan: Design, n_participants: int) -> list[np.ndarray]:
    """Reduce participants without writing them."""
    from gradspec.ica.images import prepare
    from gradspec.ica.reduction import principal_components

    return [principal_components(prepare(signal), plan.n_volumes // 2) for signal in participants(plan, n_participants)]


def steps(reductions: Sequence[np.ndarray], plan: Design, n_starts: int) -> list[dict[str, Any]]:
    """Time one start of ours, python-picard and mne on the same whitened data, to the same tolerance."""
    from gradspec.ica.decomposition import solve
    from gradspec.ica.reduction import merge, whiten_group

    whitened, _ = whiten_group(merge(reductions, 100), N_COMPONENTS)
    double = whitened.astype(np.float64)

    def picard(seed: int) -> np.ndarray:
        from picard import picard as solver

        options = {"ortho": False, "extended": False, "whiten": False, "centering": False, "tol": 1e-4}
        return solver(double, random_state=seed, **options)[2]

    def mne(seed: int) -> np.ndarray:
        from mne.preprocessing import infomax

        return infomax(2 * double.T, extended=False, rng=seed, w_change=1e-6, max_iter=512, verbose=False) @ double

    ours = {
        name: lambda seed, name=name: solve(whitened, np.random.default_rng(seed), name).unmixing @ whitened
        for name in ("infomax", "runica", "fastica")
    }
    rows = []
    for name, solver in {**ours, "picard": picard, "mne": mne}.items():
        seconds, found = [], []
        for seed in range(n_starts):
            start = time.process_time()
            try:
                maps = solver(seed)
            except ImportError:
                break
            seconds.append(time.process_time() - start)
            found.append(recovery(maps, plan))
        if seconds:
            rows.append({"step": name, "cpu_seconds": median(seconds), "recovery": median(found)})
    return rows


def tell_apart(reductions: Sequence[np.ndarray], plan: Design, n_components: int) -> dict[str, Any]:
    """Area under the curve with which either index tells components that are true sources from others."""
    import nibabel as nib
    from sklearn.metrics import roc_auc_score

    from gradspec.ica.group import GroupICA
    from gradspec.ica.matching import match_components

    mask = nib.Nifti1Image(plan.inside.astype(np.uint8), plan.affine)
    ica = GroupICA(n_components, n_starts=N_STARTS, n_splits=10).fit_reduced(reductions, mask)
    index, _, correlation = match_components(ica.components_, plan.maps)
    real = np.isin(np.arange(n_components), index[correlation > 0.4])
    return {
        "n_components": n_components,
        "n_real": int(real.sum()),
        "auc_halves": float(roc_auc_score(real, ica.reproducibility_)),
        "auc_starts": float(roc_auc_score(real, ica.stability_)),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, and write the rows of the first where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ica", description=__doc__.split("\n")[0])
    parser.add_argument("--participants", type=int, nargs="+", default=[20, 40, 80], help="sizes of the cohort")
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13], help="seeds of the cohorts, one a repeat")
    parser.add_argument("--cores", type=int, nargs="+", default=[2], help="numbers of cores")
    parser.add_argument("--noise", type=float, default=NOISE, help="standard deviation of the noise")
    parser.add_argument("--folder", type=Path, help="where cohorts are kept for the next time; else they are removed")
    parser.add_argument("--quick", action="store_true", help="a tiny cohort: only whether it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to a file")
    parser.add_argument("--fit", nargs="+", help=argparse.SUPPRESS)  # one measurement, in a process of its own
    options = parser.parse_args(arguments)
    if options.fit:
        method, maps, mask, cores, *files = options.fit
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cores)])
        seconds, found = fit(method, files, mask, int(cores))
        np.save(maps, found)
        print(seconds)
        return

    cohort = {"noise": options.noise, **({"n_volumes": 60, "resolution": 8} if options.quick else {})}
    sizes, seeds = ([8], [11]) if options.quick else (options.participants, options.seeds)
    with tempfile.TemporaryDirectory() as scratch:
        work = options.folder or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        rows = compare(sizes, seeds, options.cores, work, **cohort)
    columns = ("seconds", "cpu_seconds", "peak_mb", "recovery", "thresholded", "oracle")
    print(f"{'participants':>12}{'cores':>6} {'method':10}" + "".join(f"{name:>13}" for name in columns))
    for row in rows:
        values = "".join(f"{row[name]:13.3f}" for name in columns)
        print(f"{row['participants']:12}{row['cores']:6} {row['method']:10}{values}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")

    plan = design(seeds[0], **cohort)
    reductions = reduce_in_memory(plan, min(40, max(sizes)))
    print(f"\n{'step':10}{'cpu_seconds':>13}{'recovery':>13}")
    with threadpool_limits(1):
        rows = steps(reductions, plan, 3 if options.quick else N_STARTS)
    for row in rows:
        print(f"{row['step']:10}{row['cpu_seconds']:13.4f}{row['recovery']:13.4f}", flush=True)
    print(f"\n{'components':>10}{'true':>6}{'AUC halves':>12}{'AUC starts':>12}")
    for n_components in (N_COMPONENTS, 35):
        row = tell_apart(reductions, plan, n_components)
        print(
            f"{row['n_components']:10}{row['n_real']:6}{row['auc_halves']:12.3f}{row['auc_starts']:12.3f}", flush=True
        )


if __name__ == "__main__":
    main()
