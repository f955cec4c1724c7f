"""Kinds of spectra beside each other: effective rank of gradient, activation and delta, a row a layer."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gradspec.figures.style import POOLED, count_runs, group_colours, layer_label, name_panel, new_figure, styled
from gradspec.spectra.file import KINDS

COLUMNS = {
    "layer": "Parameter whose spectra these are",
    "kind": "What the spectra are of: gradient, activation or delta",
    "group": "Group of the samples; pooled for all",
    "epoch": "Epoch, from 0",
    "mean": {"Description": "Effective rank, mean over training runs", "Units": "dimensions"},
    "sd": {"Description": "Its standard deviation over training runs; n/a for a single run", "Units": "dimensions"},
    "n_runs": "Training runs (repeats × folds) with a value",
}


def summarise_kinds(features: pd.DataFrame) -> pd.DataFrame:
    """Average the effective rank of each layer, kind and group over the training runs.

    Parameters
    ----------
    features : DataFrame
        ``repeat``, ``fold``, ``layer``, ``kind``, ``epoch``, ``group`` and ``effective_rank``.

    Returns
    -------
    DataFrame
        A row a layer, kind, group and epoch, columns as in `COLUMNS`.
    """
    grouped = features.groupby(["layer", "kind", "group", "epoch"], sort=False)["effective_rank"]
    return grouped.agg(mean="mean", sd="std", n_runs="count").reset_index()[list(COLUMNS)]


@styled
def plot_kinds(table: pd.DataFrame, levels: Sequence[str], model: str) -> Figure:
    """Draw the effective rank over the epochs, mean ± sd over runs, a row a layer and a column a kind.

    Parameters
    ----------
    table : DataFrame
        What `summarise_kinds` returns.
    levels : sequence of str
        The two groups, the reference first.
    model : str
        Name of the network.
    """
    layers, kinds = list(dict.fromkeys(table["layer"])), [kind for kind in KINDS if kind in set(table["kind"])]
    figure = new_figure(3.0 * len(kinds) + 1, 1.55 * len(layers) + 1.4)
    panels = figure.subplots(len(layers), len(kinds), squeeze=False, sharex=True)
    colours = group_colours(levels)
    for layer, axes in zip(layers, panels, strict=True):
        for kind, ax in zip(kinds, axes, strict=True):
            rows = table[(table["layer"] == layer) & (table["kind"] == kind) & table["mean"].notna()]
            if rows.empty:
                name_panel(ax, "not recorded")
                continue
            for group in (POOLED, *levels):
                curve = rows[rows["group"] == group]
                sd = curve["sd"].fillna(0.0)
                style = "--" if group == POOLED else "-"
                ax.plot(curve["epoch"], curve["mean"], style, color=colours[group], lw=1.4, label=group)
                low, high = curve["mean"] - sd, curve["mean"] + sd
                ax.fill_between(curve["epoch"], low, high, color=colours[group], alpha=0.18, lw=0)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
            ax.yaxis.set_major_locator(MaxNLocator(nbins=3))
        axes[0].set_ylabel("Effective rank\n(dimensionless)", fontsize=8)
        axes[0].set_title(layer_label(layer), fontweight="bold", fontsize=9)
    for kind, ax in zip(kinds, panels[0], strict=True):
        ax.annotate(
            kind, (0.5, 1), (0, 22), xycoords="axes fraction", textcoords="offset points", ha="center", fontsize=10
        )
    for ax in panels[-1]:
        ax.set_xlabel("Epoch")
    runs = count_runs(table["n_runs"].max())
    figure.suptitle(f"{model}: effective rank of each kind of matrix, mean ± sd of {runs}")
    drawn = next(ax for ax in panels.ravel() if ax.lines)
    figure.legend(*drawn.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
