"""Singular values over training: heat maps of each layer for each group, and their ratio."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gradspec.figures.style import (
    DIVERGING,
    MISSING_COLOUR,
    POOLED,
    count_blocks,
    count_runs,
    group_colours,
    layer_label,
    new_figure,
    styled,
)
from gradspec.spectra.features import drop_rounding, rounding_tolerance
from gradspec.spectra.file import KINDS, iterate_layers
from gradspec.spectra.table import per_sample_scale

# Decades below a layer's largest singular value that the colours tell apart.
_DECADES = 4.0

COLUMNS = {
    "layer": "Parameter whose spectra these are",
    "kind": {
        "Description": "Matrix that was decomposed",
        "Levels": {
            "gradient": "gradient of the mean loss of the group (loss per unit of weight)",
            "activation": "input of the layer",
            "delta": "gradient at the output of the layer",
        },
    },
    "group": "Group of the samples; pooled for all",
    "epoch": "Epoch, from 0",
    "index": "Number of the singular value, 1 is the largest",
    "singular_value": "Mean over training runs and the steps of the epoch",
    "n_runs": "Training runs (repeats × folds) with a value",
}


def summarise_spectra(spectra: xr.DataTree, kind: str | None = None) -> pd.DataFrame:
    """Average the spectra of each layer and group over the steps of an epoch and over runs.

    Each spectrum is scaled to the mean over the samples of its group (see `gradspec.spectra.table.per_sample_scale`),
    so that groups of different size can be compared, and values that are but rounding count as zero, as for the
    features.

    Parameters
    ----------
    spectra : DataTree
        A node a parameter with ``gradient``, ``activation`` or ``delta`` (run_index, step, group, index); the root has
        ``epoch`` (step) and ``n`` (run_index, step, group).
    kind : str, optional
        What the spectra are of. Without it, the gradient, or else the first of the kinds there are.

    Returns
    -------
    DataFrame
        A row a layer, group, epoch and index, columns as in `COLUMNS`; values that are not defined are left out.
    """
    layers = dict(iterate_layers(spectra))
    kind = kind or next(kind for kind in KINDS if any(kind in node for node in layers.values()))
    root = spectra.to_dataset()
    parts = [_layer_table(name, node, root, kind) for name, node in layers.items() if kind in node]
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


def _layer_table(name: str, node: xr.Dataset, root: xr.Dataset, kind: str) -> pd.DataFrame:
    tolerance = rounding_tolerance(tuple(map(int, np.atleast_1d(node.attrs["shape"]))))
    array = drop_rounding(node[kind].transpose("run_index", "step", "group", "index").to_numpy(), tolerance)
    n = root["n"].transpose("run_index", "step", "group").to_numpy()
    array = array * per_sample_scale(n, kind, root.attrs["loss_reduction"])[..., np.newaxis]
    groups = root["group"].to_numpy().astype(str)
    epochs = root["epoch"].to_numpy()
    frames = []
    for epoch in np.unique(epochs):
        with warnings.catch_warnings():
            # Spectra that no group of this size can have are NaN throughout.
            warnings.simplefilter("ignore", RuntimeWarning)
            by_run = np.nanmean(array[:, epochs == epoch], axis=1)
            mean = np.nanmean(by_run, axis=0)
        group, index = np.nonzero(np.isfinite(mean))
        frames.append(
            pd.DataFrame(
                {
                    "group": groups[group],
                    "epoch": epoch,
                    "index": index + 1,
                    "singular_value": mean[group, index],
                    "n_runs": np.isfinite(by_run).sum(axis=0)[group, index],
                }
            )
        )
    return pd.concat(frames, ignore_index=True).assign(layer=name, kind=kind)


@styled
def plot_spectra(table: pd.DataFrame, levels: Sequence[str], model: str) -> Figure:
    """Draw singular value × epoch heat maps: a row a layer; a column each group, all pooled, and the ratio.

    Parameters
    ----------
    table : DataFrame
        What `summarise_spectra` returns.
    levels : sequence of str
        The two groups, the reference first.
    model : str
        Name of the network.
    """
    layers = list(dict.fromkeys(table["layer"]))
    n_blocks, n_rows = count_blocks(len(layers))
    groups = [*levels, POOLED]
    figure = new_figure(9.5 if n_blocks == 1 else 16.0, 1.45 * n_rows + 1.9)
    panels = figure.subplots(n_rows, 4 * n_blocks, squeeze=False)
    largest_ratio = largest_log2_ratio(table, levels)
    for place, axes in enumerate(_rows_of(panels, n_blocks, n_rows)):
        if place >= len(layers):
            for ax in axes:
                ax.set_axis_off()
            continue
        rows = table[table["layer"] == layers[place]]
        draw_layer(axes, rows, groups, largest_ratio)
        axes[0].set_ylabel("Index of\nsingular value", fontsize=8)
        top = rows["singular_value"].max()
        axes[0].set_title(f"{layer_label(layers[place])}   (largest {top:.2g})", fontsize=9, fontweight="bold")
        last = place % n_rows == n_rows - 1 or place == len(layers) - 1
        if last:
            for ax in axes:
                ax.set_xlabel("Epoch")
    name_columns(panels, levels, n_blocks)
    add_scales(figure, panels, levels, largest_ratio)
    kind = table["kind"].iloc[0]
    figure.suptitle(f"{model}: singular values of each layer's {kind}, mean of {count_runs(table['n_runs'].max())}")
    return figure


def _rows_of(panels: np.ndarray, n_blocks: int, n_rows: int) -> list[np.ndarray]:
    """Order the rows of panels down the first block, then down the second."""
    return [panels[row, 4 * block : 4 * block + 4] for block in range(n_blocks) for row in range(n_rows)]


def _grid(rows: pd.DataFrame, epochs: Sequence[Any], n_index: int) -> np.ndarray:
    wide = rows.pivot_table(index="index", columns="epoch", values="singular_value")
    wide = wide.reindex(index=range(1, n_index + 1), columns=list(epochs))
    return np.asarray(wide, dtype=float)


def _log2_ratio(rows: pd.DataFrame, levels: Sequence[str], epochs: Sequence[Any], n_index: int) -> np.ndarray:
    reference, comparison = (_grid(rows[rows["group"] == level], epochs, n_index) for level in levels)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log2(comparison / reference)
    return np.where(np.isfinite(ratio), ratio, np.nan)


def largest_log2_ratio(table: pd.DataFrame, levels: Sequence[str]) -> float:
    """End of the scale of ratios: few extreme ones, of values near rounding error, shall not bleach the others."""
    parts = []
    for _, rows in table.groupby("layer", sort=False):
        ratio = _log2_ratio(rows, levels, sorted(rows["epoch"].unique()), int(rows["index"].max()))
        parts.append(np.abs(ratio[np.isfinite(ratio)]))
    ratios = np.concatenate(parts)
    return max(0.1, float(np.quantile(ratios, 0.98))) if ratios.size else 1.0


def draw_layer(axes: np.ndarray, rows: pd.DataFrame, groups: Sequence[str], largest_ratio: float) -> None:
    """Draw the heat maps of a layer in four panels: three `groups`, and the ratio of the second to the first."""
    epochs = sorted(rows["epoch"].unique())
    n_index = int(rows["index"].max())
    extent = (epochs[0] - 0.5, epochs[-1] + 0.5, n_index + 0.5, 0.5)
    top = rows["singular_value"].max()
    for ax, group in zip(axes, groups, strict=False):
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.log10(_grid(rows[rows["group"] == group], epochs, n_index) / top)
        values[np.isneginf(values)] = -2 * _DECADES
        ax.imshow(values, cmap="viridis", norm=Normalize(-_DECADES, 0), extent=extent)
    ratio = _log2_ratio(rows, groups[:2], epochs, n_index)
    scale = Normalize(-largest_ratio, largest_ratio)
    axes[3].imshow(ratio, cmap=DIVERGING, norm=scale, extent=extent)
    for column, ax in enumerate(axes):
        ax.set_aspect("auto")
        ax.set_facecolor(MISSING_COLOUR)
        ax.spines[:].set_visible(False)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
        ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4, min_n_ticks=1))
        if column:
            ax.set_yticklabels([])


def name_columns(panels: np.ndarray, levels: Sequence[str], n_blocks: int) -> None:
    """Write above each column of panels which group it is."""
    colours = group_colours(levels)
    names = [*levels, POOLED, f"{levels[1]} / {levels[0]}"]
    for column in range(4 * n_blocks):
        name = names[column % 4]
        panels[0, column].annotate(
            name,
            (0.5, 1),
            xycoords="axes fraction",
            xytext=(0, 24),
            textcoords="offset points",
            ha="center",
            fontsize=10,
            color=colours.get(name, "black"),
            fontweight="bold",
        )


def add_scales(figure: Any, panels: np.ndarray, levels: Sequence[str], largest_ratio: float) -> None:
    """Draw the colour scales of singular values and of ratios below the panels."""
    n_columns = panels.shape[1]
    image = ScalarMappable(Normalize(-_DECADES, 0), "viridis")
    where = {"location": "bottom", "aspect": 40, "fraction": 0.12 / panels.shape[0], "shrink": 0.8}
    bar = figure.colorbar(image, ax=panels[:, : n_columns // 2], extend="min", **where)
    ticks = np.arange(-_DECADES, 1)
    bar.set_ticks(list(ticks), labels=[f"$10^{{{tick:.0f}}}$" if tick else "1" for tick in ticks])
    bar.set_label("Singular value relative to the layer's largest\n(darkest: smaller or rounding; grey: not defined)")
    image = ScalarMappable(Normalize(-largest_ratio, largest_ratio), DIVERGING)
    bar = figure.colorbar(image, ax=panels[:, n_columns // 2 :], extend="both", **where)
    bar.set_label(f"Ratio {levels[1]} / {levels[0]} (log2)")
