"""Brain masks: of a T1w image by a neural network (deepbet), of a BOLD reference by its histogram (nilearn)."""

import warnings
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from gradspec.errors import ParticipantError

_PLAUSIBLE_BRAIN = (500.0, 2500.0)  # cm3
_SMALL_SHARE = 0.15  # of the field: compute_epi_mask looks for its threshold below the 85th percentile
_HOT = 99.5  # percentile
_MARGIN = 0.1  # of the bright box, on each side
_LARGEST_SHARE = 0.75  # of the field; a brain fills about half of the box around it
_LEAST_CONTRAST = 1.5  # signal of the brain over that of the rest; a real image has 3 and more


def extract_brain(image: Any) -> Bool[np.ndarray, "x y z"]:
    """Mask the brain in a T1w image of a head with deepbet.

    Fisch et al. (2024), Computers in Biology and Medicine 179, 108845.

    Parameters
    ----------
    image : Nifti1Image
        The head, 3-D.

    Returns
    -------
    array of bool, shape (x, y, z)

    Raises
    ------
    ParticipantError
        If no brain of plausible volume is found.
    """
    from deepbet import BrainExtraction

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript's own deprecation
        try:
            _, mask, _ = BrainExtraction(no_gpu=True).run(image)
        except (AssertionError, ValueError, IndexError, RuntimeError) as error:
            raise ParticipantError(f"no brain was found in the T1w image ({error})") from error
    brain = np.asarray(mask.dataobj) > 0
    volume = _volume(brain, image.affine)
    smallest, largest = _PLAUSIBLE_BRAIN
    if not smallest <= volume <= largest:
        raise ParticipantError(
            f"the brain found in the T1w image has {volume:.0f} cm3, expected {smallest:.0f} to {largest:.0f}: "
            "look at the image"
        )
    return brain


def brightest_class(brain: Float[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """Mark the brightest of three classes of a skull-stripped image (Otsu 1979): white matter in a T1w image.

    Good enough for an outline in a picture; no number is taken from it.
    """
    import SimpleITK as sitk

    inside = brain > 0
    classes = sitk.OtsuMultipleThresholds(sitk.GetImageFromArray(brain[inside][np.newaxis]), numberOfThresholds=2)
    found = np.zeros(brain.shape, dtype=bool)
    found[inside] = sitk.GetArrayFromImage(classes)[0] == 2
    return found


def mask_bold(reference: Float[np.ndarray, "x y z"], affine: Float[np.ndarray, "4 4"]) -> Bool[np.ndarray, "x y z"]:
    """Mask the brain in a BOLD reference (`nilearn.masking.compute_epi_mask`).

    That looks for a gap among the voxels between the 20th and the 85th percentile, and finds nothing sensible where the
    brain is less than 15 % of the field, as in padded and many skull-stripped images. The field is cut to what is
    bright (Otsu 1979) there beforehand.

    Raises
    ------
    ParticipantError
        If no mask can be made, or if it is no brain by its size.
    """
    import nibabel as nib
    from nilearn.masking import compute_epi_mask

    field = _bright_box(reference)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            mask = compute_epi_mask(nib.Nifti1Image(reference[field].astype(np.float32), affine), opening=2)
        except ValueError as error:
            raise ParticipantError(f"no brain was found in the BOLD reference ({error})") from error
    found = np.zeros(reference.shape, dtype=bool)
    found[field] = np.asarray(mask.dataobj) > 0
    if not found.any():
        raise ParticipantError("no brain was found in the BOLD reference: it has no contrast")
    share, volume = found[field].mean(), _volume(found, affine)
    inside, outside = reference[field][found[field]], reference[field][~found[field]]
    if share > _LARGEST_SHARE or volume > _PLAUSIBLE_BRAIN[1] or inside.mean() < _LEAST_CONTRAST * outside.mean():
        raise ParticipantError(
            f"the mask of the BOLD reference is no brain ({volume:.0f} cm3, {share:.0%} of the field, signal "
            f"{inside.mean():.3g} inside and {outside.mean():.3g} outside): look at the image"
        )
    return found


def _bright_box(reference: Float[np.ndarray, "x y z"]) -> tuple[slice, ...]:
    """The whole field, or, where little of it is bright, the box around the largest bright piece with some margin."""
    import SimpleITK as sitk
    from scipy import ndimage

    otsu = sitk.OtsuThresholdImageFilter()
    dimmed = np.minimum(reference, np.percentile(reference, _HOT))  # a few hot voxels are no brain
    otsu.Execute(sitk.GetImageFromArray(dimmed.astype(np.float32)))
    bright = reference > otsu.GetThreshold()
    if not 0 < bright.mean() < _SMALL_SHARE:
        return tuple(slice(0, size) for size in reference.shape)
    pieces, _ = ndimage.label(bright)
    largest = int(np.bincount(pieces[bright]).argmax())
    box = ndimage.find_objects(pieces)[largest - 1]
    margins = [max(2, round(_MARGIN * (side.stop - side.start))) for side in box]
    return tuple(
        slice(max(0, side.start - margin), min(size, side.stop + margin))
        for side, margin, size in zip(box, margins, reference.shape, strict=True)
    )


def _volume(mask: Bool[np.ndarray, "x y z"], affine: Float[np.ndarray, "4 4"]) -> float:
    """Volume of a mask, in cm3."""
    return float(mask.sum() * abs(np.linalg.det(affine[:3, :3])) / 1000)
