"""The mask of the group: the voxels that lie in the brain masks of most runs."""

import logging
from collections.abc import Sequence

import nibabel as nib
import numpy as np
import pandas as pd
from jaxtyping import Bool
from nibabel.spatialimages import SpatialImage

from gradspec.errors import ConfigError, ParticipantError
from gradspec.ica.images import Image, image_like, load, name_of, to_grid, voxels_of

logger = logging.getLogger(__name__)

_FEWEST_VOXELS = 20  # that make sense as samples of a decomposition
_SMALLEST_SHARE = 0.1  # of the median mask that must be left in the group mask
_UNUSUAL_SHARE = 0.7  # of the group mask that a participant's mask covers; below it, a warning

SIZE_COLUMNS = {"mask": "Brain mask of a run", "n_voxels": "Number of voxels in it"}


def count_masks(masks: Sequence[Image], *, resample: bool = False) -> tuple[nib.Nifti1Image, pd.DataFrame]:
    """Count the brain masks that each voxel lies in.

    Parameters
    ----------
    masks : sequence of path or image
        3-D brain mask of each run; the grid of the first is that of the group.
    resample : bool
        Whether masks on another grid are resampled, or refused.

    Returns
    -------
    counts : Nifti1Image
        Number of masks by voxel.
    sizes : DataFrame
        A row a mask, see `SIZE_COLUMNS`.

    Raises
    ------
    ParticipantError
        If a mask cannot be read, is empty, or is on another grid than the first and not to be resampled.
    """
    reference = load(masks[0], 3)
    counts = np.zeros(reference.shape, dtype=np.int32)
    sizes = []
    for mask in masks:
        inside = _inside(mask, reference, resample)
        if not inside.any():
            raise ParticipantError("the brain mask is empty; check the preprocessing of this run", file=name_of(mask))
        sizes.append((name_of(mask), int(inside.sum())))
        counts += inside
    return image_like(reference, counts), pd.DataFrame(sizes, columns=list(SIZE_COLUMNS))


def group_mask(counts: Image, sizes: pd.DataFrame, share: float) -> nib.Nifti1Image:
    """Keep the voxels that lie in at least a share of the masks.

    Parameters
    ----------
    counts, sizes
        As `count_masks` gives them.
    share : float
        Share of the masks, above 0 to 1.

    Returns
    -------
    Nifti1Image
        The mask (uint8).

    Raises
    ------
    ParticipantError
        If a mask is tiny.
    ConfigError
        If hardly any voxel is left.
    """
    reference = load(counts, 3)
    common = voxels_of(reference) >= share * len(sizes) - 1e-6
    smallest, usual = sizes.loc[sizes["n_voxels"].idxmin()], sizes["n_voxels"].median()
    if smallest["n_voxels"] < _SMALLEST_SHARE * usual:
        raise ParticipantError(
            f"it has {smallest['n_voxels']} voxels, where the masks of the group have {usual:.0f} (median): "
            "it is no mask of a brain; check the preprocessing of this run, or leave it out",
            file=smallest["mask"],
        )
    if common.sum() < max(_SMALLEST_SHARE * usual, 1):
        raise ConfigError(
            f"only {common.sum()} voxels lie in the brain masks of {share:.0%} of the {len(sizes)} runs, where a mask "
            f"has {usual:.0f}: the masks hardly overlap. Check the registration of the smallest one, "
            f"{smallest['mask']}, or lower ica.mask_share"
        )
    if common.sum() < _FEWEST_VOXELS:
        raise ConfigError(
            f"the group mask has only {common.sum()} voxels; voxels are the samples of spatial ICA, and fewer than "
            f"{_FEWEST_VOXELS} cannot be decomposed. Check the brain masks, or lower preprocess.resolution"
        )
    logger.info("group mask: %d voxels in at least %.0f %% of %d masks", common.sum(), 100 * share, len(sizes))
    return image_like(reference, common.astype(np.uint8))


def warn_of_cover(mask: Image, group: SpatialImage, *, resample: bool = False) -> None:
    """Log a warning where the brain mask of a run covers little of that of the group."""
    covered = _inside(mask, group, resample)[voxels_of(group) > 0].mean()
    if covered < _UNUSUAL_SHARE:
        logger.warning("%s covers only %.0f %% of the group mask", name_of(mask), 100 * covered)


def _inside(mask: Image, reference: SpatialImage, resample: bool) -> Bool[np.ndarray, "x y z"]:
    return voxels_of(to_grid(load(mask, 3), reference, resample=resample)) > 0
