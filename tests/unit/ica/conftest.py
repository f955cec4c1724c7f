"""A small group with known sources, as arrays and as NIfTI files, and the truth about it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from jaxtyping import install_import_hook

from gradspec.cohort.runs import BoldRun

install_import_hook("gradspec.ica", "beartype.beartype")  # the shapes in the signatures are checked in these tests

SHAPE = (16, 16, 16)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
AFFINE[:3, 3] = -30


@dataclass
class Group:
    """What was simulated: shared maps, each participant's own maps and time courses, and the signals."""

    mask: np.ndarray
    maps: np.ndarray  # (source, voxel)
    own_maps: np.ndarray  # (participant, source, voxel)
    timecourses: np.ndarray  # (participant, time, source)
    signals: np.ndarray  # (participant, time, voxel)
    noise: float

    def images(self) -> list[nib.Nifti1Image]:
        return [to_image(signal, self.mask) for signal in self.signals]

    def mask_images(self) -> list[nib.Nifti1Image]:
        return [nib.Nifti1Image(self.mask.astype(np.uint8), AFFINE) for _ in self.signals]


def to_image(signal: np.ndarray, mask: np.ndarray) -> nib.Nifti1Image:
    data = np.zeros((*mask.shape, len(signal)), dtype=np.float32)
    data[mask] = signal.T
    image = nib.Nifti1Image(data, AFFINE)
    image.header.set_zooms((4, 4, 4, 2.0))
    return image


def simulate(seed: int, n_participants: int = 12, n_volumes: int = 60, n_sources: int = 8, noise: float = 1.0) -> Group:
    """Blob-like, super-Gaussian maps that differ a little between participants; AR(1) time courses; white noise."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij"), axis=-1)
    mask = (grid**2).sum(axis=-1) < 0.95
    positions = grid[mask]
    centres = positions[:0]
    for candidate in rng.permutation(positions):  # apart from each other, so that each is a source of its own
        if len(centres) < n_sources and (np.linalg.norm(centres - candidate, axis=1) > 0.55).all():
            centres = np.vstack([centres, candidate])

    def blobs(at: np.ndarray, width: float = 0.25) -> np.ndarray:
        return np.exp(-((positions[None] - at[:, None]) ** 2).sum(axis=-1) / (2 * width**2))

    maps = blobs(centres)
    own = np.empty((n_participants, *maps.shape))
    courses = np.empty((n_participants, n_volumes, n_sources))
    signals = np.empty((n_participants, n_volumes, mask.sum()), dtype=np.float32)
    for i in range(n_participants):
        own[i] = blobs(centres + rng.normal(0, 0.06, centres.shape)) * rng.uniform(0.7, 1.3, (n_sources, 1))
        course = rng.standard_normal((n_volumes, n_sources))
        for t in range(1, n_volumes):
            course[t] += 0.6 * course[t - 1]
        courses[i] = course - course.mean(axis=0)
        signals[i] = 1000 + courses[i] @ own[i] + noise * rng.standard_normal((n_volumes, mask.sum()))
    return Group(mask, maps, own, courses, signals, noise)


@pytest.fixture(scope="session")
def make_group() -> Callable[..., Group]:
    return simulate


@pytest.fixture(scope="session")
def group() -> Group:
    return simulate(1)


@pytest.fixture
def cohort(group: Group, tmp_path: Path) -> tuple[list[str], list[BoldRun]]:
    """Denoised runs of the group as the workflow lays them out, and the names of the participants."""
    names = [f"sub-{k:02d}" for k in range(1, len(group.signals) + 1)]
    runs = []
    for name, image, mask in zip(names, group.images(), group.mask_images(), strict=True):
        folder = tmp_path / "denoised" / name / "func"
        folder.mkdir(parents=True)
        stem = f"{name}_task-rest_space-MNI152NLin2009aSym"
        bold, inside = folder / f"{stem}_desc-denoised_bold.nii.gz", folder / f"{stem}_desc-brain_mask.nii.gz"
        nib.save(image, bold)
        nib.save(mask, inside)
        runs.append(BoldRun(name, bold, mask=inside, repetition_time=2.0, n_volumes=image.shape[3]))
    return names, runs
