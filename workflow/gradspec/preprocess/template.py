"""The template and its tissues on the grid of the output, as nilearn ships them."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import nibabel as nib
import numpy as np
from scipy import ndimage

from gradspec.preprocess.tissues import DEPTH_OF_VENTRICLES

_BRAIN_THRESHOLD = 0.2  # of the maximum, as in nilearn's load_mni152_brain_mask


@dataclass(frozen=True)
class Template:
    """Images of the template on one grid.

    Attributes
    ----------
    t1w, brain, gray_matter, white_matter, csf : Nifti1Image
        Skull-stripped T1w image in 0..1, brain mask, grey-matter probability, and masks of deep white matter and of
        the ventricles, eroded so that no grey matter is in their signal.
    """

    t1w: Any
    brain: Any
    gray_matter: Any
    white_matter: Any
    csf: Any


@cache
def load_template(resolution: float) -> Template:
    """Load the template at `resolution` mm.

    Parameters
    ----------
    resolution : float
        Voxel edge in mm; the grid is that of ``nilearn.datasets.load_mni152_template(resolution)``.
    """
    from nilearn import datasets

    t1w = load_template_t1w(resolution)
    brain = nib.Nifti1Image((t1w.get_fdata(dtype=np.float32) > _BRAIN_THRESHOLD).astype(np.uint8), t1w.affine)
    fine_gray = datasets.load_mni152_gm_template(resolution=1)
    gray_matter = fine_gray.get_fdata(dtype=np.float32)
    white_matter = datasets.load_mni152_wm_template(resolution=1).get_fdata(dtype=np.float32)
    liquor = _mask_on_grid(ndimage.binary_erosion(gray_matter + white_matter < 0.1), fine_gray.affine, t1w)
    deep_white = _mask_on_grid(ndimage.binary_erosion(white_matter > 0.95, iterations=3), fine_gray.affine, t1w)
    depth = ndimage.distance_transform_edt(brain.get_fdata() > 0, sampling=resolution)
    return Template(
        t1w,
        brain,
        _resample(fine_gray, resolution),
        nib.Nifti1Image(deep_white, t1w.affine),
        nib.Nifti1Image(liquor * (depth > DEPTH_OF_VENTRICLES), t1w.affine),
    )


def load_template_t1w(resolution: float) -> Any:
    """Load the skull-stripped T1w image of the template.

    Parameters
    ----------
    resolution : float
        Voxel edge in mm, fractions allowed (nilearn's own loader takes whole numbers only).
    """
    from nilearn.datasets import load_mni152_template

    return _resample(load_mni152_template(resolution=1), resolution)


def load_template_epi(resolution: float) -> Any:
    """Make an image of the template with the contrast of a BOLD reference: liquor bright, white matter dark.

    The shares of the tissues are weighted with the signals that they have at 3 T and an echo time of about 30 ms, in
    parts of that of liquor.

    Parameters
    ----------
    resolution : float
        Voxel edge in mm.
    """
    from nilearn import datasets

    brain = load_template_t1w(1.0)
    inside = brain.get_fdata(dtype=np.float32) > _BRAIN_THRESHOLD
    gray_matter = datasets.load_mni152_gm_template(resolution=1).get_fdata(dtype=np.float32)
    white_matter = datasets.load_mni152_wm_template(resolution=1).get_fdata(dtype=np.float32)
    liquor = np.clip(1 - gray_matter - white_matter, 0, 1)
    contrast = inside * (liquor + 0.7 * gray_matter + 0.55 * white_matter)
    return _resample(nib.Nifti1Image(contrast.astype(np.float32), brain.affine), resolution)


def _resample(image: Any, resolution: float) -> Any:
    from nilearn.image import resample_img

    return image if resolution == 1 else resample_img(image, np.eye(3) * resolution)


def _mask_on_grid(mask: np.ndarray, affine: np.ndarray, like: Any) -> np.ndarray:
    """Bring a 1 mm mask to a coarser grid; a voxel belongs to it if its middle does."""
    to_fine = np.linalg.inv(affine) @ like.affine
    data: np.ndarray = ndimage.affine_transform(
        mask.astype(np.uint8), to_fine[:3, :3], to_fine[:3, 3], output_shape=like.shape[:3], order=0
    )
    return data


def dilated_brain(template: Template, margin: float = 6.0) -> np.ndarray:
    """Mask of the template's brain with a rim of `margin` mm: all that is resampled.

    Parameters
    ----------
    template : Template
        The template on the grid of the output.
    margin : float
        Width of the rim, in mm.

    Returns
    -------
    array of bool, shape (x, y, z)
    """
    brain = template.brain.get_fdata() > 0.5
    spacing = np.linalg.norm(template.brain.affine[:3, :3], axis=0)
    mask: np.ndarray = ndimage.distance_transform_edt(~brain, sampling=spacing) <= margin
    return mask
