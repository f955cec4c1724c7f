"""States of dynamic connectivity: their centres, how long each group stays in them, how their number was chosen."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from gradspec.figures.connectivity import VALUES, draw_matrix, name_pairs, order_components
from gradspec.figures.style import group_colours, new_figure, styled, symmetric

COLUMNS = {
    "measure": {
        "Description": "What the row holds",
        "Levels": {
            "centre": "connectivity of a pair in a state (Fisher z)",
            "occupancy": "share of a participant's windows in a state",
            "dwell time": "mean length of a participant's uninterrupted stays in a state (s)",
            "inertia": "sum of squared distances of the windows to the centre of their state, by number of states",
            "silhouette": "mean silhouette of the windows, by number of states",
        },
    },
    "state": "State, counted from 1, the one with most windows first",
    "component": "First component of the pair",
    "component_2": "Second component of the pair",
    "label": "Name of the first component's network, where one is known",
    "label_2": "Name of the second component's network",
    "domain": "Domain of the first component, where one is known",
    "domain_2": "Domain of the second component",
    "participant_id": "Participant; several runs are averaged",
    "group": "Group of the participant",
    "n_states": "Number of states that was tried",
    "chosen": "Whether this number was taken",
    "elbow": "Whether this number is the elbow of the inertia",
    "value": "Value, in the units of the measure",
}


def describe_states(
    dfnc: xr.Dataset, curve: pd.DataFrame, participants: pd.DataFrame, labels: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Gather what the figure shows.

    Parameters
    ----------
    dfnc : Dataset
        ``centres`` (state_index, pair), ``occupancy`` and ``dwell_time`` (participant, state_index).
    curve : DataFrame
        ``n_states``, ``inertia``, ``silhouette``, ``elbow``, ``chosen``.
    participants : DataFrame
        ``participant_id``, ``group``.
    labels : DataFrame, optional
        ``component``, ``label`` and ``domain``.

    Returns
    -------
    DataFrame
        Columns as in `COLUMNS`.
    """
    pairs = pd.DataFrame(
        {
            "component": dfnc["pair_component"].to_numpy().astype(str),
            "component_2": dfnc["pair_component_2"].to_numpy().astype(str),
        }
    )
    pairs = pairs if labels is None else name_pairs(pairs, labels)
    parts = [
        pairs.assign(measure="centre", state=state + 1, value=centre)
        for state, centre in enumerate(dfnc["centres"].to_numpy())
    ]
    group = participants.set_index("participant_id")["group"]
    who = pd.Index(dfnc["participant"].to_numpy().astype(str), name="participant_id")
    for measure, name in (("occupancy", "occupancy"), ("dwell time", "dwell_time")):
        values = pd.DataFrame(dfnc[name].to_numpy(), index=who).groupby(level=0).mean()
        for state in values:
            rows = values[state].rename("value").reset_index().assign(measure=measure, state=state + 1)
            parts.append(rows.assign(group=rows["participant_id"].map(group)))
    for measure in ("inertia", "silhouette"):
        rows = curve[["n_states", "chosen", "elbow"]].assign(measure=measure, value=curve[measure])
        parts.append(rows)
    return pd.concat(parts, ignore_index=True).reindex(columns=list(COLUMNS))


