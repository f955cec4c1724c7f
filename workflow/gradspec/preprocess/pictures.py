"""Pictures of one participant for quality control: registrations with contours, and the carpet plot.

Drawn on matplotlib's object interface, so that no global state is touched.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gradspec.preprocess.confounds import MAX_FRAMEWISE_DISPLACEMENT, MAX_STD_DVARS

_N_SLICES = 7
_CARPET_ROWS = 600


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
    figure = Figure(figsize=(12, 5.8), facecolor="black", layout="constrained")
    axes = figure.subplots(3, _N_SLICES)
    low, high = np.percentile(image[image != 0], [2, 99.5])
    union = np.any([outline > 0.5 for _, _, outline in contours], axis=0)
    for row, axis in enumerate((2, 0, 1)):
        extent = np.unique(np.nonzero(union)[axis])
        cuts = np.linspace(extent[0], extent[-1], _N_SLICES + 2)[1:-1].astype(int)
        window = _window(union, axis)
        for cut, panel in zip(cuts, axes[row], strict=True):
            panel.imshow(image.take(cut, axis)[window].T, cmap="gray", vmin=low, vmax=high, origin="lower")
            for _, colour, outline in contours:
                section = outline.take(cut, axis)[window].T
                if section.min() < 0.5 < section.max():
                    panel.contour(section, levels=[0.5], colors=[colour], linewidths=0.8)
            position = affine[axis, 3] + affine[axis, axis] * cut
            panel.set_title(f"{'xyz'[axis]} = {position:.0f} mm", color="white", fontsize=7, pad=2)
            panel.axis("off")
    figure.suptitle(title, color="white", fontsize=10, x=0.01, ha="left")
    for index, (label, colour, _) in enumerate(reversed(contours)):
        figure.text(0.99 - 0.15 * index, 0.985, f"— {label}", color=colour, fontsize=9, va="top", ha="right")
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _window(mask: Bool[np.ndarray, "x y z"], axis: int) -> tuple[slice, slice]:
    """Part of a slice across `axis` that the mask reaches, with a small rim."""
    rows, columns = (np.unique(index) for other, index in enumerate(np.nonzero(mask)) if other != axis)
    return slice(max(0, rows[0] - 3), rows[-1] + 4), slice(max(0, columns[0] - 3), columns[-1] + 4)


def draw_carpet(
    brain: Float[np.ndarray, "time voxel"],
    tissues: Sequence[tuple[str, str, Bool[np.ndarray, " voxel"]]],
    confounds: pd.DataFrame,
    repetition_time: float,
    title: str,
    path: Path,
) -> None:
    """Draw the signal of all voxels over time below head motion and DVARS (Power 2017, NeuroImage 154, 150).

    Parameters
    ----------
    brain : array, shape (time, voxel)
        The run inside its brain mask.
    tissues : sequence of (label, colour, array of bool of shape (voxel,))
        Which voxels are shown, tissue by tissue from top to bottom.
    confounds : DataFrame
        With ``framewise_displacement`` and ``std_dvars``.
    repetition_time : float
        In seconds.
    title : str
        Said above the picture.
    path : Path
        Picture file.
    """
    figure = Figure(figsize=(10, 6), layout="constrained")
    grid = figure.add_gridspec(3, 2, height_ratios=[1, 1, 4], width_ratios=[1, 60])
    seconds = np.arange(len(brain)) * repetition_time
    motion, change, carpet = (figure.add_subplot(grid[row, 1]) for row in range(3))
    _trace(motion, seconds, confounds["framewise_displacement"], "FD (mm)", MAX_FRAMEWISE_DISPLACEMENT)
    _trace(change, seconds, confounds["std_dvars"], "std DVARS", MAX_STD_DVARS)
    shown = {label: _thin(np.flatnonzero(voxels), len(tissues)) for label, _, voxels in tissues}
    signal = brain[:, np.concatenate(list(shown.values()))].astype(float)
    signal -= signal.mean(axis=0)
    spread = signal.std(axis=0)
    signal /= np.where(spread > 0, spread, 1)
    end = seconds[-1] + repetition_time
    carpet.imshow(
        signal.T,
        aspect="auto",
        cmap="gray",
        vmin=-2,
        vmax=2,
        interpolation="nearest",
        extent=(0, end, signal.shape[1], 0),
    )
    carpet.set(xlabel="time (s)", yticks=[], xlim=(0, end))
    bar = figure.add_subplot(grid[2, 0], sharey=carpet)
    top = 0
    for label, colour, _ in tissues:
        bottom = top + len(shown[label])
        bar.axhspan(top, bottom, color=colour)
        bar.text(-0.4, (top + bottom) / 2, label, rotation=90, ha="right", va="center", fontsize=8)
        top = bottom
    bar.set(xlim=(0, 1))
    bar.axis("off")
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _thin(voxels: np.ndarray, n_tissues: int) -> np.ndarray:
    """Every n-th voxel, so that the picture has a row for each."""
    return voxels[:: max(1, -(-len(voxels) * n_tissues // _CARPET_ROWS))]


def _trace(axes: Axes, seconds: Float[np.ndarray, " time"], values: pd.Series, label: str, limit: float) -> None:
    axes.plot(seconds, values, color="#1f4e79", linewidth=1)
    axes.axhline(limit, color="#c0392b", linewidth=0.8, linestyle="--")
    axes.set_xlim(0, seconds[-1] + (seconds[1] - seconds[0]))
    axes.set_ylim(0, max(limit * 1.2, float(values.max()) * 1.1))
    axes.set_ylabel(label, fontsize=8)
    axes.tick_params(labelbottom=False, labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
