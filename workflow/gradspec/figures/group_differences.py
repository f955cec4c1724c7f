"""Group differences of the spectra: which layers and features differ, by how much, and how sure that is."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from gradspec.figures.style import (
    DIVERGING,
    count_runs,
    group_colours,
    layer_label,
    name_panel,
    new_figure,
    styled,
    symmetric,
)

COLUMNS = {
    "model": "Network",
    "layer": "Parameter whose spectra were tested",
    "kind": "What the spectra are of: gradient, activation or delta",
    "feature": "Feature of the spectrum",
    "effect_size": "Difference in the unit that the next column names, positive where the comparison is larger",
    "effect_unit": "Spread of the permutations, or standard error of the first look",
    "percent": {"Description": "Difference relative to the mean of both groups", "Units": "%"},
    "percent_low": {"Description": "Lower end of its corrected interval", "Units": "%"},
    "percent_high": {"Description": "Upper end of its corrected interval", "Units": "%"},
    "p_corrected": "p, corrected for the number of tests",
    "significant": "Whether the corrected p is below the level",
    "n_runs": "Training runs (repeats × folds)",
    "test": "Test",
    "correction": "Correction for the number of tests",
}


def summarise_differences(differences: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Express every difference as an effect size and in percent, so that features of different units compare.

    Parameters
    ----------
    differences : DataFrame
        The table of readings; tests that could not be made have missing values.
    alpha : float
        Level of significance.

    Returns
    -------
    DataFrame
        A row a test, columns as in `COLUMNS`.
    """
    table = differences.copy()
    level = (table["mean_reference"].abs() + table["mean_comparison"].abs()) / 2
    level = level.where(level > 0)
    for name, source in (("percent", "difference"), ("percent_low", "ci_low"), ("percent_high", "ci_high")):
        table[name] = 100 * table[source] / level
    table["significant"] = table["p_corrected"] < alpha
    return table[list(COLUMNS)]


@styled
def plot_group_differences(table: pd.DataFrame, levels: Sequence[str], alpha: float) -> Figure:
    """Draw a row a model: the map layer × feature of effect sizes, and the strongest differences with intervals.

    Parameters
    ----------
    table : DataFrame
        What `summarise_differences` returns.
    levels : sequence of str
        The two groups, the reference first.
    alpha : float
        Level of significance, for the legend.
    """
    models = list(dict.fromkeys(table["model"]))
    rows_of = {model: _row_labels(table[table["model"] == model]) for model in models}
    heights = [max(4, rows_of[model].nunique()) + 3.5 for model in models]
    figure = new_figure(13.0, max(4.0, 0.25 * sum(heights) + 1.2))
    panels = figure.subplots(len(models), 2, squeeze=False, height_ratios=heights, width_ratios=(1, 1.1))
    scale = symmetric(table["effect_size"])
    for (map_ax, forest_ax), model in zip(panels, models, strict=True):
        rows = table[table["model"] == model].assign(row=rows_of[model])
        _draw_map(map_ax, rows, scale)
        marked, tested = int(rows["significant"].sum()), int(rows["p_corrected"].notna().sum())
        n_runs = rows["n_runs"].max()
        runs = "no run" if pd.isna(n_runs) else count_runs(n_runs)
        map_ax.set_title(f"{model}: {marked} of {tested} tests with p < {alpha:g} ({runs})")
        _draw_forest(forest_ax, rows, levels, max(4, rows["row"].nunique()))
    panels[-1, 1].set_xlabel(
        f"{levels[1]} − {levels[0]}, % of the mean of both\n(line: corrected {100 * (1 - alpha):g} % interval)"
    )
    unit = table["effect_unit"].iloc[0]
    label = f"Effect size ({unit})\n← {levels[0]} larger      {levels[1]} larger →"
    image = ScalarMappable(scale, DIVERGING)
    figure.colorbar(image, ax=list(panels[:, 0]), location="bottom", fraction=0.04, aspect=40, shrink=0.7, label=label)
    correction = ", ".join(table["correction"].dropna().unique()) or "no correction"
    figure.suptitle(f"Group differences of the spectra (●: corrected p < {alpha:g}, {correction})")
    return figure


def _row_labels(rows: pd.DataFrame) -> pd.Series:
    """Name each row of the map: the layer, and the kind where there are several."""
    labels = rows["layer"].map(layer_label)
    return labels + " · " + rows["kind"] if len(set(rows["kind"])) > 1 else labels


def _feature_label(name: str) -> str:
    return name.replace("_", " ")


def _draw_map(ax: Any, rows: pd.DataFrame, scale: Any) -> None:
    labels, features = (list(dict.fromkeys(rows[name])) for name in ("row", "feature"))
    effects = rows.pivot_table(index="row", columns="feature", values="effect_size", dropna=False)
    matrix = effects.reindex(index=labels, columns=features).to_numpy(dtype=float)
    ax.imshow(matrix, cmap=DIVERGING, norm=scale, aspect="auto")
    marked = rows[rows["significant"]]
    ax.scatter(
        marked["feature"].map(features.index),
        marked["row"].map(labels.index),
        s=18,
        color="black",
        edgecolors="white",
        lw=0.5,
    )
    ax.set_xticks(range(len(features)), [_feature_label(name) for name in features], rotation=30, ha="right")
    ax.set_yticks(range(len(labels)), labels)
    ax.set_xticks(np.arange(len(features) - 1) + 0.5, minor=True)
    ax.set_yticks(np.arange(len(labels) - 1) + 0.5, minor=True)
    ax.grid(which="minor", color="white", lw=1)
    ax.tick_params(which="both", length=0)
    ax.spines[:].set_visible(False)


def _draw_forest(ax: Any, rows: pd.DataFrame, levels: Sequence[str], at_most: int) -> None:
    """Draw the strongest differences, the largest effect at the top; filled where significant."""
    known = rows.dropna(subset=["effect_size", "percent"])
    if known.empty:
        name_panel(ax, "no difference could be tested")
        return
    strongest = known.reindex(known["effect_size"].abs().sort_values(ascending=False, kind="stable").index)[:at_most]
    colours = group_colours(levels)
    ax.axvline(0, color="black", lw=0.8)
    for place, row in enumerate(strongest.itertuples()):
        colour = colours[levels[1] if row.percent > 0 else levels[0]]
        ax.plot([row.percent_low, row.percent_high], [place, place], color=colour, lw=1.6)
        ax.plot(row.percent, place, "o", color=colour, mfc=colour if row.significant else "white", ms=6, mew=1.4)
    names = [f"{row.row}: {_feature_label(row.feature)}" for row in strongest.itertuples()]
    ax.set_yticks(range(len(strongest)), names)
    ax.set_ylim(len(strongest) - 0.4, -0.6)
    ax.set_title(f"Strongest {len(strongest)} of {len(known)} (filled: significant)")
