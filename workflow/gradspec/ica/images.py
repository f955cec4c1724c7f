"""Images in and out: a run as a matrix of volumes by voxels, and maps back to an image.

Voxels are always in the order of ``array[mask]`` (the order that nilearn's maskers use).
"""

import logging
from typing import TypeAlias

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import SpatialImage

from gradspec.errors import ParticipantError, raise_machine_fault
from gradspec.files import PathLike, atomic_path
from gradspec.ica.volumes import DAMAGED, damaged, masked_volumes

logger = logging.getLogger(__name__)

Image: TypeAlias = PathLike | SpatialImage  # a NIfTI file, or an image in memory

_CONSTANT = 1e-6  # standard deviation, relative to the size of the signal, of a voxel that only shows rounding
_BLOCK = 1024  # voxels that are prepared at a time, so that they stay in the cache


def load(image: Image, n_dimensions: int) -> SpatialImage:
    """Open an image and check how many dimensions it has.

    Parameters
    ----------
    image : path or image
        What to open; the voxels are not read yet.
    n_dimensions : int
        Expected number of dimensions.

    Returns
    -------
    SpatialImage
        The image.

    Raises
    ------
    ParticipantError
        If the file is missing, no image, or of other dimensions.
    """
    if not isinstance(image, SpatialImage):
        try:
            image = nib.load(image)
        except (OSError, EOFError, ImageFileError) as error:
            raise_machine_fault(error, image)
            raise ParticipantError(f"cannot be read as an image ({error})", file=name_of(image)) from error
    if image.ndim != n_dimensions:
        raise ParticipantError(
            f"expected a {n_dimensions}-D image, found shape {image.shape}; check the file", file=name_of(image)
        )
    return image


def name_of(image: Image) -> str:
    """Return the file name of an image, or what stands for it when it lives in memory."""
    name = image.get_filename() if isinstance(image, SpatialImage) else image
    return str(name or "image in memory")


def voxels_of(image: SpatialImage) -> Float[np.ndarray, "*shape"]:
    """Read all voxels as float32; a damaged file is a `ParticipantError`."""
    try:
        return np.asarray(image.get_fdata(dtype=np.float32, caching="unchanged"))
    except DAMAGED as error:
        raise damaged(image, error) from error


def on_same_grid(image: SpatialImage, reference: SpatialImage) -> bool:
    """Say whether two images have the same voxels in the same places."""
    return image.shape[:3] == reference.shape[:3] and np.allclose(image.affine, reference.affine, atol=1e-3)


def check_same_grid(image: SpatialImage, reference: SpatialImage) -> None:
    """Raise `ParticipantError` where two images do not have the same voxel grid."""
    if not on_same_grid(image, reference):
        raise ParticipantError(
            f"its voxel grid {image.shape[:3]} differs from {reference.shape[:3]} of {name_of(reference)} (or their "
            "affines do); bring all images to one space and resolution, or set ica.grids to resample",
            file=name_of(image),
        )


def to_grid(image: SpatialImage, reference: SpatialImage, *, resample: bool) -> SpatialImage:
    """Give an image on the grid of another.

    Parameters
    ----------
    image : image
        3-D mask (nearest neighbour) or 4-D run (linear interpolation).
    reference : image
        Image that gives the grid.
    resample : bool
        Whether an image on another grid is resampled, which the log says, or refused.

    Returns
    -------
    SpatialImage
        The image itself where the grids agree.

    Raises
    ------
    ParticipantError
        If the grids differ and `resample` is false.
    """
    if on_same_grid(image, reference):
        return image
    if not resample:
        check_same_grid(image, reference)
    from nilearn.image import resample_img

    logger.warning(
        "%s: resampled from the grid %s to %s of %s",
        name_of(image),
        image.shape[:3],
        reference.shape[:3],
        name_of(reference),
    )
    moved = resample_img(
        image,
        reference.affine,
        reference.shape[:3],
        interpolation="nearest" if image.ndim == 3 else "linear",
        force_resample=True,
        copy_header=True,
    )
    moved.set_filename(name_of(image))
    return moved


def signal_mask(image: Image) -> nib.Nifti1Image:
    """Take the voxels of a 4-D image that vary over time as its brain mask, for images that come without one."""
    loaded = load(image, 4)
    return image_like(loaded, (np.ptp(voxels_of(loaded), axis=3) > 0).astype(np.uint8))


