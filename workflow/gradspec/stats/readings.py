"""One reading of every feature: from one test, with the interval that belongs to it, and what it could have found.

Everything that gives a verdict (first page, main figure, summary, explorer) reads this table. The
test is training under permuted groups where that was run, else the cheap first look by the paired test of runs; never
both. Under permuted groups the questions are closed from the top: an exploratory feature is found only where its
network, as a whole, is (Meinshausen 2008, Biometrika 95:265), so that its corrected p is no smaller than that of the
network. Families of ``stats.plan`` were declared as questions of their own and stand by themselves.

Intervals are corrected like the p-values: they exclude zero exactly where a difference is found.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from gradspec.stats.multiplicity import critical_p
from gradspec.stats.omnibus import NETWORK
from gradspec.stats.plan import CONFIRMATORY, EXPLORATORY
from gradspec.stats.power import POWER, least_noncentrality

if TYPE_CHECKING:
    import pandas as pd

DIFFERENT, ALIKE, UNDECIDED, UNTESTED = "different", "alike", "undecided", "not tested"
SPREADS, ERRORS = "spreads of the permutations", "standard errors"
FIRST_LOOK = "first look"

_KEYS = ["model", "layer", "kind", "feature"]


def describe_readings(levels: Sequence[str], alpha: float, margin: float) -> dict[str, Any]:
    """Descriptions of the columns, for the groups, the level and the margin that were used."""
    reference, comparison = levels
    share = f"{100 * (1 - alpha):g} %"
    return {
        "model": "Network",
        "layer": "Parameter, as in model.named_parameters(); parts of packed weights after a slash (q, k, v)",
        "kind": "Matrix whose singular values are taken: gradient, activation or delta",
        "feature": "Feature of the spectrum; formula and source in the sidecar of the features table",
        "reading": {
            "Description": "The one verdict on this feature",
            "Levels": {
                DIFFERENT: "The corrected p is below the level, and the interval excludes zero",
                ALIKE: f"The corrected interval holds zero, and nothing beyond {100 * margin:g} % of the mean of both",
                UNDECIDED: "Neither: the test could not tell",
                UNTESTED: "No test could be done; the column test says why",
            },
        },
        "difference": {
            "Description": f"{comparison!r} minus {reference!r}, in the unit of the feature",
            "Method": "By training under permuted groups, less the mean of these",
        },
        "ci_low": f"Lower end of its {share} interval, corrected for its family; empty where it has no ends",
        "ci_high": "Upper end of it",
        "detectable": (
            f"Smallest difference that this test finds in {100 * POWER:g} % of studies like this one, in the unit of "
            "the feature; empty where it can find none"
        ),
        "mean_reference": f"Mean of group {reference!r} over the epochs of the test and all runs",
        "mean_comparison": f"The same of group {comparison!r}",
        "effect_size": "Difference in the unit that the next column names",
        "effect_unit": {
            "Description": "Unit of the effect size",
            "Levels": {
                SPREADS: "Standard deviation of the differences under permuted groups",
                ERRORS: "Standard error of the difference, by the paired test of runs",
            },
        },
        "effect_low": "Lower end of the corrected interval, in that unit",
        "effect_high": "Upper end of it",
        "people": (
            "The same effect in people: groups of these sizes are as far apart in a measure whose means differ by so "
            "many standard deviations between people; effect size × √(1/n + 1/m)"
        ),
        "p_value": "Two-sided, not corrected",
        "p_corrected": (
            "Corrected for all tests of the family and, where it is exploratory and networks were trained again, no "
            "smaller than that of the network as a whole"
        ),
        "correction": "Method of correction",
        "status": {
            "Description": "Whether the test was declared before the results were seen",
            "Levels": {CONFIRMATORY: "In a family of stats.plan", EXPLORATORY: "Every other test"},
        },
        "family": "Tests that were corrected together, and how many of them could be done",
        "n_runs": "Training runs (repeat × fold)",
        "n_permutations": "Permutations of the groups that were trained; empty for a first look",
        "test": "The test that this reading is from, or 'not tested' and why",
    }


def read_tests(
    differences: "pd.DataFrame",
    n_people: Mapping[str, int],
    *,
    levels: Sequence[str],
    alpha: float,
    margin: float,
    permutations: "pd.DataFrame | None" = None,
    omnibus: "pd.DataFrame | None" = None,
) -> "pd.DataFrame":
    """Read every feature by one test.

    Parameters
    ----------
    differences : DataFrame
        What `gradspec.stats.group_differences.correct_families` gives.
    n_people : mapping of str to int
        Participants of each group.
    levels : (str, str)
        Reference and comparison group.
    alpha : float
        Level of the corrected p.
    margin : float
        Largest difference that counts as none, as a share of the mean of both groups.
    permutations, omnibus : DataFrame, optional
        Tests by training under permuted groups, where there are any.

    Returns
    -------
    DataFrame
        Columns as in `describe_readings`, a row a feature.
    """
    if omnibus is None or permutations is None:
        table = _read_first_look(differences, alpha)
    else:
        table = _read_retraining(permutations[permutations["by"] == "retraining"], omnibus, levels, alpha)
    level = (table["mean_reference"].abs() + table["mean_comparison"].abs()) / 2
    known = np.isfinite(table["ci_high"])  # an interval without ends is none
    table = table.assign(ci_low=table["ci_low"].where(known), ci_high=table["ci_high"].where(known))
    inside = (table[["ci_low", "ci_high"]].abs().max(axis=1, skipna=False) <= margin * level).to_numpy()
    p_corrected = table["p_corrected"]
    readings = np.select([p_corrected.isna(), p_corrected < alpha, inside], [UNTESTED, DIFFERENT, ALIKE], UNDECIDED)
    unit = table["standard_error"]
    return table.assign(
        reading=readings,
        effect_size=table["difference"] / unit,
        effect_low=table["ci_low"] / unit,
        effect_high=table["ci_high"] / unit,
        detectable=table["detectable"].where(np.isfinite(table["detectable"])),
        people=table["difference"] / unit * np.sqrt(sum(1 / n_people[group] for group in levels)),
    )[list(describe_readings(levels, alpha, margin))]


def _read_first_look(differences: "pd.DataFrame", alpha: float) -> "pd.DataFrame":
    """Take the paired tests of runs, with intervals that are corrected as their p-values are."""
    table = differences.reset_index(drop=True)
    allowed = table["p_value"] * np.nan
    for (_, correction), members in table.groupby(["family", "correction"], sort=False).groups.items():
        allowed[members] = critical_p(table.loc[members, "p_value"].to_numpy(dtype=float), correction, alpha)
    df = table["df"].to_numpy(dtype=float)
    critical = stats.t.isf(allowed.to_numpy(dtype=float) / 2, df)
    half = table["difference"] - table["ci_low"]
    unit = half / stats.t.isf(alpha / 2, df)
    tested = table["p_corrected"].notna()
    table = table.assign(
        standard_error=unit,
        ci_low=table["difference"] - critical * unit,
        ci_high=table["difference"] + critical * unit,
        detectable=least_noncentrality(critical, df) * unit,
        effect_unit=ERRORS,
        n_permutations=np.nan,
    )
    table["test"] = table["test"].where(~tested, FIRST_LOOK + ": " + table["test"])
    return table


def _read_retraining(
    permutations: "pd.DataFrame", omnibus: "pd.DataFrame", levels: Sequence[str], alpha: float
) -> "pd.DataFrame":
    """Take the tests under permuted groups, closed under that of the network."""
    table = permutations.reset_index(drop=True)
    turned = (table["reference"] != levels[0]).to_numpy()
    sign = np.where(turned, -1.0, 1.0)
    names = ("mean_reference", "mean_comparison")
    reference, comparison = (np.where(turned, table[second], table[first]) for first, second in (names, names[::-1]))
    whole = omnibus[omnibus["level"] == NETWORK].set_index("model")["p_corrected"].astype(float)
    gate = table["model"].map(whole).fillna(1.0).where(table["status"] != CONFIRMATORY, 0.0)
    centre = sign * (table["ci_low"] + table["ci_high"]) / 2
    half = (table["ci_high"] - table["ci_low"]) / 2
    centre = centre.where(np.isfinite(half), sign * (table["difference"] - table["expected"]))
    p_corrected = np.maximum(table["p_corrected"], gate).where(table["p_corrected"].notna())
    # What is not found, since its network is not, has an interval that holds zero.
    half = half.where(~(p_corrected >= alpha), np.maximum(half, centre.abs()))
    return table.assign(
        mean_reference=reference,
        mean_comparison=comparison,
        difference=centre,
        ci_low=centre - half,
        ci_high=centre + half,
        p_corrected=p_corrected,
        effect_unit=SPREADS,
    )
