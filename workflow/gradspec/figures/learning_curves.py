"""Learning curves: how loss and accuracy develop, on the participants learned from and on those held out."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gradspec.figures.style import MISSING_COLOUR, count_runs, group_colours, new_figure, styled

_METRICS = ("loss", "loss_reference", "loss_comparison", "balanced_accuracy", "roc_auc")
_BASELINE_METRICS = ("balanced_accuracy", "roc_auc")
_SET_STYLES = {"train": {"color": "#999999", "linestyle": "--"}, "test": {"color": "black", "linestyle": "-"}}

COLUMNS = {
    "set": {
        "Description": "Participants",
        "Levels": {
            "train": "learned from",
            "validation": "chose the epoch",
            "test": "held out",
            "baseline": "held out, scored by the baseline, which has no epochs",
        },
    },
    "metric": {
        "Description": "What was measured",
        "Levels": {
            "loss": "cross-entropy in nats, or mean squared error of a network that reconstructs",
            "loss_reference": "the same of the reference group",
            "loss_comparison": "the same of the comparison group",
            "balanced_accuracy": "mean of the shares of each group that are classified correctly",
            "roc_auc": "area under the receiver operating characteristic",
        },
    },
    "epoch": "Epoch, from 0",
    "mean": "Mean over runs",
    "sd": "Standard deviation over runs; n/a for a single run",
    "n_runs": "Training runs (repeats × folds) with a value",
}


def summarise_metrics(metrics: Sequence[pd.DataFrame], scores: pd.DataFrame, baseline: str | None) -> pd.DataFrame:
    """Average each metric over the training runs.

    Parameters
    ----------
    metrics : sequence of DataFrame
        One table a run: ``epoch``, ``set`` and the metrics.
    scores : DataFrame
        Scores of networks and baselines: ``model``, ``fold`` (missing where folds are pooled) and the metrics.
    baseline : str or None
        Model of `scores` that is drawn beside the curves.

    Returns
    -------
    DataFrame
        A row a set, metric and epoch, columns as in `COLUMNS`.
    """
    rows = pd.concat(metrics).melt(["epoch", "set"], value_vars=list(_METRICS), var_name="metric")
    grouped = rows.groupby(["set", "metric", "epoch"], sort=True)["value"]
    curves = grouped.agg(mean="mean", sd="std", n_runs="count").reset_index()
    if baseline is None:
        return curves[list(COLUMNS)]
    folds = scores[(scores["model"] == baseline) & scores["fold"].notna()]
    beside = folds[list(_BASELINE_METRICS)].agg(["mean", "std", "count"]).T.set_axis(["mean", "sd", "n_runs"], axis=1)
    beside = beside.rename_axis("metric").reset_index().assign(set="baseline").astype({"n_runs": int})
    return pd.concat([curves, beside], ignore_index=True).reindex(columns=list(COLUMNS))


@styled
def plot_learning_curves(table: pd.DataFrame, levels: Sequence[str], model: str, baseline: str | None = None) -> Figure:
    """Draw loss, loss of each group, balanced accuracy and area under the curve, mean ± sd over runs.

    Parameters
    ----------
    table : DataFrame
        What `summarise_metrics` returns.
    levels : sequence of str
        The two groups, the reference first.
    model : str
        Name of the network.
    baseline : str, optional
        Name of the baseline, where the table holds one.
    """
    figure = new_figure(11.0, 6.6)
    axes = figure.subplots(2, 2, sharex=True)
    loss, by_group, accuracy, auc = axes.ravel()
    colours = group_colours(levels)
    reconstructs = table.loc[table["metric"] == "roc_auc", "mean"].isna().all()
    unit = "Mean squared error (variance of a time course)" if reconstructs else "Cross-entropy (nats)"
    loss.set(title="Loss", ylabel=unit)
    by_group.set(title="Loss of each group", ylabel=unit)
    accuracy.set(title="Balanced accuracy", ylabel="Balanced accuracy (0–1)")
    auc.set(title="Area under the ROC curve", ylabel="ROC AUC (0–1)")
    for ax, metric in ((loss, "loss"), (accuracy, "balanced_accuracy"), (auc, "roc_auc")):
        for subset, style in _SET_STYLES.items():
            _draw_curve(ax, table, subset, metric, label=subset, **style)
    for level, metric in zip(levels, ("loss_reference", "loss_comparison"), strict=True):
        for subset, style in _SET_STYLES.items():
            line = {"color": colours[level], "linestyle": style["linestyle"]}
            _draw_curve(by_group, table, subset, metric, label=f"{level}, {subset}", **line)
    for ax, metric in zip((accuracy, auc), _BASELINE_METRICS, strict=True):
        beside = table[(table["set"] == "baseline") & (table["metric"] == metric)]
        if beside["mean"].notna().any():
            ax.axhline(
                beside["mean"].item(), color=MISSING_COLOUR, lw=4, zorder=0, label=f"{baseline} (baseline), test"
            )
        ax.axhline(0.5, color="black", lw=0.8, ls=":", label="chance")
        if reconstructs:
            ax.text(
                0.5, 0.7, "The network reconstructs:\nit tells no groups apart", transform=ax.transAxes, ha="center"
            )
        ax.set_ylim(min(0.0 if ax.dataLim.y0 < 0.3 else 0.3, 0.3), 1.02)
    for ax in axes.ravel():
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend(loc="best", fontsize=8)
    for ax in axes[1]:
        ax.set_xlabel("Epoch")
    figure.suptitle(f"{model}: learning curves, mean ± sd of {count_runs(table['n_runs'].max())}")
    return figure


def _draw_curve(ax: Any, table: pd.DataFrame, subset: str, metric: str, *, label: str, **style: str) -> None:
    rows = table[(table["set"] == subset) & (table["metric"] == metric)]
    if not rows["mean"].notna().any():
        return
    ax.plot(rows["epoch"], rows["mean"], label=label, **style)
    sd = rows["sd"].fillna(0.0)
    ax.fill_between(rows["epoch"], rows["mean"] - sd, rows["mean"] + sd, color=style["color"], alpha=0.18, lw=0)
