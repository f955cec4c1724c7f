"""Ranks of all networks beside what is possible: how much of the room each layer uses."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradspec.figures.ranks import BOUND_COLOUR, KINDS
from gradspec.figures.ranks import COLUMNS as RANK_COLUMNS
from gradspec.figures.style import POOLED_COLOUR, REFERENCE_COLOUR, layer_label, new_figure, styled

COLUMNS = {
    "model": "Network",
    "layer": RANK_COLUMNS["layer"],
    "kind": RANK_COLUMNS["kind"],
    "bound": RANK_COLUMNS["bound"],
    "reason": RANK_COLUMNS["reason"],
    "largest_rank": "The largest numerical rank of any step and run",
    "first_effective_rank": "Effective rank in the first epoch, mean over runs and steps",
    "last_effective_rank": "Effective rank in the last epoch, mean over runs and steps",
}


def compare_ranks(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Keep of every layer its bound, the largest rank that it reached, and the effective rank at both ends of training.

    Parameters
    ----------
    tables : mapping
        By the name of the network, what `gradspec.figures.ranks.summarise_ranks` returns.

    Returns
    -------
    DataFrame
        A row a network, layer and kind, columns as in `COLUMNS`.
    """
    parts = []
    for model, table in tables.items():
        rows = table.drop_duplicates(["layer", "kind", "epoch"]).sort_values("epoch", kind="stable")
        parts.append(
            rows.groupby(["layer", "kind"], sort=False)
            .agg(
                bound=("bound", "first"),
                reason=("reason", "first"),
                largest_rank=("largest_rank", "max"),
                first_effective_rank=("effective_rank", "first"),
                last_effective_rank=("effective_rank", "last"),
            )
            .reset_index()
            .assign(model=model)
        )
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


@styled
def plot_rank_bounds(table: pd.DataFrame) -> Figure:
    """Draw rank and bound of every layer: a line a layer, grouped by network, a panel each kind.

    Parameters
    ----------
    table : DataFrame
        What `compare_ranks` returns.
    """
    lines = table[["model", "layer"]].drop_duplicates().reset_index(drop=True)
    models = list(dict.fromkeys(lines["model"]))
    # A line for the name of each network, then its layers.
    places = {
        (model, layer): place + models.index(model) + 1
        for place, (model, layer) in enumerate(lines.itertuples(index=False))
    }
    n_lines = len(lines) + len(models)
    figure = new_figure(11.0, 0.155 * n_lines + 1.3)
    panels = figure.subplots(1, len(KINDS), sharey=True)
    # The longest names reach a little beyond what is reserved for them.
    figure.set_layout_engine("constrained", rect=(0.015, 0, 0.985, 1))
    for ax, (kind, title) in zip(panels, KINDS.items(), strict=True):
        rows = table[table["kind"] == kind]
        place = np.array([places[key] for key in zip(rows["model"], rows["layer"], strict=True)])
        _draw_ranks(ax, rows, place)
        ax.set_title(title, fontweight="bold")
        ax.set_xlabel("Rank (directions)")
    _name_lines(panels[0], places, n_lines)
    _add_legend(figure)
    figure.suptitle("Rank of what each layer sees and learns, against the bound from architecture and data")
    return figure


def _draw_ranks(ax: Axes, rows: pd.DataFrame, place: np.ndarray) -> None:
    ax.hlines(place, 1, rows["bound"], color="0.88", lw=3.5, zorder=1)
    ax.plot(rows["bound"], place, "|", color=BOUND_COLOUR, ms=9, mew=2.4, zorder=3)
    ax.plot(rows["largest_rank"], place, "o", color=POOLED_COLOUR, ms=4, zorder=4)
    for start, end, y in zip(rows["first_effective_rank"], rows["last_effective_rank"], place, strict=True):
        ax.annotate("", (end, y), (start, y), arrowprops={"arrowstyle": "-", "color": REFERENCE_COLOUR, "lw": 1.4})
    ax.plot(rows["last_effective_rank"], place, "D", mfc="white", mec=REFERENCE_COLOUR, ms=3.6, zorder=5)
    ax.set_xscale("log", base=2)
    ax.set_xlim(0.85, max(1.0, rows["bound"].max()) * 1.25)
    ax.xaxis.set_major_formatter("{x:.0f}")
    ax.xaxis.set_minor_locator(ax.xaxis.get_major_locator())
    ax.grid(axis="x", color="0.92", lw=0.6)
    ax.set_axisbelow(True)


def _name_lines(ax: Axes, places: Mapping[tuple[str, str], int], n_lines: int) -> None:
    ticks, labels = [], []
    for (model, layer), place in places.items():
        if model not in labels:
            ticks.append(place - 1)
            labels.append(model)
        ticks.append(place)
        labels.append(layer_label(layer))
    ax.set_yticks(ticks, labels, fontsize=7)
    models = {model for model, _ in places}
    for text in ax.get_yticklabels():
        if text.get_text() in models:
            text.set_fontweight("bold")
            text.set_fontsize(8)
    ax.set_ylim(n_lines - 0.3, -0.7)
    ax.tick_params(axis="y", length=0)


def _add_legend(figure: Figure) -> None:
    marks = [
        Line2D([], [], ls="", marker="|", color=BOUND_COLOUR, ms=9, mew=2.4, label="bound"),
        Line2D([], [], ls="", marker="o", color=POOLED_COLOUR, ms=4, label="largest numerical rank"),
        Line2D(
            [],
            [],
            ls="-",
            marker="D",
            color=REFERENCE_COLOUR,
            mfc="white",
            ms=3.6,
            label="effective rank, from first to last epoch",
        ),
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=3)
