from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from gradspec.errors import ParticipantError
from gradspec.preprocess.interfaces.functional import CorrectSliceTiming
from gradspec.preprocess.slice_timing import check_slice_times, correct_slice_timing, reference_time

REPETITION_TIME = 2.0
MULTIBAND = (0.0, 0.5, 1.0, 1.5, 0.0, 0.5, 1.0, 1.5)


def wave(seconds: np.ndarray) -> np.ndarray:
    return 100 + 10 * np.sin(2 * np.pi * 0.04 * seconds) + 5 * np.cos(2 * np.pi * 0.07 * seconds)


@pytest.mark.parametrize("direction", ["k", "k-", "i", "j-"])
def test_a_wave_is_brought_to_the_middle_of_the_volume(direction: str) -> None:
    starts = np.arange(60) * REPETITION_TIME
    times = MULTIBAND[::-1] if direction.endswith("-") else MULTIBAND
    slices = np.stack([wave(starts + time) for time in MULTIBAND])
    run = np.moveaxis(np.tile(slices[:, np.newaxis, np.newaxis], (1, 2, 3, 1)), 0, "ijk".index(direction[0]))
    expected = wave(starts + reference_time(MULTIBAND))
    assert np.abs(run - expected)[..., 3:-3].max() > 3, "the test shifts the slices"
    corrected = correct_slice_timing(run.astype(np.float32), times, direction, REPETITION_TIME)
    assert np.abs(corrected - expected)[..., 3:-3].max() < 0.02


def test_every_voxel_is_that_of_a_spline_through_its_own_times() -> None:
    run = np.random.default_rng(0).normal(100, 5, (3, 2, 4, 25))
    times = (1.2, 0.0, 0.6, 1.8)
    expected = run.copy()
    for voxel in np.ndindex(3, 2, 4):
        acquired = np.arange(2, 25) * REPETITION_TIME + times[voxel[2]]
        wanted = np.clip(np.arange(2, 25) * REPETITION_TIME + 0.9, acquired[0], acquired[-1])
        expected[voxel][2:] = CubicSpline(acquired, run[voxel][2:])(wanted)
    np.testing.assert_allclose(correct_slice_timing(run.copy(), times, "k", REPETITION_TIME, 2), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("times", "direction", "message"),
    [
        (None, "k", r"no SliceTiming \(seconds, one a slice\) in its JSON sidecar"),
        (MULTIBAND[:5], "k", "5 times, but the image has 8 slices"),
        (MULTIBAND, "i", "8 times, but the image has 2 slices along i"),
        (tuple(1000 * time for time in MULTIBAND), "k", "not milliseconds"),
        (MULTIBAND, "AP", "i, j or k is expected"),
    ],
)
def test_times_that_cannot_be_right_are_refused(times: tuple[float, ...] | None, direction: str, message: str) -> None:
    with pytest.raises(ParticipantError, match=message):
        check_slice_times(times, direction, (2, 3, 8, 10), REPETITION_TIME)


def test_a_refusal_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "sub-01_bold.nii"
    nib.save(nib.Nifti1Image(np.random.default_rng(0).normal(size=(3, 3, 3, 5)), np.eye(4)), path)
    step = CorrectSliceTiming(in_file=str(path), times=[], direction="k", repetition_time=2.0, n_dummies=0)
    with pytest.raises(ParticipantError, match=f"{path}: has no SliceTiming") as caught:
        step.run(cwd=str(tmp_path))
    assert caught.value.file == str(path)
