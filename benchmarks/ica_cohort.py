"""A simulated cohort for the benchmark of group ICA: denoised runs as ``.nii.gz`` files, and the truth about them.

In the voxels of the MNI brain at 4 mm there are networks of two to four blobs that all participants share (moved and
stretched a little in each of them), artefacts that they share as well (a rim, a slab, a ventricle, a vessel), sources
of a participant's own, and noise that is partly smooth. Time courses are autocorrelated, networks are connected.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float
from nilearn.datasets import load_mni152_brain_mask
from scipy.ndimage import binary_erosion, gaussian_filter

N_NETWORKS = 16
N_OWN = 5
NOISE = 2.3  # CanICA and regression on the true time courses leave room to do better
REPETITION_TIME = 2.0


@dataclass(frozen=True)
class Design:
    """What the participants of a cohort share.

    Attributes
    ----------
    inside : array, (x, y, z)
        Brain mask.
    affine : array, (4, 4)
        Its affine.
    centres, weights : lists of arrays, (blob, 3) and (blob,)
        Position (mm) and height of the blobs of each network.
    artefacts : array, (artefact, voxel)
        Maps of the artefacts.
    mixing : array, (network, network)
        Makes the time courses of the networks correlate.
    n_volumes : int
        Volumes of a run.
    noise : float
        Standard deviation of the noise.
    seed : int
        Seed of everything.
    """

    inside: Bool[np.ndarray, "x y z"]
    affine: Float[np.ndarray, "4 4"]
    centres: list[Float[np.ndarray, "blob 3"]]
    weights: list[Float[np.ndarray, " blob"]]
    artefacts: Float[np.ndarray, "artefact voxel"]
    mixing: Float[np.ndarray, "network network"]
    n_volumes: int
    noise: float
    seed: int

    @property
    def positions(self) -> Float[np.ndarray, "voxel 3"]:
        """Positions of the voxels, in millimetres."""
        return nib.affines.apply_affine(self.affine, np.argwhere(self.inside))

    @property
    def maps(self) -> Float[np.ndarray, "source voxel"]:
        """Maps of networks and artefacts, as shared by the participants."""
        networks = [_blobs(self.positions, at, height) for at, height in zip(self.centres, self.weights, strict=True)]
        return np.concatenate([networks, self.artefacts])


def design(seed: int, *, n_volumes: int = 120, noise: float = NOISE, resolution: int = 4) -> Design:
    """Draw the sources that the participants share."""
    rng = np.random.default_rng([seed, 0])
    image = load_mni152_brain_mask(resolution=resolution)
    inside = np.asanyarray(image.dataobj) > 0
    positions = nib.affines.apply_affine(image.affine, np.argwhere(inside))
    deep = positions[binary_erosion(inside, iterations=max(1, round(8 / resolution)))[inside]]
    free, centres, weights = deep, [], []
    for _ in range(N_NETWORKS):
        at = []
        for _ in range(rng.integers(2, 5)):
            at.append(free[rng.integers(len(free))])
            free = free[np.linalg.norm(free - at[-1], axis=1) > 17]
        centres.append(np.array(at, dtype=np.float64))
        weights.append(rng.uniform(0.7, 1.3, len(at)))
    mixing = np.eye(N_NETWORKS) + 0.12 * rng.standard_normal((N_NETWORKS, N_NETWORKS))
    return Design(inside, image.affine, centres, weights, _artefacts(inside, positions), mixing, n_volumes, noise, seed)


def write_cohort(plan: Design, n_participants: int, folder: Path, n_jobs: int = 2) -> list[Path]:
    """Write a run a participant, ``sub-001_bold.nii.gz`` and so on; those that are there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"sub-{k + 1:03d}_bold.nii.gz" for k in range(n_participants)]
    missing = [(k, path) for k, path in enumerate(paths) if not path.exists()]
    with ProcessPoolExecutor(n_jobs) as pool:
        list(pool.map(partial(_write_participant, plan), *zip(*missing, strict=True)) if missing else [])
    return paths


def write_mask(plan: Design, path: Path) -> Path:
    """Write the brain mask."""
    nib.save(nib.Nifti1Image(plan.inside.astype(np.uint8), plan.affine), path)
    return path


