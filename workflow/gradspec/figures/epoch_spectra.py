"""Spectra at chosen epochs: singular value against its index, both logarithmic, a line for each group."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from gradspec.figures.spectra import COLUMNS as SPECTRA_COLUMNS
from gradspec.figures.style import (
    POOLED,
    UNITS,
    count_blocks,
    count_runs,
    group_colours,
    layer_label,
    new_figure,
    styled,
)

N_EPOCHS = 3
"""Epochs that are drawn: the first, the last, and those evenly between."""

COLUMNS = SPECTRA_COLUMNS


def choose_epochs(table: pd.DataFrame, n_epochs: int = N_EPOCHS) -> pd.DataFrame:
    """Keep the spectra of the first epoch, the last, and those evenly between.

    Parameters
    ----------
    table : DataFrame
        What `gradspec.figures.spectra.summarise_spectra` returns.
    n_epochs : int
        How many epochs to keep; all where there are fewer.

    Returns
    -------
    DataFrame
        Rows of `table`.
    """
    epochs = sorted(table["epoch"].unique())
    last = len(epochs) - 1
    places = {round(place * last / max(1, n_epochs - 1)) for place in range(n_epochs)}
    return table[table["epoch"].isin([epochs[place] for place in places])].reset_index(drop=True)


@styled
def plot_epoch_spectra(table: pd.DataFrame, levels: Sequence[str], model: str) -> Figure:
    """Draw a row a layer and a panel an epoch; values that are zero but for rounding are left out.

    Parameters
    ----------
    table : DataFrame
        What `choose_epochs` returns.
    levels : sequence of str
        The two groups, the reference first.
    model : str
        Name of the network.
    """
    kind = table["kind"].iloc[0]
    layers, epochs = list(dict.fromkeys(table["layer"])), sorted(table["epoch"].unique())
    n_blocks, n_rows = count_blocks(len(layers))
    figure = new_figure(9.0 if n_blocks == 1 else 16.0, 1.7 * n_rows + 1.4)
    panels = figure.subplots(n_rows, n_blocks * len(epochs), squeeze=False)
    colours = group_colours(levels)
    for place in range(n_blocks * n_rows):
        block, row = divmod(place, n_rows)
        axes = panels[row, block * len(epochs) : (block + 1) * len(epochs)]
        if place >= len(layers):
            for ax in axes:
                ax.set_axis_off()
            continue
        rows = table[(table["layer"] == layers[place]) & (table["singular_value"] > 0)]
        for ax, epoch in zip(axes, epochs, strict=True):
            for group in (POOLED, *levels):
                line = rows[(rows["epoch"] == epoch) & (rows["group"] == group)]
                style = "--" if group == POOLED else "-"
                ax.plot(line["index"], line["singular_value"], style, marker=".", color=colours[group], label=group)
            ax.set(xscale="log", yscale="log", title=f"Epoch {epoch}")
            ax.set_xlim(0.9, 1.15 * max(2, table["index"].max()))
            if len(rows):
                ax.set_ylim(rows["singular_value"].min() / 1.5, rows["singular_value"].max() * 1.5)
            ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            ax.xaxis.set_minor_formatter(NullFormatter())
            ax.yaxis.set_minor_formatter(NullFormatter())
        axes[0].set_title(f"{layer_label(layers[place])}   Epoch {epochs[0]}", fontweight="bold", fontsize=9)
        axes[0].set_ylabel(f"Singular value\n({UNITS[kind]})", fontsize=8)
        if row == n_rows - 1 or place == len(layers) - 1:
            for ax in axes:
                ax.set_xlabel("Index of singular value")
    runs = count_runs(table["n_runs"].max())
    figure.suptitle(f"{model}: {kind} spectra at chosen epochs, log-log, mean of {runs}")
    handles, names = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    return figure
