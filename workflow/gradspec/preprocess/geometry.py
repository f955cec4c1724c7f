"""Rigid transforms and world coordinates: parameters, matrices, and the way to and from ITK.

World coordinates are those of NIfTI (RAS, mm). ITK's are LPS: the first two axes point the other way. A rigid
transform here maps a point of the fixed image to the same tissue in the moving image, as resampling needs it.
"""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from gradspec.errors import ParticipantError

FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
"""RAS to LPS, and back."""


def rigid_matrix(
    parameters: Float[np.ndarray, "parameter=6"], centre: Float[np.ndarray, "axis=3"]
) -> Float[np.ndarray, "4 4"]:
    """Matrix of a rotation about `centre` that is followed by a translation.

    Parameters
    ----------
    parameters : array, shape (6,)
        Translation along x, y, z in mm; rotation about x, y, z in rad (applied in this order).
    centre : array, shape (3,)
        Fixed point of the rotation, in mm.

    Returns
    -------
    array, shape (4, 4)
        ``R_z R_y R_x (p - centre) + centre + translation``.
    """
    (cx, cy, cz), (sx, sy, sz) = np.cos(parameters[3:]), np.sin(parameters[3:])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3, :3] = about_z @ about_y @ about_x
    matrix[:3, 3] = centre - matrix[:3, :3] @ centre + parameters[:3]
    return matrix


def rigid_parameters(
    matrix: Float[np.ndarray, "4 4"], centre: Float[np.ndarray, "axis=3"]
) -> Float[np.ndarray, "parameter=6"]:
    """Inverse of `rigid_matrix` for rotations below 90 degrees."""
    rotation = matrix[:3, :3]
    translation = matrix[:3, 3] + rotation @ centre - centre
    angles = (
        np.arctan2(rotation[2, 1], rotation[2, 2]),
        -np.arcsin(np.clip(rotation[2, 0], -1, 1)),
        np.arctan2(rotation[1, 0], rotation[0, 0]),
    )
    return np.array([*translation, *angles])


def image_centre(shape: tuple[int, ...], affine: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "axis=3"]:
    """World coordinates of the middle of an image, in mm."""
    middle: np.ndarray = affine[:3, :3] @ ((np.array(shape[:3]) - 1) / 2) + affine[:3, 3]
    return middle


def to_itk(data: Float[np.ndarray, "x y z"], affine: Float[np.ndarray, "4 4"]) -> Any:
    """Make a SimpleITK image (float32) of an array and its affine.

    Raises
    ------
    ParticipantError
        If the affine has shears, which ITK cannot express.
    """
    import SimpleITK as sitk

    lps = FLIP @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    direction = lps[:3, :3] / spacing
    left, _, right = np.linalg.svd(direction)
    if np.abs(left @ right - direction).max() > 1e-3:
        raise ParticipantError("the axes of the image are not at right angles (affine with shears); rewrite its header")
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.T, dtype=np.float32))
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((left @ right).ravel().tolist())
    return image


def to_euler_transform(matrix: Float[np.ndarray, "4 4"], centre: Float[np.ndarray, "axis=3"]) -> Any:
    """SimpleITK transform of a rigid RAS matrix, with rotations about `centre` (RAS, mm)."""
    import SimpleITK as sitk

    lps, fixed = FLIP @ matrix @ FLIP, FLIP[:3, :3] @ centre
    transform = sitk.Euler3DTransform()
    transform.SetCenter(fixed.tolist())
    transform.SetMatrix(lps[:3, :3].ravel().tolist(), 1e-6)
    transform.SetTranslation((lps[:3, :3] @ fixed + lps[:3, 3] - fixed).tolist())
    return transform


def from_itk_transform(transform: Any) -> Float[np.ndarray, "4 4"]:
    """RAS matrix of a linear SimpleITK transform."""
    lps = np.eye(4)
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    lps[:3, 3] = origin
    lps[:3, :3] = np.column_stack([np.array(transform.TransformPoint(tuple(axis))) - origin for axis in np.eye(3)])
    matrix: np.ndarray = FLIP @ lps @ FLIP
    return matrix


def write_itk_transforms(matrices: Float[np.ndarray, "transform 4 4"], path: Path) -> None:
    """Write linear transforms as an ITK text file, one after the other, as fMRIPrep keeps head motion."""
    lines = ["#Insight Transform File V1.0"]
    for index, matrix in enumerate(FLIP @ matrices @ FLIP):
        numbers = " ".join(f"{value:.10g}" for value in [*matrix[:3, :3].ravel(), *matrix[:3, 3]])
        lines += [
            f"#Transform {index}",
            "Transform: MatrixOffsetTransformBase_double_3_3",
            f"Parameters: {numbers}",
            "FixedParameters: 0 0 0",
        ]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def read_itk_transforms(path: Path) -> Float[np.ndarray, "transform 4 4"]:
    """Read what `write_itk_transforms` wrote."""
    rows = [line.split()[1:] for line in path.read_text(encoding="ascii").splitlines() if line.startswith("Parameters")]
    numbers = np.array(rows, dtype=float)
    matrices = np.tile(np.eye(4), (len(numbers), 1, 1))
    matrices[:, :3, :3] = numbers[:, :9].reshape(-1, 3, 3)
    matrices[:, :3, 3] = numbers[:, 9:]
    transforms: np.ndarray = FLIP @ matrices @ FLIP
    return transforms


def copy_itk_hdf5(source: Path, target: Path) -> None:
    """Copy an ITK transform file without the time of writing in it, so that equal transforms are equal bytes.

    The copy is made in memory: the HDF5 library crashes the process when its disk is full.
    """
    import h5py

    with h5py.File(source, "r") as old, h5py.File(target.name, "w", driver="core", backing_store=False) as new:

        def copy(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                new.create_dataset(
                    name, data=item[()], dtype=item.dtype, compression=item.compression, track_times=False
                )

        old.visititems(copy)
        new.flush()
        target.write_bytes(new.id.get_file_image())