def read_run(image: Image, mask: SpatialImage, *, resample: bool = False) -> Float[np.ndarray, "time voxel"]:
    """Read a run within a mask and prepare it for decomposition.

    Each voxel is linearly detrended (denoised images have no trend left; others would be ruled by theirs) and scaled
    to unit variance, so that a voxel's weight does not depend on its signal intensity; then each volume is centred over
    voxels, as spatial ICA takes voxels as its samples. A voxel that is constant over time is zero throughout.

    Parameters
    ----------
    image : path or image
        4-D run.
    mask : image
        3-D mask.
    resample : bool
        Whether a run on another grid than the mask is resampled, or refused.

    Returns
    -------
    array, (time, voxel)
        Prepared signal, float32.

    Raises
    ------
    ParticipantError
        If the image is damaged, on another grid, holds values that are not finite, or nothing that varies.
    """
    run = to_grid(load(image, 4), mask, resample=resample)
    signal = masked_volumes(run, np.asanyarray(mask.dataobj) > 0)
    try:
        _prepare(signal)
    except ParticipantError as error:
        raise ParticipantError(error.reason, file=name_of(image)) from error
    return signal


def prepare(signal: Float[np.ndarray, "time voxel"]) -> Float[np.ndarray, "time voxel"]:
    """Detrend and scale each voxel, then centre each volume; see `read_run`.

    Parameters
    ----------
    signal : array, (time, voxel)
        Raw signal.

    Returns
    -------
    array, (time, voxel)
        Prepared signal, float32.

    Raises
    ------
    ParticipantError
        If there are fewer than three volumes, values that are not finite, or no voxel varies over time.
    """
    prepared = np.array(signal, dtype=np.float32, order="C")
    _prepare(prepared)
    return prepared


def _prepare(signal: Float[np.ndarray, "time voxel"]) -> None:
    """Do the work of `prepare` in place, some voxels at a time."""
    n_volumes, n_voxels = signal.shape
    if n_volumes < 3:
        raise ParticipantError(f"{n_volumes} volumes cannot be detrended; the run is too short")
    ramp = np.linspace(-1, 1, n_volumes, dtype=np.float32)
    ramp /= np.linalg.norm(ramp)
    n_bad = n_constant = 0
    sums = np.zeros(n_volumes)
    for first in range(0, n_voxels, _BLOCK):
        block = signal[:, first : first + _BLOCK]
        level = block.mean(axis=0)
        bad = ~np.isfinite(level)  # a sum is not finite if one of its terms is not
        n_bad += int(bad.sum())
        if n_bad:
            continue
        block -= level
        block -= block.mean(axis=0)  # what the rounding of a large level left
        size = np.sqrt(np.square(level) + np.einsum("tv,tv->v", block, block) / n_volumes)
        block -= np.outer(ramp, ramp @ block)
        deviation = np.sqrt(np.einsum("tv,tv->v", block, block) / n_volumes)
        constant = deviation <= _CONSTANT * size
        n_constant += int(constant.sum())
        block *= np.where(constant, 0, 1 / np.where(constant, 1, deviation)).astype(np.float32)
        sums += block.sum(axis=1)
    if n_bad:
        raise ParticipantError(
            f"{n_bad} voxels within the group mask hold values that are not finite (NaN or infinity); check how the "
            "image was made"
        )
    if n_constant == n_voxels:
        raise ParticipantError("no voxel within the group mask varies over time; check how the image was made")
    if n_constant:
        logger.info("%d voxels of the group mask are constant in a run; they count as zero", n_constant)
    signal -= (sums / n_voxels).astype(np.float32)[:, None]


def maps_to_image(maps: Float[np.ndarray, "component voxel"], mask: SpatialImage) -> nib.Nifti1Image:
    """Put maps into a 4-D image on the grid of a mask, zero outside.

    Parameters
    ----------
    maps : array, (component, voxel)
        Values within the mask.
    mask : image
        3-D mask.

    Returns
    -------
    Nifti1Image
        4-D float32 image, one volume a map.
    """
    inside = np.asanyarray(mask.dataobj) > 0
    volumes = np.zeros((*inside.shape, len(maps)), dtype=np.float32)
    volumes[inside] = maps.T
    return image_like(mask, volumes)


def read_maps(image: Image, inside: Bool[np.ndarray, "x y z"]) -> Float[np.ndarray, "component voxel"]:
    """Read the volumes of a 4-D image within a mask, as rows (float32)."""
    return np.ascontiguousarray(voxels_of(load(image, 4))[inside].T)


def save_image(image: SpatialImage, path: PathLike) -> None:
    """Write an image; the file is there whole or not at all."""
    with atomic_path(path) as partial:
        nib.save(image, partial)


def image_like(reference: SpatialImage, data: np.ndarray) -> nib.Nifti1Image:
    """Return an image of `data` on the grid, and in the space, of another."""
    image = nib.Nifti1Image(data, reference.affine)
    if isinstance(reference, nib.Nifti1Image):
        image.set_sform(reference.affine, int(reference.header["sform_code"]) or 2)
        image.set_qform(reference.affine, int(reference.header["qform_code"]))
    image.header.set_xyzt_units("mm", "unknown")
    return image
