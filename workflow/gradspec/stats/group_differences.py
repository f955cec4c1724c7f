"""The table of group differences: a paired test for every network, layer, kind and feature."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from gradspec.stats.corrected_t import corrected_resampled_t_test, mean_overlap
from gradspec.stats.effect_size import effect_interval
from gradspec.stats.equivalence import equivalence_p
from gradspec.stats.multiplicity import correct
from gradspec.stats.noise_corrected_jackknife import noise_corrected_jackknife_t_test, within_df
from gradspec.stats.paired_test import SINGLE_PRECISION, PairedTest
from gradspec.stats.plan import CONFIRMATORY, EXPLORATORY, Family, assign_families
from gradspec.stats.runs import TrainingRun, fold_shape, has_one_partition, pair_groups, training_sets

if TYPE_CHECKING:
    import pandas as pd

TESTS = {
    "noise-corrected-jackknife-t": "noise-corrected jackknife t",
    "corrected-resampled-t": "corrected resampled t",
}
DEFAULT_TEST = "noise-corrected-jackknife-t"
PLAIN_JACKKNIFE = "delete-fold jackknife t"
SITES = "the folds that all repeats share (sites) as the sample"
FEWEST_RUNS = 3

TESTED_COLUMNS = (
    "ci_low",
    "ci_high",
    "effect_size",
    "effect_low",
    "effect_high",
    "statistic",
    "p_value",
    "df",
)

Values = Float[np.ndarray, "run test"]


def describe_differences(
    levels: Sequence[str], window: Sequence[float], alpha: float, margin: float = 0.1
) -> dict[str, Any]:
    """Descriptions of the columns, for the groups, the window, the level and the margin that were used."""
    reference, comparison = levels
    confidence = f"{100 * (1 - alpha):g} %"
    return {
        "model": "Network",
        "layer": "Parameter, as in model.named_parameters(); parts of packed weights after a slash (q, k, v)",
        "kind": "Matrix whose singular values are taken: gradient, activation or delta",
        "feature": "Feature of the spectrum; formula and source in the sidecar of the features table",
        "n_runs": "Training runs (repeat × fold). The run is the unit of replication: its steps are averaged first",
        "mean_reference": f"Mean of group {reference!r} over the epochs of the window, then over runs",
        "mean_comparison": f"Mean of group {comparison!r} over the epochs of the window, then over runs",
        "difference": {
            "Description": f"Mean over runs of {comparison!r} minus {reference!r}, paired: same weights, same steps",
            "Window": f"epochs from {window[0]:g} to {window[1]:g} of training, as shares",
        },
        "ci_low": f"Lower end of the {confidence} confidence interval of the difference, from the variance of the test",
        "ci_high": "Upper end of that interval",
        "effect_size": (
            "Cohen's d_z: mean difference over its standard deviation between runs. Runs share participants, so this "
            "says how constant the difference is from training to training, not how far people of the groups differ"
        ),
        "effect_low": (
            f"Lower end of the {confidence} confidence interval of the effect size, by inverting the noncentral t "
            "(Steiger & Fouladi 1997); approximate for the jackknife"
        ),
        "effect_high": "Upper end of that interval",
        "statistic": {
            "Description": "Difference over its standard error, the t of the test that the column test names",
            "Tests": {
                TESTS["noise-corrected-jackknife-t"]: (
                    "Variance over participants from the spread of the folds of a repeat, less the noise of training, "
                    "which is what repeats differ by; Tiao & Tan 1965; Shao & Tu 1995"
                ),
                PLAIN_JACKKNIFE: (
                    "The same with one repeat, which does not tell the noise: the variance is too large rather than "
                    "too small; Shao & Tu 1995"
                ),
                TESTS["corrected-resampled-t"]: (
                    "Variance of the mean s² (1/n_runs + ρ/(1 - ρ)), where ρ is the share of their training "
                    "participants that two runs have in common, since gradients follow from these; larger than the "
                    "n_test/(n_train + n_test) of test errors. The noise of training is not taken off: cautious; "
                    "Nadeau & Bengio 2003; Bouckaert & Frank 2004 for repeated cross-validation"
                ),
            },
            "Sites": (
                "Where every fold is a site, the same in each repeat, the sites are the sample: there are their number "
                "less one degrees of freedom, and the test speaks about other sites"
            ),
            "Limits": (
                "Where the group is also the class to learn, groups may differ because one is fitted better at the "
                "time: see equal_loss.tsv. Where groups are of unequal size, balanced batches show the smaller one "
                "more often, so that norms differ even where people do not"
            ),
        },
        "df": "Degrees of freedom: those of the spread within repeats; further repeats of the same people add little",
        "p_value": "Two-sided, not corrected",
        "p_corrected": "Corrected for all tests of the family",
        "p_equivalent": (
            f"Two one-sided tests (Schuirmann 1987) that the groups differ by less than {100 * margin:g} % of the mean "
            "of both: small where they are shown to be alike; not corrected"
        ),
        "p_equivalent_corrected": "The same, corrected for all tests of the family",
        "correction": "Method of correction (statsmodels multipletests)",
        "status": {
            "Description": "Whether the test was declared before the results were seen",
            "Levels": {CONFIRMATORY: "In a family of stats.plan", EXPLORATORY: "Every other test"},
        },
        "family": "Tests that were corrected together, and how many of them could be done",
        "test": "Test that was done, or 'not tested' and why",
    }


def compare_groups(
    features: "pd.DataFrame",
    splits: "pd.DataFrame",
    *,
    levels: Sequence[str],
    names: Sequence[str],
    window: Sequence[float] = (0.0, 1.0),
    test: str = DEFAULT_TEST,
    alpha: float = 0.05,
    margin: float = 0.1,
) -> "pd.DataFrame":
    """Test the paired difference between two groups in every layer, kind and feature of one network.

    Parameters
    ----------
    features : DataFrame
        Features of one model, as `gradspec.spectra.table.extract_features` gives them.
    splits : DataFrame
        Columns repeat, fold, participant_id, set: from which the numbers of participants are taken.
    levels : (str, str)
        Reference and comparison group.
    names : sequence of str
        Features to test.
    window : (float, float)
        Part of training that is averaged over, as shares of the epochs.
    test : str
        One of `TESTS`.
    alpha : float
        One minus the confidence of the intervals.
    margin : float
        Largest difference that counts as none, as a share of the mean of both groups.

    Returns
    -------
    DataFrame
        A row a layer, kind and feature, with the columns of `describe_differences` that concern a single test; take
        `correct_families` next, of the tables of all networks.

    Raises
    ------
    ConfigError
        If a group, a feature or a run is not in the tables, or the window ends before it begins.
    """
    trajectories = pair_groups(features, levels, names)
    runs, model = trajectories.runs, trajectories.model
    reference, comparison = trajectories.means(window)
    differences = comparison - reference
    testable, reasons = mask_untestable(differences, reference, comparison)
    columns: dict[str, Any] = dict.fromkeys((*TESTED_COLUMNS, "p_equivalent"), np.nan)
    tested_by = ""
    if len(runs) >= FEWEST_RUNS:
        paired_test, tested_by = choose_test(splits, runs, model, test, alpha)
        columns = tabulate_test(paired_test(testable), alpha)
        known = np.where(np.isnan(testable), np.nan, reference)
        columns["p_equivalent"] = equivalence_p(paired_test, known, comparison, margin)
    return trajectories.tests.assign(
        model=model,
        n_runs=len(runs),
        mean_reference=reference.mean(axis=0),
        mean_comparison=comparison.mean(axis=0),
        difference=differences.mean(axis=0),
        **columns,
        test=[f"not tested: {reason}" if reason else tested_by for reason in reasons],
    )


def correct_families(
    tables: "Sequence[pd.DataFrame]", families: Sequence[Family] = (), correction: str = "benjamini-hochberg"
) -> "pd.DataFrame":
    """Join the tables of all networks, and correct every test for the number of tests of its family.

    Parameters
    ----------
    tables : sequence of DataFrame
        What `compare_groups` gives for each network.
    families : sequence of Family
        The plan, whose families are confirmatory.
    correction : str
        Correction of the exploratory tests, all layers × features of a network and kind that no family of the plan has.

    Returns
    -------
    DataFrame
        With the columns of `describe_differences`.

    Raises
    ------
    ConfigError
        If a family of the plan holds no test, or shares one with another.
    """
    import pandas as pd

    table = assign_families(pd.concat(tables, ignore_index=True), families, correction)
    table = table.assign(p_corrected=np.nan, p_equivalent_corrected=np.nan)
    for (status, family, method), members in table.groupby(
        ["status", "family", "correction"], sort=False
    ).groups.items():
        for source, target in (("p_value", "p_corrected"), ("p_equivalent", "p_equivalent_corrected")):
            table.loc[members, target] = correct(table.loc[members, source].to_numpy(dtype=float), method)
        n_tests = int(table.loc[members, "p_value"].notna().sum())
        table.loc[members, "family"] = f"{family}, {status}: {n_tests} tests"
    return table[list(describe_differences(("", ""), (0, 1), 0.05))]


def tabulate_test(result: PairedTest, alpha: float) -> dict[str, Any]:
    """Give the columns `TESTED_COLUMNS` of the tests of a table, the interval of the effect size included."""
    effect_low, effect_high = effect_interval(result.effect_size, result.statistic, result.df, alpha)
    return {
        **{name: getattr(result, name) for name in TESTED_COLUMNS if hasattr(result, name)},
        "effect_low": effect_low,
        "effect_high": effect_high,
    }


def choose_test(
    splits: "pd.DataFrame", runs: Sequence[TrainingRun], model: str, test: str, alpha: float
) -> tuple[Callable[[Values], PairedTest], str]:
    """Give the test as a function of differences, and the name of what it does."""
    is_training = training_sets(splits, runs, model)
    n_repeats, n_folds = fold_shape(runs, model)
    n_participants, one_partition = splits["participant_id"].nunique(), has_one_partition(splits)

    def corrected_t(differences: Values) -> PairedTest:
        df = within_df(1 if one_partition else n_repeats, n_folds, n_participants)
        return corrected_resampled_t_test(differences, mean_overlap(is_training), alpha, df)

    def jackknife(differences: Values) -> PairedTest:
        by_repeat = differences.reshape(n_repeats, n_folds, *differences.shape[1:])
        return noise_corrected_jackknife_t_test(by_repeat, n_participants, alpha, one_partition=one_partition)

    is_plain = test == DEFAULT_TEST and n_repeats == 1
    name = PLAIN_JACKKNIFE if is_plain else TESTS[test]
    paired_test = jackknife if test == DEFAULT_TEST else corrected_t
    return paired_test, f"{name}, {SITES}" if one_partition else name


def mask_untestable(differences: Values, reference: Values, comparison: Values) -> tuple[Values, list[str]]:
    """Set to NaN what cannot be tested, and say why (empty where it can)."""
    n_runs = len(differences)
    n_undefined = (~np.isfinite(differences)).sum(axis=0)
    level = np.maximum(np.abs(reference), np.abs(comparison)).max(axis=0)
    constant = np.ptp(differences, axis=0) <= SINGLE_PRECISION * level
    equal = np.abs(differences).max(axis=0) <= SINGLE_PRECISION * level

    def reason(test: int) -> str:
        if n_runs < FEWEST_RUNS:
            return f"{n_runs} runs, at least {FEWEST_RUNS} are needed"
        if n_undefined[test]:
            return f"undefined in {n_undefined[test]} of {n_runs} runs"
        if equal[test]:
            return "the groups are equal in every run"
        return "the difference is the same in every run" if constant[test] else ""

    reasons = [reason(test) for test in range(differences.shape[1])]
    return np.where([text == "" for text in reasons], differences, np.nan), reasons
