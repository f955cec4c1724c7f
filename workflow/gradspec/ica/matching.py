"""Which component is which reference map: spatial correlation, and a one-to-one assignment by it."""

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float, Int
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import SpatialImage
from scipy.optimize import linear_sum_assignment

from gradspec.errors import ConfigError, raise_machine_fault
from gradspec.files import PathLike
from gradspec.ica.images import Image, load, name_of, read_maps, voxels_of

Match = tuple[Int[np.ndarray, " reference"], Int[np.ndarray, " reference"], Float[np.ndarray, " reference"]]
"""For each reference map: index of its component (-1 for none), sign (+1, -1; 0 for none), absolute correlation."""


def spatial_correlation(
    estimated: Float[np.ndarray, "component voxel"], reference: Float[np.ndarray, "reference voxel"]
) -> Float[np.ndarray, "component reference"]:
    """Pearson correlation over voxels of each map with each reference; zero for maps without variance."""

    def scaled(maps: np.ndarray) -> np.ndarray:
        centred = maps - maps.mean(axis=1, keepdims=True, dtype=np.float64)
        norm = np.linalg.norm(centred, axis=1, keepdims=True)
        return np.asarray(centred / np.where(norm > 0, norm, 1))

    return np.asarray(scaled(estimated) @ scaled(reference).T)


def match_components(
    estimated: Float[np.ndarray, "component voxel"], reference: Float[np.ndarray, "reference voxel"]
) -> Match:
    """Give each reference map one component, so that the sum of absolute correlations is largest.

    Parameters
    ----------
    estimated : array, (component, voxel)
        Estimated maps.
    reference : array, (reference, voxel)
        Reference maps; there may be fewer or more of them than components.

    Returns
    -------
    index : array, (reference,)
        Component of each reference, -1 where none is left.
    sign : array, (reference,)
        Sign of their correlation: ``sign * estimated[index]`` looks like the reference; 0 where there is none.
    correlation : array, (reference,)
        Absolute correlation; 0 where there is none.
    """
    return assign(spatial_correlation(estimated, reference))


def assign(correlations: Float[np.ndarray, "component reference"]) -> Match:
    """Do the work of `match_components` for correlations that are known."""
    components, references = linear_sum_assignment(-np.abs(correlations))
    index = np.full(correlations.shape[1], -1, dtype=np.int64)
    index[references] = components
    matched = np.where(index >= 0, correlations[index, np.arange(len(index))], 0)
    sign = np.where(index >= 0, np.where(matched < 0, -1, 1), 0)
    return index, sign, np.abs(matched)


def match_component_images(components: PathLike, reference: PathLike) -> Match:
    """Match the volumes of two 4-D images; see `match_components`.

    Parameters
    ----------
    components : path
        4-D image of components, zero outside their mask.
    reference : path
        4-D image of reference maps; on another grid it is resampled to that of the components.

    Returns
    -------
    index, sign, correlation : arrays, (reference,)
        As `match_components` gives them, over the voxels in which any component is not zero.
    """
    image = load(components, 4)
    inside = (voxels_of(image) != 0).any(axis=3)
    return match_components(read_maps(image, inside), read_reference(reference, image, inside))


def read_reference(
    reference: Image, target: SpatialImage, inside: Bool[np.ndarray, "x y z"]
) -> Float[np.ndarray, "reference voxel"]:
    """Read reference maps on the grid of another image, within a mask.

    Parameters
    ----------
    reference : path or image
        4-D image of maps (a 3-D image is one map).
    target : image
        Image that gives the grid.
    inside : array, (x, y, z)
        Mask on that grid.

    Returns
    -------
    array, (reference, voxel)
        The maps, linearly interpolated where the grids differ; values that are not finite count as zero.

    Raises
    ------
    ConfigError
        If a map has no variance within the mask.
    """
    from nilearn.image import concat_imgs, resample_img

    maps = load_reference(reference)
    if maps.ndim == 3:
        maps = concat_imgs([maps])
    if maps.shape[:3] != inside.shape or not np.allclose(maps.affine, target.affine, atol=1e-3):
        maps = resample_img(
            maps, target.affine, inside.shape, interpolation="linear", force_resample=True, copy_header=True
        )
    values = np.nan_to_num(voxels_of(maps)[inside].T, posinf=0, neginf=0)
    empty = np.flatnonzero(values.std(axis=1) == 0)
    if len(empty):
        raise ConfigError(
            f"{name_of(reference)}: volume(s) {', '.join(str(k + 1) for k in empty)} are empty (or constant) within "
            "the mask of the components; is the image in the same space? Remove empty volumes"
        )
    return np.ascontiguousarray(values)


def load_reference(reference: Image) -> SpatialImage:
    """Open an image of reference maps (3-D or 4-D); the voxels are not read yet.

    Raises
    ------
    ConfigError
        If it cannot be read, or has other dimensions.
    """
    if isinstance(reference, SpatialImage):
        return reference
    try:
        image = nib.load(reference)
    except (OSError, ImageFileError) as error:
        raise_machine_fault(error, reference)
        raise ConfigError(f"{reference}: cannot be read as an image of reference maps ({error})") from error
    if image.ndim not in (3, 4):
        raise ConfigError(f"{reference}: reference maps must be a 4-D image, found shape {image.shape}")
    return image
