"""One interpolation: from the raw volumes straight to the template.

Head motion, coregistration and normalisation are composed into one map for every volume, so that the data are
interpolated once (cubic spline).
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from gradspec.preprocess.geometry import FLIP


def template_to_t1w(
    transform: Path, mask: Bool[np.ndarray, "x y z"], affine: Float[np.ndarray, "4 4"]
) -> Float[np.ndarray, "voxel axis=3"]:
    """Where the voxels of the template lie in the T1w image, in world coordinates.

    Parameters
    ----------
    transform : Path
        Transform file that ITK can read (``.h5``, ``.mat``, ``.txt``), T1w to template in the sense of resampling.
    mask : array of bool, shape (x, y, z)
        Voxels of the template grid.
    affine : array, shape (4, 4)
        Voxel to world matrix of the grid.

    Returns
    -------
    array, shape (voxel, 3)
        Points of the T1w image, in mm.
    """
    import SimpleITK as sitk

    lps = FLIP @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    field = sitk.TransformToDisplacementField(
        sitk.ReadTransform(str(transform)),
        sitk.sitkVectorFloat64,
        mask.shape,
        lps[:3, 3].tolist(),
        spacing.tolist(),
        (lps[:3, :3] / spacing).ravel().tolist(),
    )
    displacement = sitk.GetArrayViewFromImage(field).transpose(2, 1, 0, 3)[mask]
    points: np.ndarray = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3] + displacement * [-1, -1, 1]
    return points


def sample(
    volume: Float[np.ndarray, "x y z"],
    affine: Float[np.ndarray, "4 4"],
    points: Float[np.ndarray, "voxel axis=3"],
    order: int = 3,
) -> Float[np.ndarray, " voxel"]:
    """Interpolate a volume at world points; outside the volume it is zero.

    Parameters
    ----------
    volume : array, shape (x, y, z)
        The image.
    affine : array, shape (4, 4)
        Its voxel to world matrix.
    points : array, shape (voxel, 3)
        World coordinates, in mm.
    order : int
        Order of the spline: 3 for images, 1 or 0 for masks.
    """
    to_voxel = np.linalg.inv(affine)
    where = (points @ to_voxel[:3, :3].T + to_voxel[:3, 3]).T
    values: np.ndarray = ndimage.map_coordinates(
        _spline_coefficients(volume, order), where, output=np.float32, order=order, mode="mirror", prefilter=False
    )
    limits = np.array(volume.shape)[:, np.newaxis] - 0.5
    values[((where < -0.5) | (where > limits)).any(axis=0)] = 0
    return values


def resample_to_grid(
    volume: Float[np.ndarray, "x y z"],
    affine: Float[np.ndarray, "4 4"],
    transform: Float[np.ndarray, "4 4"],
    shape: tuple[int, ...],
    grid: Float[np.ndarray, "4 4"],
    order: int = 1,
) -> Float[np.ndarray, "x y z"]:
    """Bring a volume to another grid by a linear transform: `sample` for whole grids, which is faster.

    Parameters
    ----------
    volume, affine, order
        As in `sample`.
    transform : array, shape (4, 4)
        World matrix from points of the grid to points of the image.
    shape : tuple of int
        Of the grid.
    grid : array, shape (4, 4)
        Voxel to world matrix of the grid.
    """
    to_voxel = np.linalg.inv(affine) @ transform @ grid
    values: np.ndarray = ndimage.affine_transform(
        _spline_coefficients(volume, order),
        to_voxel[:3, :3],
        to_voxel[:3, 3],
        output_shape=shape,
        output=np.float32,
        order=order,
        mode="grid-constant",
        prefilter=False,
    )
    return values


def _spline_coefficients(volume: Float[np.ndarray, "x y z"], order: int) -> Float[np.ndarray, "x y z"]:
    """Coefficients of the spline through the voxels, as float32."""
    if order <= 1:
        return volume.astype(np.float32, copy=False)
    coefficients: np.ndarray = ndimage.spline_filter(volume, order=order, output=np.float32, mode="mirror")
    return coefficients


def resample_run(
    bold: Float[np.ndarray, "x y z time"],
    affine: Float[np.ndarray, "4 4"],
    motion: Float[np.ndarray, "time 4 4"],
    to_reference: Float[np.ndarray, "4 4"],
    t1w_points: Float[np.ndarray, "voxel axis=3"],
) -> Iterator[Float[np.ndarray, " voxel"]]:
    """Bring a run to the template, volume by volume.

    Parameters
    ----------
    bold : array, shape (x, y, z, time)
        The raw run.
    affine : array, shape (4, 4)
        Its voxel to world matrix.
    motion : array, shape (time, 4, 4)
        World matrices from the BOLD reference to each volume.
    to_reference : array, shape (4, 4)
        World matrix from points of the T1w image to points of the BOLD reference.
    t1w_points : array, shape (voxel, 3)
        Where the voxels of the template lie in the T1w image (`template_to_t1w`).

    Yields
    ------
    array, shape (voxel,)
        The values of one volume.
    """
    reference_points = transform_points(to_reference, t1w_points)
    for index, to_volume in enumerate(motion):
        yield sample(bold[..., index], affine, transform_points(to_volume, reference_points))


def transform_points(
    matrix: Float[np.ndarray, "4 4"], points: Float[np.ndarray, "voxel axis=3"]
) -> Float[np.ndarray, "voxel axis=3"]:
    """Apply a world matrix to points."""
    moved: np.ndarray = points @ matrix[:3, :3].T + matrix[:3, 3]
    return moved
