"""Raw images, read with suspicion; derived images, written the same way every time."""

import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Float
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from gradspec.errors import ParticipantError, raise_machine_fault

_FINEST_T1W = 0.95  # mm: thinner voxels than this are brought to 1 mm


def read_image(path: Path, n_dimensions: int) -> tuple[Any, Float[np.ndarray, "..."]]:
    """Read an image as float32.

    Parameters
    ----------
    path : Path
        NIfTI file.
    n_dimensions : int
        3 for a volume, 4 for a run.

    Returns
    -------
    image : Nifti1Image
        For header and affine.
    data : array
        Values as float32, finite.

    Raises
    ------
    ParticipantError
        If the file cannot be read, has other dimensions, values that are not finite, or no contrast.
    """
    try:
        image = nib.load(path)
        data = np.asarray(image.dataobj, dtype=np.float32)
    except (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error) as error:
        raise_machine_fault(error, path)
        raise ParticipantError(f"the image cannot be read, it may be cut short ({error})", file=path) from error
    if data.ndim > n_dimensions and set(data.shape[n_dimensions:]) == {1}:
        data = data.reshape(data.shape[:n_dimensions])
    if data.ndim != n_dimensions:
        raise ParticipantError(f"expected a {n_dimensions}-D image, found shape {data.shape}", file=path)
    if not np.isfinite(data).all():
        raise ParticipantError("the image has values that are not finite (NaN or infinite)", file=path)
    if data.min() == data.max():
        raise ParticipantError(f"all voxels have the same value ({data.flat[0]:g})", file=path)
    return image, data


def conform_t1w(path: Path) -> Any:
    """Read a T1w image, turn its axes to RAS order, and bring voxels thinner than 1 mm to 1 mm.

    A finer image tells the registration to 2 mm nothing more and costs memory.

    Returns
    -------
    Nifti1Image
        float32; the axes may still be oblique.
    """
    from nibabel.processing import resample_from_to

    image, data = read_image(path, 3)
    canonical = nib.as_closest_canonical(nib.Nifti1Image(data, image.affine))
    zooms = np.array(canonical.header.get_zooms())
    if zooms.min() >= _FINEST_T1W:
        return canonical
    ratio = np.maximum(1.0, 1.0 / zooms)
    shape = tuple(int(size) for size in np.ceil(np.array(canonical.shape) / ratio))
    affine = canonical.affine @ np.diag([*ratio, 1.0])
    return resample_from_to(canonical, (shape, affine), order=1)


def write_image(
    data: np.ndarray, affine: np.ndarray, path: Path, *, code: str = "mni", repetition_time: float | None = None
) -> None:
    """Write a NIfTI image in mm and s; equal data give equal bytes.

    Parameters
    ----------
    data : array
        Voxels.
    affine : array, shape (4, 4)
        Voxel to world matrix.
    path : Path
        Name of the file.
    code : str
        What the world is: ``"mni"`` for template space, ``"scanner"`` for native space.
    repetition_time : float, optional
        Seconds between volumes.
    """
    image = nib.Nifti1Image(data, affine)
    image.set_sform(affine, code=code)
    image.set_qform(affine, code=code)
    image.header.set_xyzt_units("mm", "sec")
    if repetition_time is not None:
        image.header.set_zooms((*image.header.get_zooms()[:3], repetition_time))
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
