from collections.abc import Callable

import numpy as np
import pytest

from gradspec.errors import ParticipantError
from gradspec.preprocess.geometry import rigid_matrix
from gradspec.preprocess.motion import LeastSquaresAligner
from gradspec.preprocess.mutual_information import coregister
from gradspec.preprocess.realignment import make_reference, realign_run
from gradspec.preprocess.resampling import transform_points

AFFINE = np.array([[-5.0, 0, 0, 72.5], [0, 5.0, 0, -87.5], [0, 0, 5.0, -67.5], [0, 0, 0, 1]])
CENTRE = np.zeros(3)
Evaluate = Callable[..., np.ndarray]


def make_poses(n: int) -> np.ndarray:
    steps = np.random.default_rng(0).normal(0, 1, (n, 6)) * [0.4, 0.4, 0.4, 0.007, 0.007, 0.007]
    return np.stack([rigid_matrix(parameters, CENTRE) for parameters in steps.cumsum(axis=0)])


def displacement_error(found: np.ndarray, true: np.ndarray, points: np.ndarray) -> float:
    difference = transform_points(found, points) - transform_points(true, points)
    return float(np.sqrt((difference**2).sum(axis=1).mean()))


def make_run(head: Evaluate, poses: np.ndarray, noise: float) -> np.ndarray:
    run = np.stack([head(pose) for pose in poses], axis=3)
    return run + np.random.default_rng(2).normal(0, noise, run.shape).astype(np.float32)


@pytest.mark.parametrize(("method", "n_volumes", "tolerance"), [("fast", 9, 0.05), ("precise", 3, 0.1)])
def test_known_motion_is_recovered(
    head: Evaluate, brain_points: np.ndarray, method: str, n_volumes: int, tolerance: float
) -> None:
    poses = make_poses(n_volumes)
    _, motion = realign_run(make_run(head, poses, noise=5), AFFINE, method, seed=1)
    middle = poses[n_volumes // 2]
    errors = [displacement_error(found @ middle, pose, brain_points) for found, pose in zip(motion, poses, strict=True)]
    assert np.sqrt(np.mean(np.square(errors))) < tolerance
    assert displacement_error(np.eye(4), poses[-1], brain_points) > 0.5, "the test moves the head"


def test_a_large_shift_and_another_brightness_are_recovered(head: Evaluate, brain_points: np.ndarray) -> None:
    pose = rigid_matrix(np.array([6, -5, 7, 0.1, -0.08, 0.12]), CENTRE)
    reference = head()
    aligner = LeastSquaresAligner(reference, reference > 500, AFFINE)
    found, correlation = aligner.align(1.3 * head(pose))
    assert displacement_error(found, pose, brain_points) < 0.06, "of 14 mm and 10 degrees at once"
    assert correlation > 0.99


def test_the_reference_lies_as_the_middle_volume_and_is_less_noisy(head: Evaluate) -> None:
    poses = make_poses(9)
    run = make_run(head, poses, noise=40)
    reference, truth = make_reference(run, AFFINE), head(poses[4])
    brain = truth > 500
    assert np.std((reference - truth)[brain]) < 0.6 * np.std((run[..., 4] - truth)[brain])


def test_a_volume_of_nothing_is_named(head: Evaluate) -> None:
    run = make_run(head, make_poses(6), noise=5)
    run[..., 4] = np.roll(run[..., 0], 15, axis=1)[::-1]
    run[..., 4] = np.where(np.indices(run.shape[:3])[0] < 3, 1000, 0)
    with pytest.raises(ParticipantError, match="volume 4"):
        realign_run(run, AFFINE, "fast", seed=1)


def test_the_same_seed_gives_the_same_motion(head: Evaluate) -> None:
    run = make_run(head, make_poses(2), noise=5)
    first, second = (realign_run(run, AFFINE, "precise", seed=3)[1] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_coregistration_finds_another_contrast_far_away(head: Evaluate, brain_points: np.ndarray) -> None:
    pose = rigid_matrix(np.array([9, -6, 7, 0.1, 0.06, -0.12]), CENTRE)
    fine = np.array([[3.0, 0, 0, -78], [0, 3, 0, -96], [0, 0, 3, -78], [0, 0, 0, 1]])
    t1w = head(pose, shape=(53, 65, 53), affine=fine)
    inverted = np.where(t1w > 300, 2500 - t1w, 0)
    found = coregister(head() * (head() > 300), AFFINE, inverted, fine, seed=1)
    assert displacement_error(found, pose, brain_points) < 1.0, "a fifth of a voxel"
