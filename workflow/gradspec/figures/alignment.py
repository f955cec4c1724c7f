"""Alignment of the groups: how the gradient of one lies to that of the other, over training."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gradspec.errors import ConfigError
from gradspec.figures.style import count_blocks, count_runs, layer_label, new_figure, styled

# Column of the table of features: panel, line style, and what the line is.
MEASURES = {
    "gradient_cosine": (0, "-", "cosine"),
    "output_angle": (1, "-", "output side"),
    "input_angle": (1, "--", "input side"),
}
_LABELS = ("Cosine of the\ngradients (−1 to 1)", "Largest principal\nangle (degree)")
_LIMITS = ((-1.05, 1.05), (-4, 94))

COLUMNS = {
    "layer": "Parameter whose gradients are compared",
    "measure": {
        "Description": "How the gradient of the reference group lies to that of the comparison group",
        "Levels": {
            "gradient_cosine": "cosine of the two gradients (Frobenius)",
            "output_angle": "largest principal angle of their leading left singular vectors, in degree",
            "input_angle": "largest principal angle of their leading right singular vectors, in degree",
        },
    },
    "epoch": "Epoch, from 0",
    "mean": "Mean over training runs",
    "sd": "Standard deviation over training runs; n/a for a single run",
    "n_runs": "Training runs (repeats × folds) with a value",
}


def summarise_alignment(features: pd.DataFrame, levels: Sequence[str]) -> pd.DataFrame:
    """Average the alignment of the two groups over the training runs.

    Parameters
    ----------
    features : DataFrame
        ``repeat``, ``fold``, ``layer``, ``kind``, ``epoch``, ``group`` and the columns of `MEASURES`. Alignment is
        mutual, so the rows of the reference group are taken.
    levels : sequence of str
        The two groups, the reference first.

    Returns
    -------
    DataFrame
        A row a layer, measure and epoch in which it was recorded, columns as in `COLUMNS`.

    Raises
    ------
    ConfigError
        If no alignment was recorded.
    """
    present = [name for name in MEASURES if name in features]
    rows = features[(features["kind"] == "gradient") & (features["group"] == levels[0])]
    long = rows.melt(["layer", "epoch"], value_vars=present, var_name="measure").dropna(subset="value")
    if long.empty:
        raise ConfigError(
            "The features hold no alignment of the groups: record it with training.alignment, or leave out the figure"
        )
    grouped = long.groupby(["layer", "measure", "epoch"], sort=False)["value"]
    return grouped.agg(mean="mean", sd="std", n_runs="count").reset_index()[list(COLUMNS)]


@styled
def plot_alignment(table: pd.DataFrame, levels: Sequence[str], model: str) -> Figure:
    """Draw cosine and principal angles over the epochs, mean ± sd over runs, a row a layer.

    Parameters
    ----------
    table : DataFrame
        What `summarise_alignment` returns.
    levels : sequence of str
        The two groups, the reference first.
    model : str
        Name of the network.
    """
    layers = list(dict.fromkeys(table["layer"]))
    n_blocks, n_rows = count_blocks(len(layers))
    figure = new_figure(9.0 if n_blocks == 1 else 14.0, 1.6 * n_rows + 1.4)
    panels = figure.subplots(n_rows, 2 * n_blocks, squeeze=False, sharex=True)
    for place in range(n_blocks * n_rows):
        block, row = divmod(place, n_rows)
        axes = panels[row, 2 * block : 2 * block + 2]
        if place >= len(layers):
            for ax in axes:
                ax.set_axis_off()
            continue
        for measure, (panel, style, name) in MEASURES.items():
            curve = table[(table["layer"] == layers[place]) & (table["measure"] == measure)].sort_values("epoch")
            sd = curve["sd"].fillna(0.0)
            axes[panel].plot(curve["epoch"], curve["mean"], style, color="black", marker=".", lw=1.2, label=name)
            low, high = curve["mean"] - sd, curve["mean"] + sd
            axes[panel].fill_between(curve["epoch"], low, high, color="black", alpha=0.15, lw=0)
        for ax, label, limits, middle in zip(axes, _LABELS, _LIMITS, (0, 90), strict=True):
            ax.axhline(middle, color="black", lw=0.8, ls=":")
            ax.set_ylabel(label, fontsize=8)
            ax.set_ylim(limits)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
            if row == n_rows - 1 or place == len(layers) - 1:
                ax.set_xlabel("Epoch")
                ax.xaxis.set_tick_params(labelbottom=True)
        axes[0].set_title(layer_label(layers[place]), fontweight="bold", fontsize=9)
    runs = count_runs(table["n_runs"].max())
    figure.suptitle(f"{model}: alignment of the gradients of {levels[0]} and {levels[1]}, mean ± sd of {runs}")
    figure.legend(*panels[0, 1].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
