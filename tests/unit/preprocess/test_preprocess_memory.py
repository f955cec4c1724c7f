"""No step may need more than three copies of the run: what is allocated at the peak is measured."""

import importlib
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from gradspec.cohort.runs import BoldRun
from gradspec.preprocess.denoised import denoise_participant
from gradspec.preprocess.geometry import write_itk_transforms
from gradspec.preprocess.interfaces.functional import CorrectSliceTiming, EstimateMotion, ResampleBold
from gradspec.preprocess.realignment import realign_run
from gradspec.preprocess.template import dilated_brain, load_template

SHAPE = (50, 60, 46)  # as many voxels as a real volume: what is done in blocks needs only a part of them
AFFINE = np.array([[-3.0, 0, 0, 73.5], [0, 3.0, 0, -88.5], [0, 0, 3.0, -67.5], [0, 0, 0, 1]])
N_VOLUMES = 60
RESOLUTION = 3.0


@contextmanager
def at_most(copies: float, n_voxels: int) -> Iterator[None]:
    """Fail if a block allocates more than some copies of a run as float32."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= copies * 4 * n_voxels, f"{peak / (4 * n_voxels):.2f} copies"


@pytest.fixture(scope="module")
def run(head: Callable[..., np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a head at rest."""
    path = tmp_path_factory.mktemp("memory") / "sub-01_task-rest_bold.nii.gz"
    rng, still = np.random.default_rng(1), head(shape=SHAPE, affine=AFFINE)
    run = np.stack([still + rng.normal(0, 5, still.shape) for _ in range(N_VOLUMES)], axis=3)
    nib.save(nib.Nifti1Image(run.clip(0).astype(np.int16), AFFINE), path)
    return path


def size_of(path: Path) -> int:
    return int(np.prod(nib.load(path).shape))


@pytest.fixture(scope="module", autouse=True)
def everything_imported(run: Path) -> None:
    """Code and templates that stay in memory are no part of a run."""
    load_template(RESOLUTION)
    for name in ("nilearn.masking", "nilearn.image", "scipy.interpolate", "SimpleITK"):
        importlib.import_module(name)
    image = nib.load(run)
    realign_run(image.get_fdata(dtype=np.float32)[..., :2], AFFINE, "fast", seed=1)


def test_head_motion(run: Path, tmp_path: Path) -> None:
    step = EstimateMotion(in_file=str(run), method="fast", seed=1, dummy_scans=0)
    with at_most(3, size_of(run)):
        step.run(cwd=tmp_path)


def test_slice_timing(run: Path, tmp_path: Path) -> None:
    times = np.linspace(0, 1.9, nib.load(run).shape[2]).tolist()
    step = CorrectSliceTiming(in_file=str(run), times=times, direction="k", repetition_time=2.0, n_dummies=0)
    with at_most(3, size_of(run)):
        step.run(cwd=tmp_path)


def test_resampling(run: Path, tmp_path: Path) -> None:
    template = load_template(RESOLUTION)
    inside = dilated_brain(template)
    affine = template.brain.affine
    np.save(tmp_path / "points.npy", np.argwhere(inside) @ affine[:3, :3].T + affine[:3, 3])
    write_itk_transforms(np.tile(np.eye(4), (N_VOLUMES, 1, 1)), tmp_path / "motion.txt")
    write_itk_transforms(np.eye(4)[np.newaxis], tmp_path / "coregistration.txt")
    nib.save(nib.Nifti1Image(np.ones(nib.load(run).shape[:3], np.uint8), AFFINE), tmp_path / "mask.nii")
    step = ResampleBold(
        in_file=str(run),
        in_mask=str(tmp_path / "mask.nii"),
        motion=str(tmp_path / "motion.txt"),
        coregistration=str(tmp_path / "coregistration.txt"),
        points=str(tmp_path / "points.npy"),
        resolution=RESOLUTION,
        repetition_time=2.0,
    )
    with at_most(3, max(size_of(run), inside.size * N_VOLUMES)):
        step.run(cwd=tmp_path)


def test_denoising(run: Path, tmp_path: Path) -> None:
    everywhere = np.ones(nib.load(run).shape[:3], np.uint8)
    everywhere[0] = 0
    nib.save(nib.Nifti1Image(everywhere, AFFINE), tmp_path / "mask.nii")
    source = BoldRun("sub-01", run, mask=tmp_path / "mask.nii", repetition_time=2.0, n_volumes=N_VOLUMES)
    denoise = {"strategy": "none", "linear_trend": True, "scrub": False, "high_pass": 0.008}
    settings = {"denoise": {**denoise, "min_degrees_of_freedom": 10}, "fwhm": 6.0, "intensity": "grand_mean"}
    with at_most(3, size_of(run)):
        denoise_participant("sub-01", [source], tmp_path, settings)
