"""Head motion: our two estimators beside ``ants.motion_correction`` and nipype's SpaceTimeRealigner.

``python -m benchmarks.preprocess`` moves the brain of nilearn's template by known poses, adds noise, and gives the same
volumes to each estimator, one thread each. CPU seconds are those of the process and its children, the peers' with the
resampling that they do in the same call; the error is the root mean square displacement over the brain, in mm. In every
repeat, a run of its own, all estimators take their turn; numbers are medians over the repeats. A peer that is not
installed (SpaceTimeRealigner needs nipy) is said to be missing.
"""

import argparse
import json
import os
import resource
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation
from threadpoolctl import threadpool_limits

from gradspec.preprocess.geometry import from_itk_transform, image_centre, rigid_matrix
from gradspec.preprocess.images import write_image
from gradspec.preprocess.realignment import realign_run
from gradspec.preprocess.resampling import sample, transform_points
from gradspec.preprocess.template import load_template_t1w

VOXEL = 3.0
SHAPE = (53, 62, 51)
NOISE = 0.01  # of the brightest voxel


def simulate(n_volumes: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Move the template's brain about.

    Parameters
    ----------
    n_volumes : int
        Length of the run.
    seed : int
        Seed of poses and noise.

    Returns
    -------
    bold : array, shape (x, y, z, time)
        The run, float32.
    affine : array, shape (4, 4)
        Voxel to world matrix, in mm.
    poses : array, shape (time, 4, 4)
        World matrices from the template to each volume: a random walk of about 0.1 mm and 0.1 degrees a volume.
    """
    rng = np.random.default_rng(seed)
    template = load_template_t1w(1.0)
    fine = template.get_fdata(dtype=np.float32)
    affine = np.diag([VOXEL, VOXEL, VOXEL, 1.0])
    middle = image_centre(fine.shape, template.affine)
    affine[:3, 3] = middle - VOXEL * (np.array(SHAPE) - 1) / 2
    steps = rng.normal(0, 1, (n_volumes, 6)) * [0.1, 0.1, 0.1, 0.0017, 0.0017, 0.0017]
    poses = np.stack([rigid_matrix(parameters, middle) for parameters in steps.cumsum(axis=0)])
    grid = np.indices(SHAPE).reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]
    bold = np.empty((*SHAPE, n_volumes), dtype=np.float32)
    for index, pose in enumerate(poses):
        still = sample(fine, template.affine, transform_points(np.linalg.inv(pose), grid))
        bold[..., index] = 1000 * still.reshape(SHAPE) + rng.normal(0, 1000 * NOISE * fine.max(), SHAPE)
    return bold, affine, poses


def with_ours(method: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Give our estimator; its reference is made on the way, as in the workflow."""
    return lambda bold, affine: realign_run(bold, affine, method, seed=1)[1]


def with_ants(bold: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """``ants.motion_correction`` (BOLDRigid) to the middle volume."""
    import ants
    import SimpleITK as sitk

    with tempfile.TemporaryDirectory() as folder:
        write_image(bold, affine, Path(folder, "run.nii"), code="scanner", repetition_time=2.0)
        write_image(bold[..., bold.shape[3] // 2], affine, Path(folder, "middle.nii"), code="scanner")
        run, middle = (ants.image_read(str(Path(folder, f"{name}.nii"))) for name in ("run", "middle"))
    found = ants.motion_correction(run, fixed=middle, type_of_transform="BOLDRigid")["motion_parameters"]
    return np.stack([from_itk_transform(sitk.ReadTransform(names[0])) for names in found])


def with_nipype(bold: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Nipype's SpaceTimeRealigner (nipy), motion only; a row of its text is a translation and a rotation vector."""
    from nipype.interfaces.nipy import SpaceTimeRealigner

    with tempfile.TemporaryDirectory() as folder:
        write_image(bold, affine, Path(folder, "run.nii"), code="scanner", repetition_time=2.0)
        outputs = SpaceTimeRealigner(in_file=[str(Path(folder, "run.nii"))]).run(cwd=folder).outputs
        parameters = np.loadtxt(outputs.par_file)
    found = np.tile(np.eye(4), (len(parameters), 1, 1))
    found[:, :3, :3] = Rotation.from_rotvec(parameters[:, 3:]).as_matrix()
    found[:, :3, 3] = parameters[:, :3]
    return found @ np.linalg.inv(found[len(found) // 2])


ESTIMATORS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "precise (SimpleITK)": with_ours("precise"),
    "fast (Gauss-Newton)": with_ours("fast"),
    "ants.motion_correction": with_ants,
    "SpaceTimeRealigner": with_nipype,
}


def measure(name: str, bold: np.ndarray, affine: np.ndarray, poses: np.ndarray) -> dict[str, Any]:
    """Run one estimator.

    Returns
    -------
    dict
        ``seconds`` of CPU a volume, and ``error``, the root mean square displacement in mm over the brain and all
        volumes; both None where the peer is missing.
    """
    before = _cpu_seconds()
    try:
        found = ESTIMATORS[name](bold, affine)
    except ImportError:
        return {"estimator": name, "seconds": None, "error": None}
    seconds = (_cpu_seconds() - before) / len(poses)
    return {"estimator": name, "seconds": seconds, "error": _error(found, bold, affine, poses)}


def measure_all(n_volumes: int, seed: int, repeats: int) -> list[dict[str, Any]]:
    """Run all estimators by turns, on as many runs as there are repeats.

    Returns
    -------
    list of dict
        A row for each estimator as of `measure`, with medians over the repeats.
    """
    rounds = []
    for repeat in range(repeats):
        run = simulate(n_volumes, seed + repeat)
        rounds.append([measure(name, *run) for name in ESTIMATORS])
    return [
        {"estimator": name, **{key: _median([row[key] for row in rows]) for key in ("seconds", "error")}}
        for name, rows in zip(ESTIMATORS, zip(*rounds, strict=True), strict=True)
    ]


def _median(values: Sequence[float | None]) -> float | None:
    measured = [value for value in values if value is not None]
    return median(measured) if measured else None


def _cpu_seconds() -> float:
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in spent)


def _error(found: np.ndarray, bold: np.ndarray, affine: np.ndarray, poses: np.ndarray) -> float:
    middle = poses[len(poses) // 2]
    brain = np.argwhere(bold[..., len(poses) // 2] > 300)[::7] @ affine[:3, :3].T + affine[:3, 3]
    # Displacements are compared where the tissue lies in the middle volume, to which everybody aligns.
    squared = [
        ((transform_points(one, brain) - transform_points(pose @ np.linalg.inv(middle), brain)) ** 2).sum(axis=1).mean()
        for one, pose in zip(found, poses, strict=True)
    ]
    return float(np.sqrt(np.mean(squared)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and write its rows where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preprocess", description=__doc__.split("\n")[0])
    parser.add_argument("--volumes", type=int, default=40, help="length of the run")
    parser.add_argument("--seed", type=int, default=1, help="seed of poses and noise in the first run")
    parser.add_argument("--repeats", type=int, default=3, help="runs that each estimator is given")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to a file")
    options = parser.parse_args(arguments)
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"  # read when ITK is imported, which is later
    with threadpool_limits(1):
        rows = measure_all(options.volumes, options.seed, options.repeats)
    print(f"{'estimator':26}{'CPU (s/volume)':>16}{'error (mm)':>12}")
    for row in rows:
        seconds = "not installed" if row["seconds"] is None else f"{row['seconds']:.3f}"
        error = "" if row["error"] is None else f"{row['error']:.4f}"
        print(f"{row['estimator']:26}{seconds:>16}{error:>12}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
