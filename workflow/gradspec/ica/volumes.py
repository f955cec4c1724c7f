"""The voxels of a mask out of a run, volume by volume: a compressed file is never in memory whole.

A ``.nii.gz`` file is inflated straight into the space of one volume, from which the voxels of the mask are picked while
they are in the cache. That takes half the time of inflating all of it in one go, and one hundredth of the memory. ISA-L
(the package isal) inflates twice as fast as zlib, to the same bytes, and checks their sum as zlib does.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib
from jaxtyping import Bool, Float
from nibabel.spatialimages import SpatialImage

from gradspec.errors import ParticipantError, raise_machine_fault

DAMAGED: tuple[type[Exception], ...] = (OSError, EOFError, zlib.error, isal_zlib.error, ValueError)  # type: ignore[assignment]


def masked_volumes(image: SpatialImage, inside: Bool[np.ndarray, "x y z"]) -> Float[np.ndarray, "time voxel"]:
    """Read the voxels of a mask.

    Parameters
    ----------
    image : image
        4-D run, in a file or in memory.
    inside : array, (x, y, z)
        Mask on its grid.

    Returns
    -------
    array, (time, voxel)
        Values (scaled as the header says), float32, voxels in the order of ``array[inside]``.

    Raises
    ------
    ParticipantError
        If the file is damaged.
    """
    chosen = np.ravel_multi_index(np.nonzero(inside), inside.shape, order="F")
    values = np.empty((image.shape[3], len(chosen)), dtype=np.float32)
    try:
        for row, volume in zip(values, _volumes(image), strict=True):
            np.take(volume, chosen, out=row, mode="clip")
    except DAMAGED as error:
        raise damaged(image, error) from error
    return values


def damaged(image: SpatialImage, error: Exception) -> ParticipantError:
    """Return the error that the voxels of an image cannot be read; a fault of the machine is raised itself."""
    file = image.get_filename()
    raise_machine_fault(error, file)
    return ParticipantError(
        f"the image data cannot be read: the file is truncated or damaged ({error}); make or copy it again",
        file=file or "image in memory",
    )


def _volumes(image: SpatialImage) -> Iterator[Float[np.ndarray, " voxel"]]:
    """Give the volumes one after the other, float32, first axis fastest; each is overwritten by the next."""
    if _is_plain_file(image):
        yield from _inflated(image)
        return
    data = image.get_fdata(dtype=np.float32, caching="unchanged")
    for t in range(data.shape[3]):
        yield data[..., t].ravel(order="F")


def _is_plain_file(image: SpatialImage) -> bool:
    """Say whether an image is one NIfTI file of real numbers, whose voxels have not been replaced in memory."""
    return (
        isinstance(image, nib.Nifti1Image | nib.Nifti2Image)
        and nib.is_proxy(image.dataobj)
        and not image.in_memory
        and str(image.get_filename()).endswith((".nii", ".nii.gz"))
        and image.get_data_dtype().kind in "fiu"
    )


def _inflated(image: SpatialImage) -> Iterator[Float[np.ndarray, " voxel"]]:
    proxy = image.dataobj
    stored = np.empty(int(np.prod(image.shape[:3])), dtype=image.get_data_dtype())
    as_stored = (proxy.slope, proxy.inter) == (1, 0)
    scaled = stored if as_stored and stored.dtype == np.float32 else np.empty(len(stored), dtype=np.float32)
    with _open(Path(image.get_filename())) as file:
        file.seek(proxy.offset)
        for _ in range(image.shape[3]):
            if file.readinto(stored.view(np.uint8).data) != stored.nbytes:
                raise EOFError("it ends before its last volume")
            if scaled is not stored:
                np.multiply(stored, proxy.slope, out=scaled, casting="unsafe")
                scaled += np.float32(proxy.inter)
            yield scaled
        while file.read(1 << 20):  # to the end, where the checksum is
            pass


def _open(path: Path) -> Any:
    return igzip.open(path) if path.suffix == ".gz" else path.open("rb")
