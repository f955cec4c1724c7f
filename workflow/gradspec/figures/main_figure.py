"""The main figure: spectra of the layer in which the groups differ most surely, and all results beside them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import MaxNLocator

from gradspec.figures.findings import find_epochs, name_feature, rank_differences
from gradspec.figures.spectra import add_scales, draw_layer, largest_log2_ratio, name_columns, summarise_spectra
from gradspec.figures.style import (
    MISSING_COLOUR,
    POOLED,
    POOLED_COLOUR,
    band,
    count_runs,
    group_colours,
    layer_label,
    mark_epochs,
    name_panel,
    new_figure,
    styled,
    unit_of,
)
from gradspec.spectra.table import FEATURE_COLUMNS

STRONGEST = 8
"""Differences that are drawn."""

COLUMNS = {
    "panel": {
        "Description": "Part of the figure",
        "Levels": {
            "spectra": "singular value, mean over runs and the steps of an epoch",
            "trajectory": "feature over the epochs, mean and standard deviation over runs",
            "difference": "effect size of a reading of spectra, with its corrected interval",
            "performance": "area under the ROC curve on held-out participants, with its confidence interval",
        },
    },
    "model": "Network or baseline",
    "layer": "Parameter whose spectra these are",
    "kind": "What the spectra are of: gradient, activation or delta",
    "feature": "Feature of the spectrum",
    "group": "Group of the samples; pooled for all",
    "epoch": "Epoch, from 0",
    "index": "Number of the singular value, 1 is the largest",
    "value": "What is drawn",
    "low": "Lower end of the band or interval",
    "high": "Upper end of the band or interval",
    "unit": "Unit of an effect size",
    "significant": "Difference: corrected p below the level; trajectory: epoch in which the groups differ",
    "n_runs": "Training runs (repeats × folds)",
    "n_participants": "Participants that were scored",
}


def find_leading_model(readings: pd.DataFrame, alpha: float) -> str:
    """Name the network whose spectra the figure shows: that of the test to begin with, or else the first."""
    ranked = rank_differences(readings, alpha)
    return str((readings if ranked.empty else ranked)["model"].iloc[0])


def summarise_main(
    spectra: xr.DataTree,
    features: pd.DataFrame,
    readings: pd.DataFrame,
    clusters: pd.DataFrame,
    performance: pd.DataFrame,
    alpha: float,
) -> pd.DataFrame:
    """Bring together what the figure shows.

    Parameters
    ----------
    spectra : DataTree
        Merged spectra of the network that `find_leading_model` names.
    features : DataFrame
        Its table of features.
    readings, clusters, performance : DataFrame
        Tables of the statistics, of all networks.
    alpha : float
        Level of significance.

    Returns
    -------
    DataFrame
        A row a number that is drawn, columns as in `COLUMNS`.
    """
    ranked = rank_differences(readings, alpha)
    leading = (readings if ranked.empty else ranked).iloc[0]
    kept = {"model": leading["model"], "layer": leading["layer"], "kind": leading["kind"]}
    spectrum = summarise_spectra(spectra, leading["kind"])
    spectrum = spectrum[spectrum["layer"] == leading["layer"]].rename(columns={"singular_value": "value"})
    areas = performance[performance["metric"] == "roc_auc"]
    strongest = ranked[:STRONGEST]
    stretches = find_epochs(clusters, leading, alpha) if leading["p_corrected"] < alpha else []
    parts = [
        spectrum.assign(panel="spectra", **kept),
        _trajectory(features, leading, stretches).assign(panel="trajectory", **kept),
        strongest.assign(
            panel="difference",
            value=strongest["effect_size"],
            low=strongest["effect_low"],
            high=strongest["effect_high"],
            significant=strongest["found"],
            unit=strongest["effect_unit"],
        ),
        areas.assign(panel="performance", value=areas["estimate"], low=areas["ci_low"], high=areas["ci_high"]),
    ]
    parts = [part.reindex(columns=list(COLUMNS)).astype({"significant": object}) for part in parts if len(part)]
    return pd.concat(parts, ignore_index=True)


def _trajectory(features: pd.DataFrame, leading: Any, stretches: Sequence[tuple[int, int]]) -> pd.DataFrame:
    rows = features[(features["layer"] == leading["layer"]) & (features["kind"] == leading["kind"])]
    table = rows.groupby(["group", "epoch"], sort=False)[leading["feature"]].agg(value="mean", sd="std", n_runs="count")
    table = table.reset_index().assign(feature=leading["feature"])
    low, high = band(table["value"], table["sd"])
    inside = np.zeros(len(table), dtype=bool)
    for first, last in stretches:
        inside |= table["epoch"].between(first, last).to_numpy()
    return table.assign(low=low, high=high, significant=inside)


@styled
def plot_main(table: pd.DataFrame, levels: Sequence[str], networks: Collection[str], alpha: float) -> Figure:
    """Draw spectra, trajectory, differences and performance.

    Parameters
    ----------
    table : DataFrame
        What `summarise_main` returns.
    levels : sequence of str
        The two groups, the reference first.
    networks : collection of str
        Which of the models are networks; the others are baselines.
    alpha : float
        Level of significance.
    """
    parts: Mapping[str, pd.DataFrame] = dict(iter(table.groupby("panel", sort=False)))
    figure = new_figure(11.0, 7.0)
    grid = GridSpec(2, 1, figure, height_ratios=(1, 1.05))
    above, below = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    spectrum = parts["spectra"].rename(columns={"value": "singular_value"})
    _draw_spectra(above, spectrum, levels)
    trajectory_ax, differences_ax, performance_ax = below.subplots(1, 3, width_ratios=(1.15, 1, 0.9))
    _draw_trajectory(trajectory_ax, parts["trajectory"], levels)
    if "difference" in parts:
        _draw_differences(differences_ax, parts["difference"], levels)
    else:
        name_panel(differences_ax, "no difference could be tested")
    _draw_performance(performance_ax, parts.get("performance", table[:0]), networks)
    note = f"Filled: corrected p < {alpha:g}. Lines: {100 * (1 - alpha):g} % intervals (corrected); band: ± sd of runs"
    below.supxlabel(
        note + ("; black bar: epochs that differ" if parts["trajectory"]["significant"].any() else ""), fontsize=8
    )
    return figure


def _draw_spectra(figure: Any, rows: pd.DataFrame, levels: Sequence[str]) -> None:
    panels = figure.subplots(1, 4, squeeze=False)
    largest_ratio = largest_log2_ratio(rows, levels)
    draw_layer(panels[0], rows, [*levels, POOLED], largest_ratio)
    name_columns(panels, levels, 1)
    add_scales(figure, panels, levels, largest_ratio)
    panels[0, 0].set_ylabel("Index of singular value")
    for ax in panels[0]:
        ax.set_xlabel("Epoch")
    first = rows.iloc[0]
    figure.suptitle(
        f"{first['model']}, {layer_label(first['layer'])}: singular values of the {first['kind']} in training "
        f"(mean of {count_runs(rows['n_runs'].max())})"
    )


def _draw_trajectory(ax: Any, rows: pd.DataFrame, levels: Sequence[str]) -> None:
    colours = group_colours(levels)
    for group in (POOLED, *levels):
        curve = rows[(rows["group"] == group) & rows["value"].notna()]
        ax.plot(curve["epoch"], curve["value"], "--" if group == POOLED else "-", color=colours[group], label=group)
        ax.fill_between(
            curve["epoch"], *curve[["low", "high"]].to_numpy(float).T, color=colours[group], alpha=0.18, lw=0
        )
    mark_epochs(ax, rows.loc[rows["significant"].astype(bool), "epoch"])
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    ax.ticklabel_format(axis="y", scilimits=(-2, 3))
    name = rows["feature"].iloc[0]
    feature = name_feature(name).capitalize()
    unit = unit_of(FEATURE_COLUMNS[name]["Units"], rows["kind"].iloc[0])
    ax.set(title=f"{feature} of this layer", xlabel="Epoch", ylabel=f"{feature}\n({unit})")
    ax.legend(loc="best", fontsize=8)


def _draw_differences(ax: Any, rows: pd.DataFrame, levels: Sequence[str]) -> None:
    colours = group_colours(levels)
    ax.axvline(0, color="black", lw=0.8)
    for place, row in enumerate(rows.to_dict("records")):
        colour = colours[levels[1] if row["value"] > 0 else levels[0]]
        _draw_interval(ax, place, row, colour, filled=bool(row["significant"]))
    several = len(set(rows["model"])) > 1
    names = [
        (f"{row['model']}: " if several else "") + f"{layer_label(row['layer'])}\n{name_feature(row['feature'])}"
        for row in rows.to_dict("records")
    ]
    _name_rows(ax, names)
    title = "Surest differences of spectra" + ("" if several else f"\nof {rows['model'].iloc[0]}")
    ax.set(title=title, xlabel=f"Effect size ({rows['unit'].iloc[0]})\n← {levels[0]} larger     {levels[1]} larger →")


def _draw_performance(ax: Any, rows: pd.DataFrame, networks: Collection[str]) -> None:
    if rows.empty:
        name_panel(ax, "no network could be scored")
        return
    ax.axvline(0.5, color="black", lw=0.8, ls=":")
    for place, row in enumerate(rows.to_dict("records")):
        network = row["model"] in networks
        _draw_interval(ax, place, row, "black" if network else POOLED_COLOUR, filled=True)
    _name_rows(ax, [name if name in networks else f"{name}\n(baseline)" for name in rows["model"]])
    n = rows["n_participants"].max()
    ax.set(
        title="Held-out participants",
        xlabel=f"ROC AUC (0–1; dotted: chance)\nn = {n:.0f} participants",
        xlim=(-0.03, 1.03),
    )


def _draw_interval(ax: Any, place: int, row: Mapping[str, Any], colour: str, *, filled: bool) -> None:
    ax.plot([row["low"], row["high"]], [place, place], color=colour, lw=1.6)
    ax.plot(row["value"], place, "o", color=colour, mfc=colour if filled else "white", ms=6, mew=1.4)


def _name_rows(ax: Any, names: Sequence[str]) -> None:
    ax.set_yticks(range(len(names)), names, fontsize=7)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(axis="y", color=MISSING_COLOUR, lw=0.5)
    ax.set_axisbelow(True)
