"""Slices of images in millimetres, so that maps and template of any voxel size can lie over each other."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from scipy.ndimage import map_coordinates

AXES = ("sagittal", "coronal", "axial")
LETTERS = ("x", "y", "z")
# What a slice shows, in mm of the template's space: the brain with a small margin.
BOUNDS = ((-75.0, 75.0), (-110.0, 78.0), (-72.0, 84.0))

HALF_HEIGHT = 95.0

# Cold for negative and hot for positive values, both saturated where they begin so that they stand out from grey.
MAP_COLOURS = LinearSegmentedColormap.from_list(
    "map", ["#CFF5FF", "#56B4E9", "#0B4F8A", "#0B4F8A", "#8A1C0B", "#8A1C0B", "#E66A00", "#FFE45C"]
)


class Slice(NamedTuple):
    """A plane across a volume: values (row = upwards, column = to the right), and its extent in mm."""

    values: np.ndarray
    extent: tuple[float, float, float, float]


def cut(volume: np.ndarray, affine: np.ndarray, axis: int, position: float, step: float = 1.0) -> Slice:
    """Sample the plane where coordinate `axis` equals `position`, by linear interpolation.

    Parameters
    ----------
    volume : ndarray of shape (x, y, z)
        Image.
    affine : ndarray of shape (4, 4)
        From voxels to mm.
    axis : int
        0 for a sagittal, 1 for a coronal, 2 for an axial slice.
    position : float
        Where, in mm.
    step : float
        Distance of the samples, in mm.

    Returns
    -------
    Slice
        Zero outside the volume.
    """
    right, up = (other for other in range(3) if other != axis)
    columns = np.arange(BOUNDS[right][0], BOUNDS[right][1] + step / 2, step)
    rows = np.arange(BOUNDS[up][0], BOUNDS[up][1] + step / 2, step)
    points = np.empty((3, rows.size, columns.size))
    points[axis] = position
    points[right] = columns[np.newaxis]
    points[up] = rows[:, np.newaxis]
    inverse = np.linalg.inv(affine)
    voxels = np.einsum("ij,jrc->irc", inverse[:3, :3], points) + inverse[:3, 3, np.newaxis, np.newaxis]
    values = map_coordinates(np.nan_to_num(volume), voxels, order=1, mode="constant", cval=0.0)
    half = step / 2
    return Slice(values, (columns[0] - half, columns[-1] + half, rows[0] - half, rows[-1] + half))


def peak_of(volume: np.ndarray, affine: np.ndarray) -> tuple[float, float, float]:
    """Return where the magnitude of `volume` is largest, in mm."""
    voxel = np.unravel_index(int(np.argmax(np.abs(np.nan_to_num(volume)))), volume.shape)
    x, y, z = affine[:3, :3] @ np.array(voxel, dtype=float) + affine[:3, 3]
    return float(x), float(y), float(z)


def best_axial(volume: np.ndarray, affine: np.ndarray) -> float:
    """Return the height (mm) of the axial slice that holds most of the map."""
    mass = np.nan_to_num(np.clip(volume, 0, None)).sum(axis=(0, 1))
    return float(affine[2, 2] * int(np.argmax(mass)) + affine[2, 3])


def draw_slice(ax: Any, plane: Slice, background: Slice, threshold: float, largest: float, shift: float = 0.0) -> float:
    """Draw a thresholded map over the template; right of the image is right of the brain.

    Parameters
    ----------
    ax : Axes
        Where to draw; slices of several directions may stand side by side in it.
    plane, background : Slice
        The same plane of the map and of the template (0 to 1).
    threshold, largest : float
        Magnitudes below `threshold` are left transparent; the colours end at ± `largest`.
    shift : float
        Where the slice begins from the left, in mm.

    Returns
    -------
    float
        Where it ends, in mm.
    """
    left, right, bottom, top = background.extent
    extent = (shift, shift + right - left, (bottom - top) / 2, (top - bottom) / 2)
    brain = np.where(background.values > 0.02, 0.3 + 0.65 * background.values, 1.0)
    ax.imshow(brain, extent=extent, origin="lower", cmap="gray", vmin=0, vmax=1, interpolation="bilinear")
    shown = np.where(np.abs(plane.values) < threshold, np.nan, plane.values)
    ax.imshow(shown, extent=extent, origin="lower", cmap=MAP_COLOURS, vmin=-largest, vmax=largest)
    ax.set_axis_off()
    ax.set_xlim(0, extent[1])
    ax.set_ylim(-HALF_HEIGHT, HALF_HEIGHT)
    return extent[1]
