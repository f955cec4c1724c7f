"""Connectivity by group: the mean of each, and where they differ."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import colormaps
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from scipy import stats

from gradspec.figures.style import DIVERGING, MISSING_COLOUR, group_colours, new_figure, styled, symmetric

# Purple and green, since blue and vermilion mean the groups.
VALUES = colormaps["PRGn"].with_extremes(bad=MISSING_COLOUR)

COLUMNS = {
    "feature": "Feature of the vector",
    "component": "First component of the pair",
    "component_2": "Second component of the pair",
    "label": "Name of the first component's network, where one is known",
    "label_2": "Name of the second component's network",
    "domain": "Domain of the first component, where one is known",
    "domain_2": "Domain of the second component",
    "mean_reference": "Mean over the participants of the reference group",
    "mean_comparison": "Mean over the participants of the comparison group",
    "difference": "Mean of the comparison group minus mean of the reference group",
    "ci_low": "Lower end of the 95 % confidence interval of the difference (Welch)",
    "ci_high": "Upper end of the 95 % confidence interval of the difference (Welch)",
    "statistic": "t of Welch's test",
    "p_value": "p of Welch's test, two-sided",
    "p_corrected": "p corrected by Benjamini and Hochberg over all pairs or features",
    "n_reference": "Participants in the reference group with a value",
    "n_comparison": "Participants in the comparison group with a value",
}


def compare_connectivity(
    fnc: xr.Dataset, participants: pd.DataFrame, levels: Sequence[str], labels: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Test each pair of components, or each feature, for a difference between the groups.

    Several runs of one participant are averaged first: the unit is the participant.

    Parameters
    ----------
    fnc : Dataset
        ``fnc`` (participant, component, component_2), Fisher z, or ``features`` (participant, feature).
    participants : DataFrame
        ``participant_id``, ``group``.
    levels : sequence of str
        The two groups, the reference first.
    labels : DataFrame, optional
        ``component``, ``label`` and ``domain``.

    Returns
    -------
    DataFrame
        A row a pair (each once, in the order of the upper triangle) or a feature, columns as in `COLUMNS`.
    """
    values, names = _vectors(fnc)
    if labels is not None:
        names = name_pairs(names, labels)
    rows = pd.DataFrame(values, index=pd.Index(fnc["participant"].to_numpy().astype(str), name="participant_id"))
    means = rows.groupby(level=0).mean()
    group = participants.set_index("participant_id")["group"].reindex(means.index)
    reference, comparison = (means[(group == level).to_numpy()].to_numpy() for level in levels)
    return pd.concat([names, _welch(reference, comparison)], axis=1)


