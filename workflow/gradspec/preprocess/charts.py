"""Charts of a run over time for quality control: the carpet plot, and how confounds go with each other.

Drawn on matplotlib's object interface, so that no global state is touched.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gradspec.preprocess.compcor import N_COMPONENTS
from gradspec.preprocess.confounds import MAX_FRAMEWISE_DISPLACEMENT, MAX_STD_DVARS, MOTION_COLUMNS

_CARPET_ROWS = 600
_CORRELATED = (
    "global_signal",
    "csf",
    "white_matter",
    "framewise_displacement",
    "std_dvars",
    *MOTION_COLUMNS,
    *(f"{kind}_comp_cor_{index:02d}" for kind in "at" for index in range(N_COMPONENTS)),
)


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
        With ``std_dvars``, and with ``framewise_displacement`` where motion was estimated.
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
    displacement = confounds.get("framewise_displacement", pd.Series(np.nan, index=confounds.index))
    _trace(motion, seconds, displacement, "FD (mm)", MAX_FRAMEWISE_DISPLACEMENT)
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
    if values.isna().all():
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", va="center", fontsize=8)


def correlate_confounds(confounds: pd.DataFrame) -> pd.DataFrame:
    """Pearson correlations of the chief confounds over the volumes in which both have a value.

    Parameters
    ----------
    confounds : DataFrame
        The confounds table of a run.

    Returns
    -------
    DataFrame
        Square, a row and a column for each confound that varies.
    """
    present = [name for name in _CORRELATED if name in confounds and confounds[name].std() > 0]
    return confounds[present].corr()


def draw_confound_correlation(confounds: pd.DataFrame, title: str, path: Path) -> None:
    """Draw the correlations of the chief confounds, and how strongly each goes with the global signal.

    Parameters
    ----------
    confounds : DataFrame
        The confounds table of a run.
    title : str
        Said above the picture.
    path : Path
        Picture file.
    """
    correlation = correlate_confounds(confounds)
    names, places = list(correlation), np.arange(len(correlation))
    figure = Figure(figsize=(10, 5.6), layout="constrained")
    square, bars = figure.subplots(1, 2, width_ratios=[1.6, 1])
    shown = square.imshow(correlation, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
    square.set_xticks(places, names, rotation=90, fontsize=7)
    square.set_yticks(places, names, fontsize=7)
    figure.colorbar(shown, ax=square, fraction=0.045, pad=0.02, label="correlation")
    if "global_signal" in correlation:
        strength = correlation["global_signal"].drop("global_signal").abs().sort_values()
        bars.barh(strength.index, strength, color="#1f4e79")
        bars.tick_params(labelsize=7)
        bars.set(xlim=(0, 1), xlabel="|correlation| with the global signal")
        bars.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=110, metadata={"Software": None})
