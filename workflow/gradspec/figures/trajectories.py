"""Features of the spectra over training: a panel for each layer and feature, a line for each group."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from gradspec.figures.findings import find_epochs, name_feature
from gradspec.figures.style import (
    POOLED,
    band,
    count_blocks,
    count_runs,
    group_colours,
    layer_label,
    mark_epochs,
    new_figure,
    styled,
    unit_of,
)
from gradspec.spectra.table import FEATURE_COLUMNS

FEATURES = ("spectral_norm", "effective_rank", "stable_rank")

COLUMNS = {
    "layer": "Parameter whose spectra these are",
    "kind": "What the spectra are of: gradient, activation or delta",
    "feature": "Feature of the spectrum",
    "group": "Group of the samples; pooled for all",
    "epoch": "Epoch, from 0",
    "mean": "Mean over training runs",
    "sd": "Standard deviation over training runs; n/a for a single run",
    "n_runs": "Training runs (repeats × folds) with a value",
    "significant": "Whether the epoch is in a stretch in which the groups differ (corrected for all epochs)",
}


def summarise_trajectories(features: pd.DataFrame, clusters: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Average the main features of each layer and group over the training runs.

    Parameters
    ----------
    features : DataFrame
        ``model``, ``repeat``, ``fold``, ``layer``, ``kind``, ``epoch``, ``group`` and the features of a network. Of
        several kinds the gradient is drawn, or else the first.
    clusters : DataFrame
        Stretches of epochs in which the groups differ, of all networks.
    alpha : float
        Level of significance of a stretch.

    Returns
    -------
    DataFrame
        A row a layer, feature, group and epoch, columns as in `COLUMNS`.
    """
    kinds = list(dict.fromkeys(features["kind"]))
    kind = "gradient" if "gradient" in kinds else kinds[0]
    keys = ["layer", "kind", "feature", "group", "epoch"]
    rows = features[features["kind"] == kind].melt(
        ["layer", "kind", "group", "epoch"], value_vars=list(FEATURES), var_name="feature"
    )
    table = rows.groupby(keys, sort=False)["value"].agg(mean="mean", sd="std", n_runs="count").reset_index()
    order = {layer: place for place, layer in enumerate(dict.fromkeys(features["layer"]))}
    table["order"] = table["layer"].map(order)
    table["significant"] = False
    for (layer, feature), part in table.groupby(["layer", "feature"]):
        test = {"model": features["model"].iloc[0], "layer": layer, "kind": kind, "feature": feature}
        for first, last in find_epochs(clusters, test, alpha):
            table.loc[part.index[part["epoch"].between(first, last)], "significant"] = True
    return table.sort_values(["order", "feature", "group", "epoch"], ignore_index=True)[list(COLUMNS)]


@styled
def plot_trajectories(table: pd.DataFrame, levels: Sequence[str], model: str) -> Figure:
    """Draw the features over the epochs, mean ± sd over runs, with a bar where the groups differ.

    Parameters
    ----------
    table : DataFrame
        What `summarise_trajectories` returns.
    levels : sequence of str
        The two groups, the reference first.
    model : str
        Name of the network.
    """
    layers = list(dict.fromkeys(table["layer"]))
    n_blocks, n_rows = count_blocks(len(layers))
    figure = new_figure(9.0 if n_blocks == 1 else 15.0, 1.55 * n_rows + 1.3)
    panels = figure.subplots(n_rows, n_blocks * len(FEATURES), squeeze=False, sharex=True)
    colours = group_colours(levels)
    kind = table["kind"].iloc[0]
    # The pooled line lies between the groups': drawn first, it covers neither.
    order = [POOLED, *levels]
    for place in range(n_blocks * n_rows):
        block, row = divmod(place, n_rows)
        axes = panels[row, block * len(FEATURES) : (block + 1) * len(FEATURES)]
        if place >= len(layers):
            for ax in axes:
                ax.set_axis_off()
            continue
        last = row == n_rows - 1 or place == len(layers) - 1
        for ax, feature in zip(axes, FEATURES, strict=True):
            rows = table[(table["layer"] == layers[place]) & (table["feature"] == feature)]
            defined = rows["mean"].notna().any()
            if not defined:
                ax.text(0.5, 0.5, "not defined", transform=ax.transAxes, ha="center", va="center", color="0.4")
            for group in order:
                curve = rows[(rows["group"] == group) & rows["mean"].notna()]
                low, high = band(curve["mean"], curve["sd"])
                dashed = "--" if group == POOLED else "-"
                ax.plot(curve["epoch"], curve["mean"], dashed, color=colours[group], lw=1.4, label=group)
                ax.fill_between(curve["epoch"], low, high, color=colours[group], alpha=0.18, lw=0)
            mark_epochs(ax, rows.loc[rows["significant"], "epoch"])
            unit = unit_of(FEATURE_COLUMNS[feature]["Units"], kind)
            ax.set_ylabel(f"{name_feature(feature).capitalize()}\n({unit})", fontsize=8)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
            ax.yaxis.set_major_locator(MaxNLocator(nbins=3) if defined else NullLocator())
            ax.ticklabel_format(axis="y", scilimits=(-2, 3))
            if last:
                ax.set_xlabel("Epoch")
                ax.xaxis.set_tick_params(labelbottom=True)
        axes[0].set_title(layer_label(layers[place]), fontweight="bold", fontsize=9)
    marked = "; black bar: epochs that differ" if table["significant"].any() else ""
    runs = count_runs(table["n_runs"].max())
    figure.suptitle(f"{model}: {kind} spectra over training, mean ± sd of {runs}{marked}")
    handles, names = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    return figure
