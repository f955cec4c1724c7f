"""The BOLD reference, and the motion of the head against it."""

import numpy as np
from jaxtyping import Float

from gradspec.errors import ParticipantError
from gradspec.preprocess.geometry import image_centre
from gradspec.preprocess.masks import mask_bold
from gradspec.preprocess.motion import LOST, LeastSquaresAligner, align_volumes
from gradspec.preprocess.mutual_information import refine_volumes
from gradspec.preprocess.resampling import resample_to_grid, transform_points
from gradspec.progress import track

_N_REFERENCE_VOLUMES = 16


def realign_run(
    bold: Float[np.ndarray, "x y z time"], affine: Float[np.ndarray, "4 4"], method: str, seed: int, n_dummies: int = 0
) -> tuple[Float[np.ndarray, "x y z"], Float[np.ndarray, "time 4 4"]]:
    """Estimate head motion.

    Parameters
    ----------
    bold : array, shape (x, y, z, time)
        The raw run.
    affine : array, shape (4, 4)
        Voxel to world matrix.
    method : {"precise", "fast"}
        Least squares (Gauss-Newton); ``precise`` goes on from there by mutual information (SimpleITK), which does not
        ask that the volumes have one contrast.
    seed : int
        Seed of the sample of voxels of ``precise``.
    n_dummies : int
        Dummy scans at the start, which have another contrast and stay out of the reference.

    Returns
    -------
    reference : array, shape (x, y, z)
        Mean of some volumes after the dummy scans, brought to the pose of the middle one.
    motion : array, shape (time, 4, 4)
        World matrices (mm) from the reference to each volume.

    Raises
    ------
    ParticipantError
        If no brain is found or a volume cannot be aligned.
    """
    reference = make_reference(bold[..., n_dummies:], affine)
    mask = mask_bold(reference, affine)
    volumes = np.moveaxis(bold, -1, 0)
    motion, correlations = align_volumes(
        track(volumes, "head motion", total=len(volumes)), LeastSquaresAligner(reference, mask, affine)
    )
    if method == "precise":
        again = track(volumes, "head motion, refined", total=len(volumes))
        motion = refine_volumes(again, motion, reference, mask, affine, seed)
    centre = image_centre(reference.shape, affine)
    reach = np.linalg.norm(affine[:3, :3], axis=0) @ reference.shape / 6
    shifts = [np.linalg.norm(transform_points(matrix, centre[np.newaxis]) - centre) for matrix in motion]
    lost = np.flatnonzero((correlations < LOST) | (np.array(shifts) > reach))
    if lost.size:
        raise ParticipantError(
            f"{len(lost)} of {len(motion)} volumes could not be aligned to the others (the first is volume {lost[0]}, "
            "counted from 0): look for volumes that are empty or of another head"
        )
    return reference, motion


def make_reference(
    bold: Float[np.ndarray, "x y z time"], affine: Float[np.ndarray, "4 4"]
) -> Float[np.ndarray, "x y z"]:
    """Average a few volumes, spread over the run, in the pose of the middle one: sharp, and with little noise."""
    n_volumes = bold.shape[-1]
    middle = bold[..., n_volumes // 2]
    chosen = np.unique(np.linspace(0, n_volumes - 1, min(n_volumes, _N_REFERENCE_VOLUMES)).astype(int))
    aligner = LeastSquaresAligner(middle, mask_bold(middle, affine), affine)
    matrices, _ = align_volumes((bold[..., index] for index in chosen), aligner)
    total = np.zeros(middle.shape)
    for index, matrix in zip(chosen, matrices, strict=True):
        total += resample_to_grid(bold[..., index], affine, matrix, middle.shape, affine, order=3)
    return (total / len(chosen)).astype(np.float32)
