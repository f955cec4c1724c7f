"""Ranks over training: the spectra of each layer's inputs, deltas and gradients against what is possible at all."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gradspec.figures.style import (
    MISSING_COLOUR,
    POOLED,
    count_blocks,
    count_runs,
    layer_label,
    name_panel,
    new_figure,
    styled,
)
from gradspec.models.own import network_of
from gradspec.spectra.features import drop_rounding, effective_rank, numerical_rank, rounding_tolerance
from gradspec.spectra.file import iterate_layers
from gradspec.spectra.rank_bounds import Batch, bound_ranks

KINDS = {
    "activation": "Activations (inputs)",
    "delta": "Deltas (at the outputs)",
    "gradient": "Gradients of the weight",
}
BOUND_COLOUR = "#CC79A7"

# Decades below the largest singular value that the colours tell apart: down to where rounding begins.
_DECADES = 6.0

COLUMNS: dict[str, Any] = {
    "layer": "Parameter, as in model.named_parameters()",
    "kind": {
        "Description": "Matrix that was decomposed",
        "Levels": {
            "gradient": "gradient of the weight",
            "activation": "input of the layer",
            "delta": "gradient at the output of the layer",
        },
    },
    "epoch": "Epoch, from 0",
    "index": "Number of the singular value, 1 is the largest",
    "singular_value": "Over the largest of its step; mean over training runs and the steps of the epoch, of all "
    "samples pooled; 0 where it is rounding",
    "numerical_rank": "Singular values above rounding, σ_1·max(m, n)·2^-23; mean over runs and steps",
    "largest_rank": "The largest numerical rank of any step and run of the epoch",
    "effective_rank": "Exponential of the entropy of the singular values (Roy and Vetterli 2007), mean as above",
    "bound": "Largest rank that the network and its data allow",
    "reason": "What sets the bound",
    "n_runs": "Training runs (repeats × folds)",
}


def summarise_ranks(spectra: xr.DataTree, hyperparameters: Mapping[str, Any], n_volumes: int) -> pd.DataFrame:
    """Average the spectra and ranks of all samples pooled, and bound them.

    Parameters
    ----------
    spectra : DataTree
        Merged spectra of a network.
    hyperparameters : mapping
        What ``training.models`` says of it, with all defaults filled in.
    n_volumes : int
        Length of the series that networks on time courses learn from.

    Returns
    -------
    DataFrame
        A row a layer, kind, epoch and index, columns as in `COLUMNS`.
    """
    root, layers = spectra.to_dataset(), dict(iterate_layers(spectra))
    pooled = list(root["group"].to_numpy().astype(str)).index(POOLED)
    shapes = {name: _shape(node) for name, node in layers.items()}
    batch = Batch(int(root["n"].to_numpy()[..., pooled].max()), n_volumes)
    network, own = network_of(spectra.attrs["model"], hyperparameters)
    bounds = bound_ranks(network, own, shapes, batch)
    parts = []
    for name, node in layers.items():
        for kind in (kind for kind in KINDS if kind in node):
            values = node[kind].transpose("run_index", "step", "group", "index").to_numpy()[:, :, pooled]
            values = drop_rounding(values, rounding_tolerance(shapes[name]))
            bound = getattr(bounds[name], kind)
            table = _average(values, root["epoch"].to_numpy())
            parts.append(table.assign(layer=name, kind=kind, bound=bound.rank, reason=bound.reason))
    return pd.concat(parts, ignore_index=True).assign(n_runs=root.sizes["run_index"])[list(COLUMNS)]


def _shape(node: xr.Dataset) -> tuple[int, int]:
    n_outputs, n_inputs = map(int, np.atleast_1d(node.attrs["shape"]))
    return n_outputs, n_inputs


def _average(values: np.ndarray, epochs: np.ndarray) -> pd.DataFrame:
    """Average spectra (run, step, index) over the runs and steps of each epoch; undefined values count as zero."""
    filled = np.nan_to_num(values)
    largest = filled.max(axis=-1, keepdims=True)
    relative = np.divide(filled, largest, out=np.zeros_like(filled), where=largest > 0)
    taken = np.isfinite(values).any(axis=-1)  # a shorter run lacks the last steps of an epoch
    rank, effective = numerical_rank(values), effective_rank(values)
    frames = []
    for epoch in np.unique(epochs):
        here = taken & (epochs == epoch)
        frames.append(
            pd.DataFrame(
                {
                    "epoch": epoch,
                    "index": np.arange(1, values.shape[-1] + 1),
                    "singular_value": relative[here].mean(axis=0),
                    "numerical_rank": rank[here].mean(),
                    "largest_rank": int(rank[here].max()),
                    "effective_rank": np.nanmean(effective[here]),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


@styled
def plot_ranks(table: pd.DataFrame, model: str) -> Figure:
    """Draw spectrum × epoch heat maps with the rank and its bound: a row a layer, a column each kind.

    Parameters
    ----------
    table : DataFrame
        What `summarise_ranks` returns.
    model : str
        Name of the network.
    """
    layers = list(dict.fromkeys(table["layer"]))
    n_blocks, n_rows = count_blocks(len(layers))
    figure = new_figure(9.5 if n_blocks == 1 else 17.0, 1.45 * n_rows + 1.9)
    panels = figure.subplots(n_rows, len(KINDS) * n_blocks, squeeze=False)
    for place in range(n_blocks * n_rows):
        block, row = divmod(place, n_rows)
        axes = panels[row, block * len(KINDS) : (block + 1) * len(KINDS)]
        if place >= len(layers):
            for ax in axes:
                ax.set_axis_off()
            continue
        for ax, kind in zip(axes, KINDS, strict=True):
            rows = table[(table["layer"] == layers[place]) & (table["kind"] == kind)]
            if rows.empty:
                name_panel(ax, "not recorded")
                continue
            _draw_panel(ax, rows)
            if row == n_rows - 1 or place == len(layers) - 1:
                ax.set_xlabel("Epoch")
        # Above the bound of the panel.
        axes[0].set_title(layer_label(layers[place]), fontsize=9, fontweight="bold", pad=14)
    _name_columns(panels)
    _add_scale(figure, panels)
    figure.suptitle(f"{model}: singular values, rank and its bound over training, {count_runs(table['n_runs'].max())}")
    return figure


def _name_columns(panels: np.ndarray) -> None:
    for column, ax in enumerate(panels[0]):
        ax.annotate(
            list(KINDS.values())[column % len(KINDS)],
            (0.5, 1),
            xycoords="axes fraction",
            xytext=(0, 32),
            textcoords="offset points",
            ha="center",
            fontsize=10,
            fontweight="bold",
        )


def _draw_panel(ax: Axes, rows: pd.DataFrame) -> None:
    wide = rows.pivot_table(index="index", columns="epoch", values="singular_value", sort=True)
    epochs, n_index = list(wide.columns), len(wide)
    with np.errstate(divide="ignore"):
        values = np.log10(wide.to_numpy())
    extent = (epochs[0] - 0.5, epochs[-1] + 0.5, n_index + 0.5, 0.5)
    values = np.where(np.isneginf(values), np.nan, values)
    ax.imshow(values, cmap="viridis", norm=Normalize(-_DECADES, 0), extent=extent, aspect="auto")
    ax.set_facecolor(MISSING_COLOUR)
    ax.spines[:].set_visible(False)
    by_epoch = rows.drop_duplicates("epoch").set_index("epoch").sort_index()
    outline = [patheffects.withStroke(linewidth=2.6, foreground="black")]
    edges = [epochs[0] - 0.5, *epochs[1:-1], epochs[-1] + 0.5] if len(epochs) > 1 else [-0.5, 0.5]
    for column, style in (("numerical_rank", "-"), ("effective_rank", ":")):
        curve = by_epoch[column].to_numpy() if len(epochs) > 1 else np.repeat(by_epoch[column].to_numpy(), 2)
        ax.plot(edges, curve + 0.5, style, color="white", lw=1.3, path_effects=outline)
    bound = rows["bound"].iloc[0]
    ax.axhline(bound + 0.5, color=BOUND_COLOUR, lw=2.2, ls="--", path_effects=outline)
    ax.set_ylim(max(n_index, bound) + 0.5 + 0.04 * n_index, 0.5)
    ax.annotate(
        f"≤ {bound}: {rows['reason'].iloc[0]}",
        (1, 1.01),
        xycoords="axes fraction",
        ha="right",
        va="bottom",
        fontsize=6.5,
    )
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4, min_n_ticks=1))
    ax.set_ylabel("Index", fontsize=8)


def _add_scale(figure: Figure, panels: np.ndarray) -> None:
    image = ScalarMappable(Normalize(-_DECADES, 0), "viridis")
    bar = figure.colorbar(
        image, ax=panels, location="bottom", aspect=60, fraction=0.1 / panels.shape[0], shrink=0.7, extend="min"
    )
    ticks = np.arange(-_DECADES, 1, 2)
    bar.set_ticks(list(ticks), labels=[f"$10^{{{tick:.0f}}}$" if tick else "1" for tick in ticks])
    bar.set_label(
        "Singular value relative to the largest of its step (grey: rounding, or not defined)\n"
        "Lines: numerical rank (solid), effective rank (dotted), bound (dashed)"
    )