def oracle_maps(plan: Design, sizes: Sequence[int]) -> dict[int, Float[np.ndarray, "source voxel"]]:
    """Give the mean over participants of the maps that regression on the true time courses gives: what can be had.

    Parameters
    ----------
    plan : Design
        The cohort.
    sizes : sequence of int
        Numbers of participants.

    Returns
    -------
    dict
        Mean maps of the first participants, by their number.
    """
    total = np.zeros((N_NETWORKS + len(plan.artefacts), int(plan.inside.sum())))
    means = {}
    for k in range(max(sizes)):
        signal, courses = _participant(plan, k)
        total += np.linalg.lstsq(courses, signal / signal.std(axis=0), rcond=None)[0][: len(total)]
        if k + 1 in sizes:
            means[k + 1] = total / (k + 1)
    return means


def participants(plan: Design, n_participants: int) -> Iterator[Float[np.ndarray, "time voxel"]]:
    """Give the signals of participants without writing them."""
    for k in range(n_participants):
        yield _participant(plan, k)[0]


def _write_participant(plan: Design, k: int, path: Path) -> None:
    signal, _ = _participant(plan, k)
    data = np.zeros((*plan.inside.shape, plan.n_volumes), dtype=np.float32)
    data[plan.inside] = 1000 + signal.T
    image = nib.Nifti1Image(data, plan.affine)
    image.header.set_zooms((*image.header.get_zooms()[:3], REPETITION_TIME))
    partial_path = path.with_name(f"partial-{path.name}")
    nib.save(image, partial_path)
    partial_path.replace(path)


def _participant(plan: Design, k: int) -> tuple[Float[np.ndarray, "time voxel"], Float[np.ndarray, "time source"]]:
    """Signal of a participant, and the time courses of all its sources (shared ones first)."""
    rng = np.random.default_rng([plan.seed, 1, k])
    positions = plan.positions
    networks = [
        _blobs(
            positions,
            at + rng.normal(0, 3.0, at.shape),
            height * rng.uniform(0.6, 1.4, len(height)),
            9 * rng.uniform(0.85, 1.15),
        )
        for at, height in zip(plan.centres, plan.weights, strict=True)
    ]
    artefacts = plan.artefacts * rng.uniform(0.5, 1.5, (len(plan.artefacts), 1))
    own = [
        _blobs(positions, positions[rng.integers(len(positions), size=3)], rng.uniform(0.7, 1.3, 3), 8)
        for _ in range(N_OWN)
    ]
    maps = np.concatenate([networks, artefacts, own]).astype(np.float32)
    courses = rng.standard_normal((plan.n_volumes, len(maps)))
    for t in range(1, plan.n_volumes):
        courses[t] = 0.6 * courses[t - 1] + 0.8 * courses[t]
    courses[:, :N_NETWORKS] = courses[:, :N_NETWORKS] @ plan.mixing
    courses -= courses.mean(axis=0)
    courses /= courses.std(axis=0)
    signal = courses.astype(np.float32) @ maps
    white = rng.standard_normal((plan.n_volumes, *plan.inside.shape), dtype=np.float32)
    smooth = gaussian_filter(white, (0, 0.7, 0.7, 0.7))[:, plan.inside]
    signal += plan.noise * (0.8 * white[:, plan.inside] + 0.6 * smooth / smooth.std())
    return signal, courses


def _blobs(
    positions: Float[np.ndarray, "voxel 3"],
    centres: Float[np.ndarray, "blob 3"],
    weights: Float[np.ndarray, " blob"],
    width: float = 9.0,
) -> Float[np.ndarray, " voxel"]:
    """Sum of Gaussian blobs, `width` (mm) their standard deviation."""
    squares = ((positions[None] - centres[:, None]) ** 2).sum(axis=-1)
    return weights @ np.exp(-squares / (2 * width**2))


def _artefacts(
    inside: Bool[np.ndarray, "x y z"], positions: Float[np.ndarray, "voxel 3"]
) -> Float[np.ndarray, "artefact voxel"]:
    """Rim of the brain (motion), ventricles, a slab of slices, a vessel in the midline."""
    rim = inside & ~binary_erosion(inside)
    x, y, z = positions.T
    return np.stack(
        [
            gaussian_filter((rim & (np.indices(inside.shape)[1] > inside.shape[1] / 2)).astype(float), 0.5)[inside],
            np.exp(-((np.abs(x) - 10) ** 2 / 50 + (y + 5) ** 2 / 400 + (z - 15) ** 2 / 80)),
            np.exp(-((z + 25) ** 2) / 30) * (y < 0),
            np.exp(-(x**2 + (np.hypot(y + 20, z - 10) - 55) ** 2) / 30),
        ]
    )
