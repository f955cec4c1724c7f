"""Simulated heads move within bounds, rigidly, about their centre."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradspec.cohort.simulate_head import BRAIN_CENTRE
from gradspec.cohort.simulate_motion import (
    draw_pose,
    framewise_displacement,
    head_centre,
    head_motion,
    move_pose,
    rigid,
)


@settings(max_examples=30)
@given(n_volumes=st.integers(20, 120), limit=st.just(0.0) | st.floats(1e-3, 5.0), seed=st.integers(0, 2**32))
def test_motion_starts_at_zero_and_keeps_within_the_limit(n_volumes: int, limit: float, seed: int) -> None:
    motion = head_motion(n_volumes, limit, np.random.default_rng(seed))
    assert motion.shape == (n_volumes, 6)
    np.testing.assert_array_equal(motion[0], 0.0)
    assert np.abs(motion[:, :3]).max() <= limit * (1 + 1e-12)
    assert np.rad2deg(np.abs(motion[:, 3:])).max() <= limit * (1 + 1e-12)


def test_motion_is_there_and_differs_between_people() -> None:
    displacement = [framewise_displacement(head_motion(80, 1.0, np.random.default_rng(seed))) for seed in range(40)]
    means = np.array([course.mean() for course in displacement])
    assert (means > 0.01).all() and (means < 0.5).all()  # the demo's limit of quality is 0.5 mm
    assert means.max() > 2 * means.min()


def test_framewise_displacement_equals_the_sum_written_out() -> None:
    motion = head_motion(30, 2.0, np.random.default_rng(1))
    expected = [0.0]
    for before, now in pairwise(motion):
        expected.append(sum(abs(now[:3] - before[:3])) + sum(50.0 * abs(now[3:] - before[3:])))
    np.testing.assert_allclose(framewise_displacement(motion), expected)


def test_rigid_transform_turns_about_the_centre_in_the_stated_order() -> None:
    a, b, c = 0.1, -0.2, 0.3
    turn_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    turn_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    turn_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    centre, shift = np.array([3.0, -20.0, 10.0]), np.array([1.0, 2.0, -3.0])
    matrix = rigid(shift, np.array([a, b, c]), centre)
    np.testing.assert_allclose(matrix[:3, :3], turn_x @ turn_y @ turn_z)
    np.testing.assert_allclose(matrix @ [*centre, 1.0], [*(centre + shift), 1.0])


@pytest.mark.parametrize("seed", range(10))
def test_poses_are_some_degrees_and_millimetres_off_and_keep_the_size(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scale = rng.uniform(0.96, 1.04, 3)
    first = draw_pose(scale, rng)
    second = move_pose(first, rng)
    for pose in (first, second):
        np.testing.assert_allclose(np.linalg.norm(pose[:3, :3], axis=0), scale)
        assert np.linalg.norm(head_centre(pose) - BRAIN_CENTRE) < 25.0
    assert 0.1 < np.linalg.norm(head_centre(second) - head_centre(first)) < 10.0
