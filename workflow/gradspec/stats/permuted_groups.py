r"""The table of permutation tests: groups as they are among groups that were drawn by lot.

For each pair of groups of a grouping, layer, kind and feature the statistic is the difference of the groups, mean over
the window and over all training runs. What lot makes of it need not be zero: a smaller group has fewer samples in a
batch, hence noisier mean gradients and a lower rank. So the difference is held against the mean :math:`\bar T` of all
arrangements, the one as it is included, in units of their standard deviation s,

.. math:: z_p = (T_p - \bar T) / s, \qquad p = \frac{1 + \#\{p \ge 1 : |z_p| \ge |z_0|\}}{1 + n} ,

which treats all arrangements alike, so that the test is exact where they are exchangeable (Phipson and Smyth 2010).
Correction is against the largest :math:`|z|` of each arrangement within the family (Westfall and Young 1993), which
takes account of how the tests depend on each other. Runs need not be independent: an arrangement goes through all.

Trainings under permuted groups are dear, and so few. Their tails follow from the distribution of z, see
`gradspec.stats.permutation_tail`.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from gradspec.stats.paired_test import SINGLE_PRECISION
from gradspec.stats.permutation import max_permutation_p, permutation_p
from gradspec.stats.permutation_tail import BETA, COUNTED, METHODS, corrected_p, critical_t, tail_p
from gradspec.stats.plan import CONFIRMATORY, EXPLORATORY, Family, assign_families
from gradspec.stats.power import least_noncentrality

if TYPE_CHECKING:
    import pandas as pd

MAXIMUM = "largest of the permutation"
TESTS = {
    "regrouping": "label permutation by regrouping, within the groups that are learnt",
    "retraining": "label permutation by retraining",
}

_GROUPING = ["model", "grouping", "by"]
_TEST = ["layer", "kind", "feature"]


def describe_permutations(window: Sequence[float], alpha: float, epochs: float = 1.0) -> dict[str, Any]:
    """Descriptions of the columns, for the window, the level and the share of permuted trainings that were used."""
    share = f"{100 * (1 - alpha):g} %"
    return {
        "model": "Network",
        "grouping": "Grouping of the participants (training.groupings), or the column of the groups that are learnt",
        "by": {
            "Description": "How the spectra of permuted groups were found",
            "Levels": {
                "regrouping": "From the same training; exact for groupings that are not learnt",
                "retraining": "By training again under each permutation; exact for the groups that are learnt",
            },
        },
        "reference": "Group that is subtracted",
        "comparison": "Group that it is subtracted from",
        "layer": "Parameter, as in model.named_parameters(); parts of packed weights after a slash (q, k, v)",
        "kind": "Matrix whose singular values are taken: gradient, activation or delta",
        "feature": "Feature of the spectrum; formula and source in the sidecar of the features table",
        "n_runs": "Training runs (repeat × fold), which are averaged",
        "n_permutations": "Permutations of the labels over participants",
        "mean_reference": "Mean of the reference over the epochs of the window that have kept steps, then over runs",
        "mean_comparison": "The same of the comparison",
        "difference": {
            "Description": "Comparison minus reference",
            "Window": (
                f"by regrouping epochs from {window[0]:g} to {window[1]:g} of training, as shares; by retraining the "
                f"first {epochs:g} (stats.permutation.epochs)"
            ),
        },
        "expected": "Mean difference of all arrangements: what sizes of groups alone make of it",
        "null_low": f"Lower end of the middle {share} of the differences under permuted labels",
        "null_high": "Upper end of it",
        "standard_error": "Spread of the differences under permuted labels, that of their mean included",
        "ci_low": (
            f"Lower end of the {share} interval of the difference less the mean under permuted labels, corrected for "
            "all tests of the family: it excludes zero where the corrected p is below the level. It takes a difference "
            "to move the distribution and not to widen it"
        ),
        "ci_high": "Upper end of it",
        "detectable": "Smallest difference that this test finds, corrected, in 80 % of studies like this one",
        "z": "Difference less what is expected, over the standard deviation of all arrangements",
        "p_value": "Two-sided, not corrected",
        "p_method": {"Description": "How it was found", "Levels": METHODS},
        "p_corrected": "Corrected for all tests of the family",
        "correction": {
            "Description": "Method of correction",
            "Levels": {
                MAXIMUM: "Against the largest |z| of the family in each permutation (Westfall & Young 1993)",
                BETA: METHODS[BETA],
            },
        },
        "status": {
            "Description": "Whether the test was declared before the results were seen",
            "Levels": {CONFIRMATORY: "In a family of stats.plan", EXPLORATORY: "Every other test"},
        },
        "family": "Tests that were corrected together, and how many of them could be done",
        "test": "Test that was done, or 'not tested' and why",
    }


def test_permuted_groups(
    permuted: "pd.DataFrame",
    names: Sequence[str],
    *,
    families: Sequence[Family] = (),
    learnt: str = "",
    window: Sequence[float] = (0.0, 1.0),
    alpha: float = 0.05,
) -> "pd.DataFrame":
    """Test every pair of groups of every grouping against groups drawn by lot.

    Parameters
    ----------
    permuted : DataFrame
        Features of all networks, as `gradspec.spectra.permuted.summarise_permuted` gives them.
    names : sequence of str
        Features to test.
    families : sequence of Family
        The plan; a family speaks of the grouping that it names, or else of `learnt`.
    learnt : str
        Name of the grouping that is learnt.
    window : (float, float)
        Part of training that was averaged over.
    alpha : float
        One minus the share of the null distribution that is written down.

    Returns
    -------
    DataFrame
        Columns as in `describe_permutations`.

    Raises
    ------
    ConfigError
        If a family of the plan holds no test, or shares one with another.
    """
    import pandas as pd

    parts = []
    for (grouping, by), of_grouping in permuted.groupby(["grouping", "by"], sort=False):
        own = [family for family in families if family.grouping == ("" if by == "retraining" else grouping)]
        tests, z = [], []
        for _, of_model in of_grouping.groupby("model", sort=False):
            for pair in combinations(dict.fromkeys(of_model["group"]), 2):
                table, of_pair = _compare(of_model, pair, names, alpha)
                tests.append(table)
                z.append(of_pair)
        table = assign_families(pd.concat(tests, ignore_index=True), own, MAXIMUM)
        parts.append(_correct(table, np.concatenate(z, axis=1), alpha))
    return pd.concat(parts, ignore_index=True)[list(describe_permutations(window, alpha))]


test_permuted_groups.__test__ = False  # type: ignore[attr-defined]


def _compare(
    features: "pd.DataFrame", pair: tuple[str, str], names: Sequence[str], alpha: float
) -> tuple["pd.DataFrame", Float[np.ndarray, "arrangement test"]]:
    """Test one pair of groups of one network; z of every arrangement beside the table."""
    wide = features.melt([*_GROUPING, "permutation", "group", "layer", "kind"], list(names), "feature")
    wide = wide.pivot_table(index=_TEST, columns=["group", "permutation"], values="value", dropna=False, sort=False)
    reference, comparison = (wide[group].sort_index(axis=1).to_numpy().T for group in pair)
    differences = comparison - reference
    z, reasons = _standardise(differences, np.maximum(np.abs(reference[0]), np.abs(comparison[0])))
    low, high = np.nanquantile(differences[1:], [alpha / 2, 1 - alpha / 2], axis=0)
    about = features.iloc[0]
    p_value, methods = permutation_p(z[0], z[1:]), [COUNTED if known else "" for known in np.isfinite(z[0])]
    if about["by"] == "retraining":
        p_value, methods = tail_p(z)
    table = wide.index.to_frame(index=False).assign(
        **{name: about[name] for name in _GROUPING},
        reference=pair[0],
        comparison=pair[1],
        n_runs=int(about["n_runs"]),
        n_permutations=len(differences) - 1,
        mean_reference=reference[0],
        mean_comparison=comparison[0],
        difference=differences[0],
        expected=differences.mean(axis=0),
        null_low=low,
        null_high=high,
        standard_error=differences[1:].std(axis=0, ddof=1) * np.sqrt(1 + 1 / (len(differences) - 1)),
        z=z[0],
        p_value=p_value,
        p_method=methods,
        test=[f"not tested: {reason}" if reason else TESTS[about["by"]] for reason in reasons],
    )
    return table, z


def _standardise(
    differences: Float[np.ndarray, "arrangement test"], level: Float[np.ndarray, "test"]
) -> tuple[Float[np.ndarray, "arrangement test"], list[str]]:
    """Differences less their mean over their spread, NaN where a test cannot be done, and why (empty where it can)."""
    undefined = ~np.isfinite(differences)
    with np.errstate(invalid="ignore"):
        spread = differences.std(axis=0)
        constant = spread <= SINGLE_PRECISION * level
    reasons = [
        f"undefined in {count} of {len(differences)} arrangements"
        if count
        else "equal in every arrangement" * bool(same)
        for count, same in zip(undefined.sum(axis=0), constant, strict=True)
    ]
    testable = np.array([reason == "" for reason in reasons])
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(testable, (differences - differences.mean(axis=0)) / spread, np.nan)
    return z, reasons


def _correct(table: "pd.DataFrame", z: Float[np.ndarray, "arrangement test"], alpha: float) -> "pd.DataFrame":
    """Correct within each family, against the largest |z| of its tests in each permutation, or from its tail."""
    table = table.assign(p_corrected=np.nan, correction=MAXIMUM, ci_low=np.nan, ci_high=np.nan, detectable=np.nan)
    n_permutations, retrained = len(z) - 1, table["by"].iloc[0] == "retraining"
    # The difference is held against the mean of all arrangements, of which it is one.
    centre = (table["difference"] - table["expected"]) * (1 + 1 / n_permutations)
    for (status, family), members in table.groupby(["status", "family"], sort=False).groups.items():
        of_family = z[:, members]
        tested = np.isfinite(of_family[0])
        if tested.any() and retrained:
            corrected, method = corrected_p(of_family[:, tested])
            table.loc[members[tested], "p_corrected"] = corrected
            table.loc[members, "correction"] = BETA if method == BETA else MAXIMUM
        elif tested.any():
            table.loc[members[tested], "p_corrected"] = max_permutation_p(of_family[0, tested], of_family[1:, tested])
        if tested.any():
            inside, of_test = members[tested], of_family[:, tested]
            critical, unit = critical_t(of_test, alpha, by_count=not retrained), table.loc[inside, "standard_error"]
            table.loc[inside, "ci_low"] = centre[inside] - critical * unit
            table.loc[inside, "ci_high"] = centre[inside] + critical * unit
            table.loc[inside, "detectable"] = least_noncentrality(critical, n_permutations - 1) * unit
        table.loc[members, "family"] = f"{family}, {status}: {int(tested.sum())} tests"
    return table
