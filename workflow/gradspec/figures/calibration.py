"""Calibration curves: how often a participant is of the comparison group, among those who were given a probability."""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import binomtest

from gradspec.figures.style import POOLED_COLOUR, new_figure, styled

N_BINS = 5
"""Bins of a curve, of equally many participants as far as that is possible."""

COLUMNS = {
    "model": "Network or baseline",
    "bin": "Bin of predicted probabilities, from 0",
    "predicted": "Mean probability of the comparison group that was predicted in the bin",
    "observed": "Share of the participants of the bin that are of the comparison group",
    "ci_low": "Lower end of the confidence interval of that share (Wilson)",
    "ci_high": "Upper end of the confidence interval of that share (Wilson)",
    "n_participants": "Participants in the bin",
}


def summarise_calibration(predictions: pd.DataFrame, levels: Sequence[str], alpha: float) -> pd.DataFrame:
    """Bin the participants of each model by the probability that they were given.

    A participant counts once: the probabilities of its runs and of the repeats, in each of which it was held out, are
    averaged first, so that the interval is that of participants (Wilson 1927).

    Parameters
    ----------
    predictions : DataFrame
        ``model``, ``participant_id``, ``group`` and ``probability`` of the comparison group, on held-out participants.
    levels : sequence of str
        The two groups, the reference first.
    alpha : float
        1 − the coverage of the intervals.

    Returns
    -------
    DataFrame
        A row a model and bin, columns as in `COLUMNS`. Models that predicted NaN have none.
    """
    people = predictions.groupby(["model", "participant_id", "group"], sort=False)["probability"].mean().reset_index()
    rows = []
    for model, members in people.dropna(subset="probability").groupby("model", sort=False):
        ordered = members.sort_values("probability", kind="stable")
        for number, part in enumerate(np.array_split(np.arange(len(ordered)), min(N_BINS, len(ordered)))):
            inside = ordered.iloc[part]
            n_comparison = int((inside["group"] == levels[1]).sum())
            interval = binomtest(n_comparison, len(inside)).proportion_ci(1 - alpha, method="wilson")
            rows.append(
                {
                    "model": model,
                    "bin": number,
                    "predicted": inside["probability"].mean(),
                    "observed": n_comparison / len(inside),
                    "ci_low": interval.low,
                    "ci_high": interval.high,
                    "n_participants": len(inside),
                }
            )
    return pd.DataFrame(rows, columns=list(COLUMNS))


@styled
def plot_calibration(
    table: pd.DataFrame, levels: Sequence[str], networks: Collection[str], baseline: str | None, alpha: float
) -> Figure:
    """Draw a panel a network: its curve with intervals, that of the baseline, and the diagonal of perfect calibration.

    Parameters
    ----------
    table : DataFrame
        What `summarise_calibration` returns.
    levels : sequence of str
        The two groups, the reference first.
    networks : collection of str
        Which of the models are networks.
    baseline : str or None
        Model that is drawn beside each network.
    alpha : float
        1 − the coverage of the intervals.
    """
    shown = list(networks)
    figure = new_figure(max(4.5, 3.4 * len(shown)), 4.2)
    axes = figure.subplots(1, len(shown), squeeze=False, sharex=True, sharey=True)[0]
    for ax, network in zip(axes, shown, strict=True):
        ax.plot([0, 1], [0, 1], color="black", lw=0.8, ls=":", label="perfect")
        for model, colour, style in ((baseline, POOLED_COLOUR, "--"), (network, "black", "-")):
            rows = table[table["model"] == model]
            if rows.empty:
                continue
            away = np.abs(rows[["ci_low", "ci_high"]].to_numpy().T - rows["observed"].to_numpy())
            ax.errorbar(
                rows["predicted"], rows["observed"], away, color=colour, ls=style, marker="o", ms=4, label=model
            )
        n = table.loc[table["model"] == network, "n_participants"].sum()
        ax.set(title=f"{network} (n = {n} participants)", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
        ax.set_xlabel(f"Predicted probability of {levels[1]} (0–1)")
        ax.legend(loc="upper left", fontsize=8)
    axes[0].set_ylabel(f"Share that is {levels[1]} (0–1)")
    figure.suptitle(f"Calibration on held-out participants, {100 * (1 - alpha):g} % intervals")
    return figure
