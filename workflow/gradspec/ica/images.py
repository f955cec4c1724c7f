"""Images in and out: the group mask, a run as a matrix of volumes by voxels, and maps back to an image.

Voxels are always in the order of ``array[mask]`` (the order that nilearn's maskers use).
"""

import logging
import zlib
from collections.abc import Sequence
from typing import TypeAlias

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import SpatialImage

from gradspec.errors import ConfigError, ParticipantError
from gradspec.files import PathLike, atomic_path

logger = logging.getLogger(__name__)

Image: TypeAlias = PathLike | SpatialImage  # a NIfTI file, or an image in memory

_SMALLEST_SHARE = 0.1  # of the median mask that must be left in the group mask
_UNUSUAL_SHARE = 0.7  # of the group mask that a participant's mask covers; below it, a warning
_CONSTANT = 1e-6  # standard deviation, relative to the size of the signal, of a voxel that only shows rounding


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
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ParticipantError(
            f"the image data cannot be read: the file is truncated or damaged ({error}); make or copy it again",
            file=name_of(image),
        ) from error


def check_same_grid(image: SpatialImage, reference: SpatialImage) -> None:
    """Raise `ParticipantError` where two images do not have the same voxel grid."""
    if image.shape[:3] != reference.shape[:3] or not np.allclose(image.affine, reference.affine, atol=1e-3):
        raise ParticipantError(
            f"its voxel grid {image.shape[:3]} differs from {reference.shape[:3]} of {name_of(reference)} (or their "
            "affines do); bring all images to one space and resolution",
            file=name_of(image),
        )


def group_mask(masks: Sequence[Image], share: float) -> nib.Nifti1Image:
    """Keep the voxels that lie in the brain mask of at least a share of the runs.

    Parameters
    ----------
    masks : sequence of path or image
        3-D brain mask of each run, all on one grid.
    share : float
        Share of the masks, above 0 to 1.

    Returns
    -------
    Nifti1Image
        The mask (uint8).

    Raises
    ------
    ParticipantError
        If a mask cannot be read, is empty, or is on another grid than the first.
    ConfigError
        If hardly any voxel is left.
    """
    reference = load(masks[0], 3)
    count = np.zeros(reference.shape, dtype=np.int32)
    sizes = []
    for mask in masks:
        image = load(mask, 3)
        check_same_grid(image, reference)
        inside = voxels_of(image) > 0
        if not inside.any():
            raise ParticipantError("the brain mask is empty; check the preprocessing of this run", file=name_of(mask))
        sizes.append(int(inside.sum()))
        count += inside
    common = count >= share * len(masks) - 1e-9
    if common.sum() < _SMALLEST_SHARE * np.median(sizes):
        raise ConfigError(
            f"only {common.sum()} voxels lie in the brain masks of {share:.0%} of the {len(masks)} runs, where a mask "
            f"has {np.median(sizes):.0f}: the masks hardly overlap. Check the registration of the smallest one, "
            f"{name_of(masks[int(np.argmin(sizes))])}, or lower ica.mask_share"
        )
    for mask in masks:
        covered = (voxels_of(load(mask, 3))[common] > 0).mean()
        if covered < _UNUSUAL_SHARE:
            logger.warning("%s covers only %.0f %% of the group mask", name_of(mask), 100 * covered)
    logger.info("group mask: %d voxels in at least %.0f %% of %d masks", common.sum(), 100 * share, len(masks))
    return _like(reference, common.astype(np.uint8))


def signal_mask(image: Image) -> nib.Nifti1Image:
    """Take the voxels of a 4-D image that vary over time as its brain mask, for images that come without one."""
    loaded = load(image, 4)
    return _like(loaded, (np.ptp(voxels_of(loaded), axis=3) > 0).astype(np.uint8))


def read_run(image: Image, mask: SpatialImage) -> Float[np.ndarray, "time voxel"]:
    """Read a run within a mask and prepare it for decomposition.

    Each voxel is linearly detrended (denoised images have no trend left; others would be ruled by theirs) and scaled
    to unit variance, so that a voxel's weight does not depend on its signal intensity; then each volume is centred over
    voxels, as spatial ICA takes voxels as its samples. A voxel that is constant over time is zero throughout.

    Parameters
    ----------
    image : path or image
        4-D run.
    mask : image
        3-D mask on the same grid.

    Returns
    -------
    array, (time, voxel)
        Prepared signal, float32.

    Raises
    ------
    ParticipantError
        If the image is damaged, on another grid, holds values that are not finite, or nothing that varies.
    """
    loaded = load(image, 4)
    check_same_grid(loaded, mask)
    inside = np.asanyarray(mask.dataobj) > 0
    data = voxels_of(loaded)
    # NIfTI stores a volume after the other, Fortran order: as (time, voxel) this is a view, and the mask one gather.
    volumes = data.reshape(-1, data.shape[3], order="F").T
    signal = np.take(volumes, np.ravel_multi_index(np.nonzero(inside), inside.shape, order="F"), axis=1)
    if not np.isfinite(signal).all():
        raise ParticipantError(
            f"{(~np.isfinite(signal)).any(axis=0).sum()} voxels within the group mask hold values that are not finite "
            "(NaN or infinity); check how the image was made",
            file=name_of(image),
        )
    try:
        return prepare(signal)
    except ParticipantError as error:
        raise ParticipantError(error.reason, file=name_of(image)) from error


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
        If there are fewer than three volumes, or no voxel varies over time.
    """
    n_volumes = len(signal)
    if n_volumes < 3:
        raise ParticipantError(f"{n_volumes} volumes cannot be detrended; the run is too short")
    size = np.sqrt(np.mean(np.square(signal), axis=0))
    prepared = signal.astype(np.float32) - signal.mean(axis=0, dtype=np.float64).astype(np.float32)
    ramp = np.linspace(-1, 1, n_volumes, dtype=np.float32)
    ramp /= np.linalg.norm(ramp)
    prepared -= np.outer(ramp, ramp @ prepared)
    deviation = np.sqrt(np.mean(np.square(prepared), axis=0))
    constant = deviation <= _CONSTANT * size
    if constant.all():
        raise ParticipantError("no voxel within the group mask varies over time; check how the image was made")
    if constant.any():
        logger.info("%d voxels of the group mask are constant in a run; they count as zero", constant.sum())
    prepared *= np.where(constant, 0, 1 / np.where(constant, 1, deviation)).astype(np.float32)
    prepared -= prepared.mean(axis=1, keepdims=True)
    return np.asarray(prepared)


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
    return _like(mask, volumes)


def read_maps(image: Image, inside: Bool[np.ndarray, "x y z"]) -> Float[np.ndarray, "component voxel"]:
    """Read the volumes of a 4-D image within a mask, as rows (float32)."""
    return np.ascontiguousarray(voxels_of(load(image, 4))[inside].T)


def save_image(image: SpatialImage, path: PathLike) -> None:
    """Write an image; the file is there whole or not at all."""
    with atomic_path(path) as partial:
        nib.save(image, partial)


def _like(reference: SpatialImage, data: np.ndarray) -> nib.Nifti1Image:
    """Return an image of `data` on the grid, and in the space, of another."""
    image = nib.Nifti1Image(data, reference.affine)
    if isinstance(reference, nib.Nifti1Image):
        image.set_sform(reference.affine, int(reference.header["sform_code"]) or 2)
        image.set_qform(reference.affine, int(reference.header["qform_code"]))
    image.header.set_xyzt_units("mm", "unknown")
    return image
