"""How the simulated heads lie and move: poses against the template, and rigid motion during a run."""

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from gradspec.cohort.simulate_head import BRAIN_CENTRE

MOTION_PARAMETERS = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
"""Columns of motion: millimetres, then radians."""

_JERKS_PER_VOLUME = 0.03
_HEAD_RADIUS_MM = 50.0


def draw_pose(scale: Float[np.ndarray, "3"], rng: np.random.Generator) -> Float[np.ndarray, "4 4"]:
    """Draw how a head lies in the scanner: turned by some 4 degrees, shifted by up to 8 mm along each axis.

    Parameters
    ----------
    scale : array, shape (3,)
        Size of the head relative to the template.
    rng : Generator
        Source of randomness.

    Returns
    -------
    array, shape (4, 4)
        From template space (before the individual warp) to the scanner, in millimetres.
    """
    angles = np.deg2rad(np.clip(rng.normal(0.0, 4.0, 3), -8.0, 8.0))
    return np.asarray(rigid(rng.uniform(-8.0, 8.0, 3), angles, BRAIN_CENTRE) @ _scaling(scale))


def move_pose(pose: Float[np.ndarray, "4 4"], rng: np.random.Generator) -> Float[np.ndarray, "4 4"]:
    """Pose of the same head in the next scan: turned by a degree or two, shifted by some 2 mm."""
    turn = rigid(rng.normal(0.0, 1.5, 3), np.deg2rad(rng.normal(0.0, 1.5, 3)), head_centre(pose))
    return np.asarray(turn @ pose)


def head_centre(pose: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "3"]:
    """Centre of the brain in the scanner, in millimetres."""
    return np.asarray(pose[:3, :3] @ BRAIN_CENTRE + pose[:3, 3])


def rigid(
    translation: Float[np.ndarray, "3"], angles: Float[np.ndarray, "3"], centre: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "4 4"]:
    r"""Build the rigid transform :math:`x \mapsto c + R_x R_y R_z (x - c) + t`.

    Parameters
    ----------
    translation : array, shape (3,)
        :math:`t` in millimetres.
    angles : array, shape (3,)
        Angles of :math:`R_x, R_y, R_z` in radians.
    centre : array, shape (3,)
        :math:`c` in millimetres.

    Returns
    -------
    array, shape (4, 4)
        Homogeneous matrix.
    """
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("XYZ", angles).as_matrix()
    matrix[:3, 3] = centre + translation - matrix[:3, :3] @ centre
    return matrix


def head_motion(n_volumes: int, max_displacement: float, rng: np.random.Generator) -> Float[np.ndarray, "time 6"]:
    """Draw the motion of a head during a run: a slow random walk with a jerk here and there.

    Parameters
    ----------
    n_volumes : int
        Number of volumes.
    max_displacement : float
        Bound on every parameter, in millimetres and degrees.
    rng : Generator
        Source of randomness.

    Returns
    -------
    array, shape (time, 6)
        `MOTION_PARAMETERS` against the first volume, whose row is zero.
    """
    steps = rng.standard_normal((n_volumes, 6))
    smooth = 0.0
    walk = np.empty_like(steps)
    for volume, step in enumerate(steps):
        smooth = 0.8 * smooth + 0.2 * step
        walk[volume] = smooth
    walk = np.cumsum(walk, axis=0)
    jerks = rng.random(n_volumes) < _JERKS_PER_VOLUME
    walk[jerks] += rng.normal(0.0, 1.5, (int(jerks.sum()), 6))
    walk -= walk[0]
    largest = np.abs(walk).max(axis=0)
    reach = max_displacement * rng.uniform(0.2, 1.0) * rng.uniform(0.4, 1.0, 6)  # some people lie stiller than others
    motion: Float[np.ndarray, "time 6"] = walk * (reach / np.where(largest > 0, largest, 1.0))
    motion[:, 3:] = np.deg2rad(motion[:, 3:])
    return motion


def framewise_displacement(motion: Float[np.ndarray, "time 6"]) -> Float[np.ndarray, "time"]:
    """Sum of the absolute changes since the volume before, in millimetres on a sphere of 50 mm (Power et al. 2012)."""
    changes = np.abs(np.diff(motion, axis=0, prepend=motion[:1]))
    return np.asarray(changes[:, :3].sum(axis=1) + _HEAD_RADIUS_MM * changes[:, 3:].sum(axis=1))


def _scaling(scale: Float[np.ndarray, "3"]) -> Float[np.ndarray, "4 4"]:
    matrix = np.diag([*scale, 1.0])
    matrix[:3, 3] = BRAIN_CENTRE * (1.0 - scale)
    return matrix