@styled
def plot_dynamic_connectivity(table: pd.DataFrame, levels: Sequence[str]) -> Figure:
    """Draw the states, the share of windows that each group spends in them, and how their number was chosen.

    Parameters
    ----------
    table : DataFrame
        What `describe_states` returns.
    levels : sequence of str
        The two groups, the reference first.
    """
    centres = table[table["measure"] == "centre"].dropna(axis=1, how="all")
    states = sorted(centres["state"].unique())
    n_columns = max(3, min(5, len(states)))
    n_rows = -(-len(states) // n_columns)
    figure = new_figure(2.9 * n_columns + 1.2, 3.0 * n_rows + 3.2)
    halves: Any = figure.subfigures(2, 1, height_ratios=[3.0 * n_rows, 2.9])
    above, below = halves
    _draw_centres(above, centres, states, n_columns)
    left, middle, right = below.subplots(1, 3)
    for ax, measure, label in (
        (left, "occupancy", "Share of windows"),
        (middle, "dwell time", "Mean stay (s)"),
    ):
        _draw_groups(ax, table[table["measure"] == measure], levels, label)
    left.legend(loc="best")
    _draw_curve(right, table)
    figure.suptitle("States of dynamic connectivity")
    return figure


def _draw_centres(figure: Any, centres: pd.DataFrame, states: Sequence[float], n_columns: int) -> None:
    components, names, domains = order_components(centres)
    place = {name: index for index, name in enumerate(components)}
    axes = figure.subplots(-(-len(states) // n_columns), n_columns, squeeze=False)
    scale = symmetric(centres["value"])
    for ax in axes.flat[len(states) :]:
        ax.set_axis_off()
    for index, (ax, state) in enumerate(zip(axes.flat, states, strict=False)):
        rows = centres[centres["state"] == state]
        first, second = rows["component"].map(place).to_numpy(), rows["component_2"].map(place).to_numpy()
        matrix = np.zeros((len(components), len(components)))
        matrix[first, second] = matrix[second, first] = rows["value"]
        image = draw_matrix(ax, matrix, names, scale, VALUES, domains)
        if index % n_columns:
            ax.set_yticklabels([])
        if index + n_columns < len(states):
            ax.set_xticklabels([])
        ax.set_title(f"State {state:.0f}")
    figure.colorbar(image, ax=list(axes.flat), shrink=0.7, label="Correlation (Fisher z)")


def _draw_groups(ax: Any, rows: pd.DataFrame, levels: Sequence[str], label: str) -> None:
    """Draw a dot a participant, and the mean of each group with its standard error."""
    colours = group_colours(levels)
    states = sorted(rows["state"].unique())
    for shift, level in zip((-0.18, 0.18), levels, strict=True):
        mine = rows[(rows["group"] == level) & rows["value"].notna()]
        spread = np.linspace(-0.1, 0.1, max(len(mine) // max(len(states), 1), 2))
        jitter = np.resize(spread, len(mine))
        ax.scatter(mine["state"] + shift + jitter, mine["value"], s=8, color=colours[level], alpha=0.4, lw=0)
        grouped = mine.groupby("state")["value"]
        ax.errorbar(
            grouped.mean().index + shift,
            grouped.mean(),
            yerr=grouped.sem(),
            fmt="o",
            ms=6,
            mec="white",
            color=colours[level],
            label=f"{level}, mean ± SE",
        )
    ax.set_xticks(states, [f"{state:.0f}" for state in states])
    ax.set_xlabel("State")
    ax.set_ylabel(label)
    ax.set_ylim(0, None)


def _draw_curve(ax: Any, table: pd.DataFrame) -> None:
    """Draw silhouette and inertia against the number of states."""
    silhouette = table[table["measure"] == "silhouette"]
    inertia = table[table["measure"] == "inertia"]
    ax.plot(silhouette["n_states"], silhouette["value"], "o-", color="black", ms=4, label="silhouette")
    taken = silhouette[silhouette["chosen"].astype(bool)]
    ax.plot(taken["n_states"], taken["value"], "o", ms=10, mfc="none", color="black", label="taken")
    ax.set_xlabel("Number of states")
    ax.set_ylabel("Mean silhouette")
    other = ax.twinx()
    share = inertia["value"] / inertia["value"].max()
    other.plot(inertia["n_states"], share, "s--", color="0.6", ms=4, label="inertia")
    elbow = inertia["elbow"].astype(bool)
    other.plot(inertia["n_states"][elbow], share[elbow], "s", ms=9, mfc="none", color="0.6", label="elbow")
    other.set_ylabel("Inertia (share of the largest)", color="0.4")
    other.set_ylim(0, 1.05)
    ax.xaxis.get_major_locator().set_params(integer=True)
    handles = [*ax.get_legend_handles_labels()[0], *other.get_legend_handles_labels()[0]]
    ax.legend(
        handles,
        ["silhouette", "taken", "inertia", "elbow"],
        loc="lower center",
        bbox_to_anchor=(0.5, 1),
        ncols=4,
        fontsize=7,
    )
