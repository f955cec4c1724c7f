"""The BOLD reference, and the motion of the head against it."""

import numpy as np
from jaxtyping import Float

from gradspec.errors import ParticipantError
from gradspec.preprocess.geometry import image_centre
from gradspec.preprocess.masks import mask_bold
from gradspec.preprocess.motion import LeastSquaresAligner, align_volumes
from gradspec.preprocess.mutual_information import align_volumes_precisely
from gradspec.preprocess.resampling import sample, transform_points
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
        Mutual information (SimpleITK), or least squares (Gauss-Newton).
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
    volumes = track(np.moveaxis(bold, -1, 0), "head motion", total=bold.shape[-1])
    if method == "precise":
        motion = align_volumes_precisely(volumes, reference, mask.astype(np.float32), affine, seed)
    else:
        motion = align_volumes(volumes, LeastSquaresAligner(reference, mask, affine))
    centre = image_centre(reference.shape, affine)
    extent = np.linalg.norm(affine[:3, :3], axis=0) @ reference.shape
    lost = [
        index
        for index, matrix in enumerate(motion)
        if not np.linalg.norm(transform_points(matrix, centre[np.newaxis]) - centre) < extent / 6
    ]
    if lost:
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
    matrices = align_volumes((bold[..., index] for index in chosen), aligner)
    grid = np.indices(middle.shape).reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]
    total = np.zeros(len(grid))
    for index, matrix in zip(chosen, matrices, strict=True):
        total += sample(bold[..., index], affine, transform_points(matrix, grid))
    return (total / len(chosen)).reshape(middle.shape).astype(np.float32)
