"""Slices of images for quality control: registrations with contours, before and after, and maps in colour.

Drawn on matplotlib's object interface, so that no global state is touched.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_N_SLICES = 7


def draw_registration(
    image: Float[np.ndarray, "x y z"],
    contours: Sequence[tuple[str, str, Float[np.ndarray, "x y z"]]],
    affine: Float[np.ndarray, "4 4"],
    title: str,
    path: Path,
) -> None:
    """Draw slices of an image with the outlines of other images on top.

    Parameters
    ----------
    image : array, shape (x, y, z)
        The background, in template space and RAS order.
    contours : sequence of (label, colour, array of shape (x, y, z))
        Outlines, drawn where a mask or probability passes 0.5.
    affine : array, shape (4, 4)
        Voxel to world matrix of all of them.
    title : str
        Said above the picture.
    path : Path
        Picture file.
    """
    low, high = _grey_range(image)
    union = np.any([outline > 0.5 for _, _, outline in contours], axis=0)
    figure, panels = _open_grid(union, affine, title)
    for panel, axis, cut, window in panels:
        panel.imshow(image.take(cut, axis)[window].T, cmap="gray", vmin=low, vmax=high, origin="lower")
        _outline(panel, [(colour, outline.take(cut, axis)[window]) for _, colour, outline in contours])
    _name_outlines(figure, contours)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def draw_before_after(
    before: Float[np.ndarray, "x y z"],
    after: Float[np.ndarray, "x y z"],
    contours: Sequence[tuple[str, str, Float[np.ndarray, "x y z"]]],
    title: str,
    path: Path,
) -> None:
    """Draw an image before and after its registration below the outlines of the image that it was brought to.

    Parameters
    ----------
    before, after : array, shape (x, y, z)
        The moving image on the grid of the fixed one, in RAS order, with the transform left out and applied.
    contours : sequence of (label, colour, array of shape (x, y, z))
        Outlines of the fixed image, drawn where a mask passes 0.5.
    title : str
        Said above the picture.
    path : Path
        Picture file.
    """
    union = np.any([outline > 0.5 for _, _, outline in contours], axis=0)
    figure = Figure(figsize=(12, 4.2), facecolor="black", layout="constrained")
    low, high = _grey_range(after)
    for name, image, row in zip(("before", "after"), (before, after), figure.subplots(2, _N_SLICES), strict=True):
        for place, panel in enumerate(row):
            axis, share = ((2, 0.3), (2, 0.45), (2, 0.6), (0, 0.4), (0, 0.6), (1, 0.35), (1, 0.6))[place]
            extent, window = np.unique(np.nonzero(union)[axis]), _window(union, axis)
            cut = int(extent[0] + share * (extent[-1] - extent[0]))
            panel.imshow(image.take(cut, axis)[window].T, cmap="gray", vmin=low, vmax=high, origin="lower")
            _outline(panel, [(colour, outline.take(cut, axis)[window]) for _, colour, outline in contours])
            panel.axis("off")
        row[0].set_title(name, color="white", fontsize=9, loc="left", pad=2)
    figure.suptitle(title, color="white", fontsize=10, x=0.01, ha="left")
    _name_outlines(figure, contours)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def draw_map(
    values: Float[np.ndarray, " voxel"],
    mask: Bool[np.ndarray, "x y z"],
    affine: Float[np.ndarray, "4 4"],
    label: str,
    title: str,
    path: Path,
) -> None:
    """Draw a number a voxel as slices in colour.

    Parameters
    ----------
    values : array, shape (voxel,)
        Numbers of the voxels of the mask, not negative.
    mask : array of bool, shape (x, y, z)
        In template space and RAS order.
    affine : array, shape (4, 4)
        Voxel to world matrix.
    label : str
        Name of the number, with its unit, beside the colour bar.
    title : str
        Said above the picture.
    path : Path
        Picture file.
    """
    image = np.full(mask.shape, np.nan)
    image[mask] = values
    figure, panels = _open_grid(mask, affine, title)
    highest = float(np.percentile(values, 98)) or 1.0
    for panel, axis, cut, window in panels:
        section = image.take(cut, axis)[window].T
        shown = panel.imshow(section, cmap="viridis", vmin=0, vmax=highest, origin="lower", interpolation="nearest")
    bar = figure.colorbar(shown, ax=figure.axes, fraction=0.02, pad=0.01)
    bar.set_label(label, color="white", fontsize=9)
    bar.ax.tick_params(colors="white", labelsize=7)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _grey_range(image: Float[np.ndarray, "x y z"]) -> tuple[float, float]:
    inside = image[image != 0]
    low, high = np.percentile(inside, [2, 99.5]) if inside.size else (0.0, 1.0)
    return float(low), float(high)


def _open_grid(
    shown: Bool[np.ndarray, "x y z"], affine: Float[np.ndarray, "4 4"], title: str
) -> tuple[Figure, list[tuple[Axes, int, int, tuple[slice, slice]]]]:
    """Open a black figure with slices through `shown`, and give axes, axis, index and window of each."""
    figure = Figure(figsize=(12, 5.8), facecolor="black", layout="constrained")
    panels = []
    for row, axis in zip(figure.subplots(3, _N_SLICES), (2, 0, 1), strict=True):
        extent = np.unique(np.nonzero(shown)[axis])
        cuts = np.linspace(extent[0], extent[-1], _N_SLICES + 2)[1:-1].astype(int)
        window = _window(shown, axis)
        for cut, panel in zip(cuts, row, strict=True):
            position = affine[axis, 3] + affine[axis, axis] * cut
            panel.set_title(f"{'xyz'[axis]} = {position:.0f} mm", color="white", fontsize=7, pad=2)
            panel.axis("off")
            panels.append((panel, axis, int(cut), window))
    figure.suptitle(title, color="white", fontsize=10, x=0.01, ha="left")
    return figure, panels


def _outline(panel: Axes, sections: Sequence[tuple[str, Float[np.ndarray, "x y"]]]) -> None:
    for colour, section in sections:
        if section.min() < 0.5 < section.max():
            panel.contour(section.T, levels=[0.5], colors=[colour], linewidths=0.8)


def _name_outlines(figure: Figure, contours: Sequence[tuple[str, str, Float[np.ndarray, "x y z"]]]) -> None:
    for index, (label, colour, _) in enumerate(reversed(contours)):
        figure.text(0.99 - 0.15 * index, 0.985, f"— {label}", color=colour, fontsize=9, va="top", ha="right")


def _window(mask: Bool[np.ndarray, "x y z"], axis: int) -> tuple[slice, slice]:
    """Part of a slice across `axis` that the mask reaches, with a small rim."""
    rows, columns = (np.unique(index) for other, index in enumerate(np.nonzero(mask)) if other != axis)
    return slice(max(0, rows[0] - 3), rows[-1] + 4), slice(max(0, columns[0] - 3), columns[-1] + 4)
