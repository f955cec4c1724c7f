"""A template of components from other people, such as NeuroMark: on the grid of the cohort, with its mask.

Nothing of a participant's signal enters here, only the grid of the images: components that are guided by the template
(`gradspec.ica.gig_ica`) are as independent of other participants as the template is.
"""

import logging

import nibabel as nib
import numpy as np
from jaxtyping import Float
from nibabel.spatialimages import SpatialImage

from gradspec.errors import ConfigError
from gradspec.ica.images import Image, maps_to_image, name_of, voxels_of
from gradspec.ica.matching import load_reference

logger = logging.getLogger(__name__)

_NOTHING = 1e-6  # share of a map's largest magnitude that counts as zero


def fit_template(template: Image, grid: SpatialImage, resample: bool) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """Bring a template to the grid of the cohort.

    Parameters
    ----------
    template : path or image
        4-D image, a map a volume; values that are not finite count as zero.
    grid : image
        Image on the grid of the cohort, in the same space.
    resample : bool
        Whether a template on another grid is interpolated (linearly, which the log says) or refused.

    Returns
    -------
    maps : Nifti1Image
        4-D, each map of mean 0 and variance 1 within the mask, in the order and sign of the template.
    mask : Nifti1Image
        Voxels in which any map is not zero.

    Raises
    ------
    ConfigError
        If the template cannot be read, is not 4-D, has empty volumes or maps that depend on each other, or is on
        another grid and must not be resampled.
    """
    image = load_reference(template)
    if image.ndim != 4:
        raise ConfigError(f"{name_of(image)}: the template must be a 4-D image, found shape {image.shape}")
    maps = _on_grid(image, grid, resample)
    mask = (np.abs(maps) > _NOTHING * np.abs(maps).max(axis=(0, 1, 2))).any(axis=3)
    inside = maps[mask].T.astype(np.float64)
    empty = np.flatnonzero(~(inside.std(axis=1) > 0)) if mask.any() else np.arange(maps.shape[3])
    if len(empty):
        raise ConfigError(
            f"{name_of(image)}: volume(s) {', '.join(str(k + 1) for k in empty)} are empty (or constant) on the grid "
            "of the cohort; is the image in the same space? Remove empty volumes"
        )
    scaled = (inside - inside.mean(axis=1, keepdims=True)) / inside.std(axis=1, keepdims=True)
    _require_independent(scaled, name_of(image))
    mask_image = _mask_image(mask, grid)
    logger.info("template: %d maps within %d voxels", len(scaled), mask.sum())
    return maps_to_image(scaled, mask_image), mask_image


def _on_grid(image: SpatialImage, grid: SpatialImage, resample: bool) -> Float[np.ndarray, "x y z component"]:
    """Return the voxels of an image on another grid."""
    if image.shape[:3] == grid.shape[:3] and np.allclose(image.affine, grid.affine, atol=1e-3):
        return np.asarray(np.nan_to_num(voxels_of(image), posinf=0, neginf=0))
    difference = (
        f"{name_of(image)} has the grid {image.shape[:3]} of {_voxel_size(image)} mm, the images {grid.shape[:3]} of "
        f"{_voxel_size(grid)} mm"
    )
    if not resample:
        raise ConfigError(
            f"{difference}; resample the template, set preprocess.resolution to its voxel size, or set "
            "ica.template.resample to true"
        )
    from nilearn.image import resample_img

    logger.info("%s: it is interpolated linearly", difference)
    filled = nib.Nifti1Image(np.nan_to_num(voxels_of(image), posinf=0, neginf=0), image.affine)
    moved = resample_img(filled, grid.affine, grid.shape[:3], interpolation="linear", force_resample=True)
    return voxels_of(moved)


def _voxel_size(image: SpatialImage) -> str:
    return " × ".join(f"{size:g}" for size in np.round(nib.affines.voxel_sizes(image.affine), 3))


def _require_independent(maps: Float[np.ndarray, "component voxel"], name: str) -> None:
    """Refuse maps of which one is a mixture of others: what belongs to which could not be said."""
    correlation = maps @ maps.T / maps.shape[1]
    if np.linalg.matrix_rank(correlation, hermitian=True) < len(maps):
        alike = np.argwhere(np.triu(np.abs(correlation), 1) > 1 - 1e-6)
        which = ", ".join(f"{i + 1} and {j + 1}" for i, j in alike) or "some of them"
        raise ConfigError(f"{name}: its volumes depend on each other ({which} are alike); remove double ones")


def _mask_image(mask: np.ndarray, grid: SpatialImage) -> nib.Nifti1Image:
    image = nib.Nifti1Image(mask.astype(np.uint8), grid.affine)
    image.header.set_xyzt_units("mm", "unknown")
    if isinstance(grid, nib.Nifti1Image):
        image.set_sform(grid.affine, int(grid.header["sform_code"]) or 2)
        image.set_qform(grid.affine, int(grid.header["qform_code"]))
    return image
