"""The permutation distributions: what lot makes of the spectra, the groups as they are, and what can be found."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from gradspec.figures.findings import name_feature, rank_differences, tell_p
from gradspec.figures.style import (
    COMPARISON_COLOUR,
    MISSING_COLOUR,
    POOLED_COLOUR,
    layer_label,
    name_panel,
    new_figure,
    styled,
    unit_of,
)
from gradspec.spectra.table import FEATURE_COLUMNS
from gradspec.stats.omnibus import NETWORK, network_statistic
from gradspec.stats.power import POWER, detectable_z

FEATURE = "feature"

COLUMNS = {
    "model": "Network",
    "panel": {
        "Description": "What was asked",
        "Levels": {
            NETWORK: "Do the spectra differ at all: the omnibus statistic",
            FEATURE: "The feature of this network that ranks first: difference of the groups",
        },
    },
    "layer": "Parameter, of a feature",
    "kind": "What the spectra are of, of a feature",
    "feature": "Feature of the spectrum",
    "permutation": "Arrangement of the groups: 0 as they are, the others by lot",
    "value": {
        "Description": "Statistic less the mean of the permutations",
        "Units": "standard deviations of the permutations for a network, else the unit of the feature",
    },
    "detectable": f"Smallest value that the corrected test finds in {100 * POWER:g} % of studies, in the same unit",
    "p_corrected": "Corrected p of the groups as they are",
}


def summarise_permutations(
    networks: Sequence[xr.DataTree],
    features: Sequence[pd.DataFrame],
    omnibus: pd.DataFrame,
    readings: pd.DataFrame,
    levels: Sequence[str],
    alpha: float,
) -> pd.DataFrame:
    """Bring together what each arrangement of the groups gives, of every network and of its first feature.

    Parameters
    ----------
    networks : sequence of DataTree
        Of each network what `gradspec.spectra.retrained.summarise_retrained` gives.
    features : sequence of DataFrame
        Of each its features under permuted groups.
    omnibus, readings : DataFrame
        Tables of the tests.
    levels : sequence of str
        The two groups, the reference first.
    alpha : float
        Level of significance.
    """
    whole = omnibus[omnibus["level"] == NETWORK].set_index("model")
    n_networks = int(whole["p_corrected"].notna().sum())
    ranked, parts = rank_differences(readings, alpha), []
    for tree, table in zip(networks, features, strict=True):
        model = tree.attrs["model"]
        statistic = network_statistic(tree)
        if statistic is not None:
            values = (statistic - statistic[1:].mean()) / statistic[1:].std(ddof=1)
            about = {"model": model, "panel": NETWORK, "p_corrected": whole.loc[model, "p_corrected"]}
            about["detectable"] = detectable_z(len(values) - 1, alpha / max(n_networks, 1))
            parts.append(pd.DataFrame({"permutation": range(len(values)), "value": values}).assign(**about))
        of_model = ranked[ranked["model"] == model]
        if not of_model.empty:
            parts.append(_differences(table, of_model.iloc[0], levels))
    return pd.concat(parts or [pd.DataFrame()]).reindex(columns=list(COLUMNS)).reset_index(drop=True)


def _differences(features: pd.DataFrame, first: Any, levels: Sequence[str]) -> pd.DataFrame:
    """Difference of the groups under every arrangement, in the feature of a reading."""
    names = ["model", "layer", "kind", "feature"]
    rows = features[(features["by"] == "retraining") & (features[names[:3]] == first[names[:3]]).all(axis=1)]
    wide = rows.pivot_table(index="permutation", columns="group", values=first["feature"]).sort_index()
    difference = wide[levels[1]] - wide[levels[0]]
    table = (difference - difference.iloc[1:].mean()).rename("value").reset_index()
    about = {name: first[name] for name in (*names, "detectable", "p_corrected")}
    return table.assign(panel=FEATURE, **about)


@styled
def plot_permutations(table: pd.DataFrame, levels: Sequence[str]) -> Figure:
    """Draw a row a network: histograms of the permutations, and the groups as they are.

    Parameters
    ----------
    table : DataFrame
        What `summarise_permutations` returns.
    levels : sequence of str
        The two groups, the reference first.
    """
    models = list(dict.fromkeys(table["model"]))
    figure = new_figure(10.0, max(2.8, 2.5 * len(models)))
    panels = figure.subplots(max(len(models), 1), 2, squeeze=False)
    parts: Mapping[Any, pd.DataFrame] = dict(iter(table.groupby(["model", "panel"], sort=False)))
    for axes, model in zip(panels, models, strict=False):
        for ax, panel in zip(axes, (NETWORK, FEATURE), strict=True):
            if (model, panel) in parts:
                _draw(ax, parts[model, panel], levels)
            else:
                name_panel(ax, f"{model}: not tested")
    if not models:
        for ax in panels.flat:
            name_panel(ax, "no network could be tested")
    else:
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3)
    return figure


def _draw(ax: Any, rows: pd.DataFrame, levels: Sequence[str]) -> None:
    first, permuted = rows.iloc[0], rows.loc[rows["permutation"] > 0, "value"]
    ax.hist(permuted, bins=max(8, round(np.sqrt(len(permuted)) * 1.5)), color=MISSING_COLOUR, edgecolor=POOLED_COLOUR)
    observed = rows.loc[rows["permutation"] == 0, "value"].iloc[0]
    ax.axvline(observed, color=COMPARISON_COLOUR, lw=2, label="the groups as they are")
    signs = (1,) if first["panel"] == NETWORK else (-1, 1)
    for sign in signs if pd.notna(first["detectable"]) else ():
        label = f"found in {100 * POWER:g} % of studies" if sign == 1 else None
        ax.axvline(sign * first["detectable"], color="black", ls="--", lw=1, label=label)
    told = f"corrected {tell_p(first['p_corrected'])}"
    if first["panel"] == NETWORK:
        ax.set_title(f"{first['model']}, as a whole: {told}")
        ax.set_xlabel("Distance of the groups (standard deviations of the permutations)")
    else:
        feature = name_feature(first["feature"])
        unit = unit_of(FEATURE_COLUMNS[first["feature"]]["Units"], first["kind"])
        ax.set_title(f"{first['model']}, {layer_label(first['layer'])}, {feature}: {told}")
        ax.set_xlabel(f"{levels[1]} − {levels[0]} ({unit})")
    ax.set_ylabel(f"Permutations (of {len(permuted)})")
