"""Brain masks: of a T1w image by a neural network (deepbet), of a BOLD reference by its histogram (nilearn)."""

import warnings
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from gradspec.errors import ParticipantError

_PLAUSIBLE_BRAIN = (500.0, 2500.0)  # cm3


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
    volume = float(brain.sum() * abs(np.linalg.det(image.affine[:3, :3])) / 1000)
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

    Raises
    ------
    ParticipantError
        If no mask can be made.
    """
    import nibabel as nib
    from nilearn.masking import compute_epi_mask

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            mask = compute_epi_mask(nib.Nifti1Image(reference.astype(np.float32), affine), opening=2)
        except ValueError as error:
            raise ParticipantError(f"no brain was found in the BOLD reference ({error})") from error
    found: np.ndarray = np.asarray(mask.dataobj) > 0
    if not found.any():
        raise ParticipantError("no brain was found in the BOLD reference: it has no contrast")
    return found
