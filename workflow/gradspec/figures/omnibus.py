"""The main test as a picture: the statistic of each network under permuted groups, and where the true ones lie."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gradspec.figures.findings import tell_p
from gradspec.figures.style import COMPARISON_COLOUR, POOLED_COLOUR, name_panel, new_figure, styled
from gradspec.stats.omnibus import NETWORK, permuted_statistics

if TYPE_CHECKING:
    import xarray as xr

COLUMNS: dict[str, Any] = {
    "model": "Network",
    "arrangement": "Arrangement of the groups over participants: 0 as they are, the others by lot",
    "statistic": {
        "Description": "How far apart the spectra of the groups are, in all layers together",
        "Units": "standard deviations over all arrangements",
    },
}


def summarise_statistics(trees: "Mapping[str, xr.DataTree]") -> pd.DataFrame:
    """Gather the statistic of every network under every arrangement.

    Parameters
    ----------
    trees : mapping of str to DataTree
        Of each network, what `gradspec.spectra.retrained.summarise_retrained` gives.

    Returns
    -------
    DataFrame
        Columns as in `COLUMNS`; none of a network that could not be tested.
    """
    rows = [
        (model, arrangement, value)
        for model, tree in trees.items()
        for arrangement, value in enumerate(permuted_statistics(tree).get(None, []))
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


@styled
def plot_omnibus(table: pd.DataFrame, tests: pd.DataFrame) -> Figure:
    """Draw a histogram a network of the statistic under permuted groups, and a line for the groups as they are.

    Parameters
    ----------
    table : DataFrame
        What `summarise_statistics` returns.
    tests : DataFrame
        The table of the omnibus test.
    """
    p_corrected = tests[tests["level"] == NETWORK].set_index("model")["p_corrected"]
    models = list(dict.fromkeys(table["model"]))
    figure = new_figure(7.5, 1.2 + 1.6 * max(len(models), 1))
    if not models:
        name_panel(figure.subplots(), "no network could be tested")
        return figure
    axes = figure.subplots(len(models), 1, sharex=True, squeeze=False)[:, 0]
    low, high = table["statistic"].min(), table["statistic"].max()
    bins = np.linspace(np.floor(2 * low) / 2, np.ceil(2 * high) / 2 + 0.25, 25).tolist()
    for position, (ax, model) in enumerate(zip(axes, models, strict=True)):
        of_model = table[table["model"] == model].sort_values("arrangement")["statistic"].to_numpy()
        label = f"{len(of_model) - 1} permutations of the groups"
        ax.hist(of_model[1:], bins=bins, color=POOLED_COLOUR, alpha=0.6, label=label)
        ax.axvline(of_model[0], color=COMPARISON_COLOUR, lw=2, label="the groups as they are")
        ax.set(title=f"{model}, {tell_p(p_corrected[model])} (corrected for the networks)", ylabel="permutations")
        if position == 0:
            ax.legend()
    axes[-1].set_xlabel("How far apart the groups are (standard deviations over arrangements)")
    return figure