def name_pairs(pairs: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Add labels and domains to pairs of components.

    Parameters
    ----------
    pairs : DataFrame
        ``component`` and ``component_2``.
    labels : DataFrame
        ``component``, ``label`` and ``domain``.

    Returns
    -------
    DataFrame
        `pairs` with ``label``, ``label_2``, ``domain`` and ``domain_2``; those that nobody has are left out.
    """
    known = labels.set_index("component")
    named = {
        f"{what}{second}": pairs[f"component{second}"].map(known[what])
        for what in ("label", "domain")
        if known[what].notna().any()
        for second in ("", "_2")
    }
    return pairs.assign(**named)


def order_components(table: pd.DataFrame) -> tuple[list[str], list[str], list[str | None]]:
    """Put components in the order of their domains.

    Parameters
    ----------
    table : DataFrame
        ``component``, ``component_2``, and what `name_pairs` adds.

    Returns
    -------
    components : list of str
        Domains in the order in which they first appear, components within them too.
    names : list of str
        What each is called in a figure: its label where that is its own alone.
    domains : list
        Domain of each; None where none is known.
    """
    columns = [name for name in ("component", "label", "domain") if name in table]
    second = table[[f"{name}_2" for name in columns]].set_axis(columns, axis=1)
    known = pd.concat([table[columns], second]).drop_duplicates("component").reset_index(drop=True)
    known = known.reindex(columns=["component", "label", "domain"])
    place = {domain: index for index, domain in enumerate(known["domain"].dropna().unique())}
    known = known.iloc[known["domain"].map(place).fillna(len(place)).argsort(kind="stable")]
    alone = known["label"].notna() & ~known["label"].duplicated(keep=False)
    domains = [None if pd.isna(domain) else str(domain) for domain in known["domain"]]
    return list(known["component"]), list(known["label"].where(alone, known["component"])), domains


def _vectors(fnc: xr.Dataset) -> tuple[np.ndarray, pd.DataFrame]:
    """Give a row of numbers for each run, and a name for each number."""
    if "features" in fnc:
        return fnc["features"].to_numpy().astype(float), pd.DataFrame(
            {"feature": fnc["feature"].to_numpy().astype(str)}
        )
    components = fnc["component"].to_numpy().astype(str)
    first, second = np.triu_indices(components.size, k=1)
    names = pd.DataFrame({"component": components[first], "component_2": components[second]})
    return fnc["fnc"].to_numpy().astype(float)[:, first, second], names


def _welch(reference: np.ndarray, comparison: np.ndarray) -> pd.DataFrame:
    """Welch's test of each column; the test is not available where a group has fewer than two values or no variance."""
    counts = [np.isfinite(sample).sum(axis=0) for sample in (reference, comparison)]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        test = stats.ttest_ind(comparison, reference, equal_var=False, nan_policy="omit")
        interval = test.confidence_interval(0.95)
        means = [
            np.where(count > 0, np.nansum(sample, axis=0) / np.maximum(count, 1), np.nan)
            for sample, count in zip((reference, comparison), counts, strict=True)
        ]
    p_value = np.where(np.minimum(*counts) > 1, np.ma.filled(test.pvalue, np.nan), np.nan)
    corrected = np.full_like(p_value, np.nan)
    tested = np.isfinite(p_value)
    if tested.any():
        corrected[tested] = stats.false_discovery_control(p_value[tested])
    columns = [*means, means[1] - means[0], interval.low, interval.high, test.statistic, p_value, corrected, *counts]
    names = list(COLUMNS)[list(COLUMNS).index("mean_reference") :]
    return pd.DataFrame({name: np.ma.filled(column, np.nan) for name, column in zip(names, columns, strict=True)})


@styled
def plot_connectivity(table: pd.DataFrame, levels: Sequence[str], alpha: float) -> Figure:
    """Draw the mean of each group and their difference.

    Parameters
    ----------
    table : DataFrame
        What `compare_connectivity` returns: pairs are drawn as matrices, features as a profile.
    levels : sequence of str
        The two groups, the reference first.
    alpha : float
        Pairs or features with a corrected p below it are marked.
    """
    return _plot_profile(table, levels, alpha) if "feature" in table else _plot_matrices(table, levels, alpha)


def _counts(table: pd.DataFrame) -> tuple[int, int]:
    return int(table["n_reference"].max()), int(table["n_comparison"].max())


def _significant(table: pd.DataFrame, alpha: float) -> str:
    marked = int((table["p_corrected"] < alpha).sum())
    return f"{marked} of {int(table['p_corrected'].notna().sum())} with p < {alpha:g} (FDR)"


def _plot_matrices(table: pd.DataFrame, levels: Sequence[str], alpha: float) -> Figure:
    figure = new_figure(13.0, 4.6)
    axes = figure.subplots(1, 3)
    components, names, domains = order_components(table)
    place = {name: index for index, name in enumerate(components)}
    first, second = table["component"].map(place).to_numpy(), table["component_2"].map(place).to_numpy()

    def matrix(column: str) -> np.ndarray:
        full = np.full((len(names), len(names)), np.nan)
        full[first, second] = full[second, first] = table[column]
        np.fill_diagonal(full, 0.0)
        return full

    n_reference, n_comparison = _counts(table)
    scale = symmetric(table[["mean_reference", "mean_comparison"]])
    for ax, column, title in zip(
        axes,
        ("mean_reference", "mean_comparison"),
        (f"{levels[0]}, mean (n = {n_reference})", f"{levels[1]}, mean (n = {n_comparison})"),
        strict=False,
    ):
        image = draw_matrix(ax, matrix(column), names, scale, VALUES, domains)
        ax.set_title(title)
    axes[1].set_yticklabels([])
    figure.colorbar(image, ax=list(axes[:2]), shrink=0.7, label="Correlation (Fisher z)")
    image = draw_matrix(axes[2], matrix("difference"), names, symmetric(table["difference"]), DIVERGING, domains)
    axes[2].set_title(f"{levels[1]} − {levels[0]}\n{_significant(table, alpha)}")
    figure.colorbar(image, ax=axes[2], shrink=0.7, label="Difference of correlation (Fisher z)")
    marked = (table["p_corrected"] < alpha).to_numpy()
    size = min(20.0, (120 / len(names)) ** 2 / 4)
    for x, y in ((first, second), (second, first)):
        axes[2].scatter(x[marked], y[marked], s=size, color="black", edgecolors="white", linewidths=size / 40)
    return figure


def draw_matrix(
    ax: Any,
    matrix: np.ndarray,
    names: Sequence[str],
    scale: Normalize,
    colours: Any,
    domains: Sequence[str | None] = (),
) -> Any:
    """Draw a matrix of pairs; lines part the domains, whose names stand above.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    matrix : ndarray of shape (component, component)
        Values.
    names : sequence of str
        Names of the components; left out where they would not be legible.
    scale, colours
        Norm and colour map.
    domains : sequence of str or None
        Domain of each component, components of a domain side by side; empty for none.

    Returns
    -------
    AxesImage
    """
    image = ax.imshow(matrix, cmap=colours, norm=scale)
    ax.spines[:].set_visible(False)
    if len(names) <= 30:
        ax.set_xticks(range(len(names)), names, rotation=90, fontsize=8 if len(names) <= 20 else 7)
        ax.set_yticks(range(len(names)), names, fontsize=8 if len(names) <= 20 else 7)
    else:
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_xlabel(f"{len(names)} components or regions")
        ax.set_ylabel(f"{len(names)} components or regions")
    if any(domain is not None for domain in domains):
        _draw_domains(ax, ["other" if domain is None else domain for domain in domains])
    return image


def _draw_domains(ax: Any, domains: Sequence[str]) -> None:
    """Part the domains by lines, and write their names above."""
    begins = [k for k in range(len(domains)) if k == 0 or domains[k] != domains[k - 1]]
    for begin in begins[1:]:
        ax.axhline(begin - 0.5, color="black", lw=0.8)
        ax.axvline(begin - 0.5, color="black", lw=0.8)
    ends = [*begins[1:], len(domains)]
    above = ax.secondary_xaxis("top")
    above.set_xticks([(begin + end - 1) / 2 for begin, end in zip(begins, ends, strict=True)])
    above.set_xticklabels([domains[begin] for begin in begins], rotation=45, ha="left", fontsize=8)
    above.tick_params(length=0, pad=1)
    above.spines[:].set_visible(False)


def _plot_profile(table: pd.DataFrame, levels: Sequence[str], alpha: float) -> Figure:
    few = len(table) <= 40
    figure = new_figure(9.0, 6.0)
    above, below = figure.subplots(2, 1, sharex=True)
    x = np.arange(len(table))
    colours = group_colours(levels)
    for level, column, n in zip(levels, ("mean_reference", "mean_comparison"), _counts(table), strict=True):
        marker = "o" if few else ""
        above.plot(x, table[column], marker=marker, ms=4, lw=1.2, color=colours[level], label=f"{level} (n = {n})")
    above.set_ylabel("Mean of the group\n(units of the feature)")
    above.legend(loc="best", ncols=2)
    below.axhline(0, color="black", lw=0.8)
    below.fill_between(x, table["ci_low"], table["ci_high"], step="mid", color="0.8", lw=0, label="95 % interval")
    below.plot(x, table["difference"], "." if few else "-", color="0.3", lw=0.8, label=f"{levels[1]} − {levels[0]}")
    marked = (table["p_corrected"] < alpha).to_numpy()
    signs = np.where(table["difference"][marked] > 0, colours[levels[1]], colours[levels[0]])
    below.scatter(x[marked], table["difference"][marked], s=22, color=signs, zorder=3)
    below.set_ylabel("Difference\n(units of the feature)")
    below.set_title(_significant(table, alpha))
    below.legend(loc="best", ncols=2)
    if few:
        below.set_xticks(x, table["feature"], rotation=90)
    below.set_xlabel("Feature")
    figure.suptitle("Features by group")
    return figure
