"""Tissues of one person: classes of the T1w image, and the parts of them that signals for confounds are taken from."""

import numpy as np
from jaxtyping import Bool, Float, Integer
from scipy import ndimage

LABELS = {"gray_matter": 1, "white_matter": 2, "csf": 3}
"""Labels of the segmentation, as those of fMRIPrep's ``dseg``."""
DEPTH_OF_VENTRICLES = 18.0
"""Distance, in mm, from the outside of the brain: liquor nearer to it moves with the head and neighbours the cortex."""
_RIM_OF_WHITE_MATTER = 4.0  # mm: nearer to its edge, a voxel of the BOLD run holds grey matter as well
_RIM_OF_VENTRICLES = 2.0


def name_classes(
    classes: Integer[np.ndarray, "x y z"], image: Float[np.ndarray, "x y z"]
) -> Integer[np.ndarray, "x y z"]:
    """Turn the three classes of a T1w image into tissues: liquor is the darkest, white matter the brightest.

    Parameters
    ----------
    classes : array of int, shape (x, y, z)
        1 to 3 in any order, 0 outside the brain.
    image : array, shape (x, y, z)
        The T1w image.

    Returns
    -------
    array of int, shape (x, y, z)
        The labels of `LABELS`, 0 outside.
    """
    means = ndimage.mean(image, classes, index=[1, 2, 3])
    names = np.zeros(4, dtype=np.uint8)
    for label, tissue in zip(np.argsort(means) + 1, ("csf", "gray_matter", "white_matter"), strict=True):
        names[label] = LABELS[tissue]
    named: np.ndarray = names[classes]
    return named


def erode_tissues(
    tissues: Integer[np.ndarray, "x y z"], spacing: Float[np.ndarray, "axis=3"]
) -> dict[str, Bool[np.ndarray, "x y z"]]:
    """Parts of the tissues in which no grey matter is seen.

    Parameters
    ----------
    tissues : array of int, shape (x, y, z)
        The labels of `LABELS`, 0 outside the brain.
    spacing : array, shape (3,)
        Voxel edges, in mm.

    Returns
    -------
    dict of array of bool
        ``csf``, the ventricles, and ``white_matter``, deep inside.
    """
    white, liquor = (
        ndimage.distance_transform_edt(tissues == LABELS[name], sampling=spacing) for name in ("white_matter", "csf")
    )
    depth = ndimage.distance_transform_edt(tissues > 0, sampling=spacing)
    return {
        "csf": (liquor > _RIM_OF_VENTRICLES) & (depth > DEPTH_OF_VENTRICLES),
        "white_matter": white > _RIM_OF_WHITE_MATTER,
    }
