"""Quality of the images, participant by participant, with the limits beyond which one is left out."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from gradspec.figures.style import MISSING_COLOUR, POOLED_COLOUR, group_colours, name_panel, new_figure, styled


class Measure(NamedTuple):
    """A column of the quality table: what it is called on the axis, and the key of the config that limits it."""

    column: str
    label: str
    limit: str | None
    side: str


MEASURES = (
    Measure("mean_fd", "Mean framewise\ndisplacement (mm)", "max_mean_fd", "largest"),
    Measure("tsnr", "Temporal SNR\n(median in mask, ratio)", None, ""),
    Measure("overlap", "Overlap with template\nbrain mask (Dice, 0–1)", "min_overlap", "smallest"),
)

COLUMNS = {
    "participant_id": "Participant",
    "group": "Group of the participant; n/a where it is not known",
    "included": "Whether the participant is part of the analysis",
    "n_runs": "Runs that the values are means of",
    "mean_fd": {"Description": "Mean framewise displacement (Power et al. 2012)", "Units": "mm"},
    "tsnr": {"Description": "Temporal signal-to-noise ratio, median in the brain mask", "Units": "ratio"},
    "overlap": {"Description": "Dice coefficient of the BOLD mask and the template's brain mask", "Units": "0 to 1"},
}


def summarise_quality(
    quality: pd.DataFrame, participants: pd.DataFrame, excluded: pd.DataFrame, levels: Sequence[str]
) -> pd.DataFrame:
    """Average the quality of each participant's runs, in the order of groups and then of names.

    Parameters
    ----------
    quality : DataFrame
        A row a run: ``participant_id`` and the measures that exist.
    participants : DataFrame
        Those who are analysed: ``participant_id``, ``group``.
    excluded : DataFrame
        Those who were left out: ``participant_id``, ``group``.
    levels : sequence of str
        The two groups, the reference first.

    Returns
    -------
    DataFrame
        A row a participant with images, columns as in `COLUMNS`.
    """
    measures = [measure.column for measure in MEASURES]
    runs = quality.reindex(columns=["participant_id", *measures]).dropna(how="all", subset=measures)
    table = runs.groupby("participant_id")[measures].mean()
    table["n_runs"] = runs.groupby("participant_id").size()
    people = pd.concat([participants, excluded])[["participant_id", "group"]].drop_duplicates("participant_id")
    table = table.reset_index().merge(people, on="participant_id", how="left")
    table["included"] = table["participant_id"].isin(participants["participant_id"])
    rank = {level: place for place, level in enumerate(levels)}
    table["order"] = table["group"].map(rank).fillna(len(levels))
    return table.sort_values(["order", "participant_id"], ignore_index=True)[list(COLUMNS)]


@styled
def plot_quality_control(table: pd.DataFrame, levels: Sequence[str], limits: Mapping[str, float | None]) -> Figure:
    """Draw the measures of every participant, one panel a measure.

    Parameters
    ----------
    table : DataFrame
        What `summarise_quality` returns.
    levels : sequence of str
        The two groups, the reference first.
    limits : mapping
        ``max_mean_fd`` (mm) and ``min_overlap`` (Dice); None where there is no limit.
    """
    figure = new_figure(min(13.0, max(8.0, 3.0 + 0.22 * len(table))), 7.0)
    axes = figure.subplots(len(MEASURES), 1, sharex=True)
    for ax, measure in zip(axes, MEASURES, strict=True):
        ax.set_ylabel(measure.label)
        _draw_measure(ax, table, measure, levels)
        limit = limits.get(measure.limit) if measure.limit else None
        if limit is not None:
            ax.axhline(limit, color="black", linestyle=(0, (4, 3)), linewidth=1)
            ax.annotate(
                f"{measure.side} allowed {limit:g}",
                (1, limit),
                xycoords=("axes fraction", "data"),
                xytext=(-3, 3),
                textcoords="offset points",
                ha="right",
                fontsize=8,
            )
        low, high = ax.get_ylim()
        ax.set_ylim((min(low, 0.5), 1.0) if measure.column == "overlap" else (0.0, 1.05 * high))
    if len(table) <= 60:
        axes[-1].set_xticks(range(len(table)), table["participant_id"], rotation=90)
        axes[-1].set_xlabel("Participant")
    else:
        axes[-1].set_xticks([])
        axes[-1].set_xlabel("Participants, by group and then by name")
    axes[-1].set_xlim(-0.8, len(table) - 0.2)
    kept = table["included"]
    counts = ", ".join(f"{int((kept & (table['group'] == level)).sum())} {level}" for level in levels)
    figure.suptitle(f"Image quality: {int(kept.sum())} participants analysed ({counts}), {int((~kept).sum())} excluded")
    handles, labels = axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _draw_measure(ax: Any, table: pd.DataFrame, measure: Measure, levels: Sequence[str]) -> None:
    """Draw one measure: a dot a participant, a line at the median of each group, a cross for who was excluded."""
    if not table[measure.column].notna().any():
        label = ax.get_ylabel().replace("\n", " ")
        name_panel(ax, f"{label}: not available")
        return
    colours = group_colours(levels)
    ax.grid(axis="y", color=MISSING_COLOUR, linewidth=0.5)
    for level in levels:
        rows = table[(table["group"] == level) & table["included"]]
        ax.plot(rows.index, rows[measure.column], "o", color=colours[level], markersize=5, label=level)
        if len(rows):
            median = rows[measure.column].median()
            ax.hlines(median, rows.index.min() - 0.4, rows.index.max() + 0.4, color=colours[level], linewidth=1)
    left_out = table[~table["included"]]
    for index, row in left_out.iterrows():
        ax.plot(index, row[measure.column], "X", color=colours.get(row["group"], POOLED_COLOUR), markersize=8, mec="w")
    if len(left_out):
        ax.plot([], [], "X", color=POOLED_COLOUR, markersize=8, mec="w", label="excluded")
    ax.plot([], [], "-", color=POOLED_COLOUR, linewidth=1, label="median of the group")
