"""The group's components in one grid: three slices through the peak of each, its stability and its name."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from gradspec.figures.slices import HALF_HEIGHT, LETTERS, MAP_COLOURS, cut, draw_slice, peak_of
from gradspec.figures.style import new_figure, styled

THRESHOLD = 2.0

COLUMNS = {
    "component": "Component",
    "label": "Name of the network it resembles most; its own name without a template",
    "correlation": "Spatial correlation with that network; n/a without a template",
    "stability": "Stability over random starts (Iq of ICASSO: similarity within minus between clusters)",
    "n_starts": "Random starts that were compared",
    "peak_x": {"Description": "Left to right position of the slices, the peak of the map", "Units": "mm"},
    "peak_y": {"Description": "Back to front position of the slices", "Units": "mm"},
    "peak_z": {"Description": "Bottom to top position of the slices", "Units": "mm"},
    "peak_value": {"Description": "Value of the map at its peak", "Units": "z"},
}


def describe_components(maps: Any, stability: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Gather what the grid says of each component.

    Parameters
    ----------
    maps : Nifti1Image
        4-D maps (z).
    stability : DataFrame
        ``component``, ``stability``, ``n_starts``, in the order of the maps.
    labels : DataFrame
        ``component``, ``label``, ``correlation``, ``peak_x``, ``peak_y``, ``peak_z`` (mm).

    Returns
    -------
    DataFrame
        A row a component, columns as in `COLUMNS`. A peak that is missing is taken from the map.
    """
    table = stability.merge(labels, on="component", how="left").reindex(columns=list(COLUMNS))
    volumes = np.asarray(maps.dataobj, dtype=np.float32)
    peaks = ["peak_x", "peak_y", "peak_z"]
    for row in table.index:
        volume = volumes[..., row]
        if table.loc[row, peaks].isna().any():
            table.loc[row, peaks] = peak_of(volume, maps.affine)
        table.loc[row, "peak_value"] = float(volume.flat[int(np.argmax(np.abs(np.nan_to_num(volume))))])
    return table


@styled
def plot_components(maps: Any, table: pd.DataFrame, template: Any) -> Figure:
    """Draw the components in a grid, each as a sagittal, coronal and axial slice over the template.

    Parameters
    ----------
    maps : Nifti1Image
        4-D maps (z).
    table : DataFrame
        What `describe_components` returns.
    template : Nifti1Image
        Brain in the same space, from 0 to 1.
    """
    n_columns = 1 if len(table) == 1 else min(4, max(2, math.ceil(math.sqrt(len(table)))))
    n_rows = math.ceil(len(table) / n_columns)
    named = table["correlation"].notna().any()
    figure = new_figure(max(6.5, 3.0 * n_columns), (1.75 if named else 1.55) * n_rows + 1.0)
    volumes = np.asarray(maps.dataobj, dtype=np.float32)
    anatomy = np.asarray(template.dataobj, dtype=np.float32)
    # One outlying peak shall not take the colour from all the others.
    largest = max(2 * THRESHOLD, float(np.nanpercentile(np.abs(table["peak_value"].astype(float)), 75)))
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    for ax in axes.flat[len(table) :]:
        ax.set_axis_off()
    for ax, (row, component) in zip(axes.flat, table.iterrows(), strict=False):
        ax.set_title(_heading(component), fontsize=9, loc="center")
        shift = 0.0
        for axis, name in enumerate(("peak_x", "peak_y", "peak_z")):
            position = float(component[name])
            plane = cut(volumes[..., row], maps.affine, axis, position)
            background = cut(anatomy, template.affine, axis, position)
            end = draw_slice(ax, plane, background, THRESHOLD, largest, shift)
            ax.text(
                (shift + end) / 2, -HALF_HEIGHT, f"{LETTERS[axis]} = {position:.0f}", ha="center", va="top", fontsize=8
            )
            shift = end + 4
    starts = f"; stability (Iq) over {int(table['n_starts'].max())} starts" if table["n_starts"].notna().any() else ""
    figure.suptitle(f"{len(table)} group components at their peaks (mm){starts}")
    image = ScalarMappable(Normalize(-largest, largest), MAP_COLOURS)
    bar = figure.colorbar(
        image, ax=axes, location="bottom", aspect=50, fraction=0.12 / n_rows, shrink=0.5, extend="both"
    )
    bar.ax.axvspan(-THRESHOLD, THRESHOLD, color="white")
    bar.set_label(f"Component map (z); |z| < {THRESHOLD:g} not shown; right of the image is right of the brain")
    return figure


def _heading(component: pd.Series) -> str:
    """Name a component, with its label and stability where they are known."""
    heading = str(component["component"])
    if pd.notna(component["stability"]):
        heading += f"   Iq = {component['stability']:.2f}"
    if pd.notna(component["correlation"]):
        heading += f"\n{component['label']} (r = {component['correlation']:.2f})"
    return heading
