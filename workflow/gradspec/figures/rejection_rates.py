"""Calibration of the tests: what each rejects where nothing differs, and what it finds of planted differences."""

import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from gradspec.figures.style import new_figure, styled

LEVEL = 0.05
UNEQUAL = "45:15"
THINNED = ", thinned"
OTHER_FOLDS = ["one training", "5 × 2"]  # of the permutations by regrouping and by retraining


@styled
def plot_rejection_rates(table: pd.DataFrame) -> Figure:
    """Draw what each test rejects without a difference, in equal and unequal groups, and its power.

    Parameters
    ----------
    table : DataFrame
        As `gradspec.stats.calibration.measure` gives it.
    """
    table = table[table["folds"].isin([table["folds"].iloc[0], *OTHER_FOLDS])]
    tests = list(dict.fromkeys(table.loc[table["verdict"] != "power", "test"]))
    figure = new_figure(16, 4.8)
    *nulls, power = figure.subplots(1, 4, width_ratios=(1, 1, 1, 1.3))
    null = table[(table["size"] == 0) & (table["verdict"] != "power")]
    at_equal = ~null["groups"].str.startswith(UNEQUAL)
    panels = {
        "Equal groups": null[at_equal],
        "3:1": null[null["groups"] == UNEQUAL],
        "3:1, thinned": null[null["groups"] == UNEQUAL + THINNED],
    }
    for ax, (title, rows) in zip(nulls, panels.items(), strict=True):
        cohorts = int(rows["cohorts"].iloc[0])
        least, most = 100 * stats.binom(cohorts, LEVEL).ppf([0.025, 0.975]) / cohorts
        ax.axvspan(least, most, color="#CCCCCC", lw=0)
        ax.axvline(100 * LEVEL, color="black", lw=0.8)
        of_one = rows[~rows["feature"].str.startswith(("any", "omnibus"))]
        ax.plot(of_one["rejected"], of_one["test"].map(tests.index), "o", ms=4, color="#0072B2", label="a feature")
        family = rows[rows["feature"].isin(["any (holm)", "any (smallest p)"])]
        ax.plot(family["rejected"], family["test"].map(tests.index), "D", ms=4, color="#D55E00", label="any, corrected")
        whole = rows[rows["feature"] == "omnibus"]
        ax.plot(whole["rejected"], whole["test"].map(tests.index), "s", ms=4, color="#009E73", label="omnibus")
        ax.set(xlim=(-3, 103), ylim=(len(tests) - 0.5, -0.5), title=f"{title}, no difference")
        ax.set_xlabel(f"p ≤ {LEVEL:g} in % of {cohorts} cohorts\n(grey: binomial 95 % interval)")
        ax.set_yticks(range(len(tests)), tests if ax is nulls[0] else [])
    nulls[0].legend(loc="lower right")
    honest = table[table["feature"].isin(["effective_rank", "omnibus"]) & ~table["groups"].str.startswith(UNEQUAL)]
    shown = ~honest["test"].str.startswith(("naive", "equivalence"))
    for (test, feature), rows in honest[shown].groupby(["test", "feature"], sort=False):
        eager = "too eager" in set(rows["verdict"])
        name = f"{test}, omnibus" if feature == "omnibus" else test
        label = f"{name} (too eager)" if eager else name
        power.plot(rows["size"], rows["rejected"], "o--" if eager else "o-", ms=4, lw=1.2, label=label)
    power.axhline(100 * LEVEL, color="black", lw=0.8)
    power.set(xlabel="Planted share of variance", ylabel="p ≤ 0.05 in % of cohorts", ylim=(-3, 103))
    power.set_title("Power, effective rank and omnibus")
    power.legend(loc="upper left", bbox_to_anchor=(1.02, 1), fontsize=8)
    return figure
