"""The table of group differences: a paired test for every network, layer, kind and feature."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from statsmodels.stats.multitest import multipletests

from gradspec.errors import ConfigError
from gradspec.stats.corrected_t import corrected_resampled_t_test
from gradspec.stats.noise_corrected_jackknife import noise_corrected_jackknife_t_test
from gradspec.stats.paired_test import PairedTest

if TYPE_CHECKING:
    import pandas as pd

CORRECTIONS = {"benjamini-hochberg": "fdr_bh", "holm": "holm", "benjamini-yekutieli": "fdr_by"}
TESTS = {
    "noise-corrected-jackknife-t": "noise-corrected jackknife t",
    "corrected-resampled-t": "corrected resampled t",
}
DEFAULT_TEST = "noise-corrected-jackknife-t"
PLAIN_JACKKNIFE = "delete-fold jackknife t"
FEWEST_RUNS = 3

Values = Float[np.ndarray, "run test"]

_RUN = ["repeat", "fold"]
_LAYER = ["layer", "kind"]
_ROUNDING = 1e-12  # a spread this small beside the values themselves is rounding of double precision


def describe_differences(levels: Sequence[str], window: Sequence[float], alpha: float) -> dict[str, Any]:
    """Descriptions of the columns, for the groups, the window and the level of significance that were used."""
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
                    "Variance of the mean s² (1/n_runs + n_test/n_train). Gradients follow from the training "
                    "participants, which folds share more than it assumes: p is too small with five folds or more; "
                    "Nadeau & Bengio 2003; Bouckaert & Frank 2004 for repeated cross-validation"
                ),
            },
            "Limits": (
                "Where the group is also the class to learn, groups may differ because one is fitted better at the "
                "time: see their losses in the spectra file"
            ),
        },
        "df": (
            "Degrees of freedom: n_runs - 1 of the corrected resampled t; those of the spread within repeats of the "
            "jackknife"
        ),
        "p_value": "Two-sided, not corrected",
        "p_corrected": "Corrected for all tests of the family",
        "correction": "Method of correction (statsmodels multipletests)",
        "family": "Tests that were corrected together",
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
    correction: str = "benjamini-hochberg",
    alpha: float = 0.05,
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
    correction : str
        One of `CORRECTIONS`, over the family: all layers × features of a kind.
    alpha : float
        One minus the confidence of the intervals.

    Returns
    -------
    DataFrame
        A row a layer, kind and feature, with the columns of `describe_differences`.

    Raises
    ------
    ConfigError
        If a group, a feature or a run is not in the tables, or the window ends before it begins.
    """
    import pandas as pd

    model = str(features["model"].iloc[0])
    _check_tables(features, levels, names, model)
    tests, runs, reference, comparison = _run_means(features, levels, names, window)
    differences = comparison - reference
    testable, reasons = _mask_untestable(differences, reference, comparison)
    result, tested_by = _test(testable, splits, runs, model, test, alpha) if len(runs) >= FEWEST_RUNS else (None, "")
    table = tests.assign(
        model=model,
        n_runs=len(runs),
        mean_reference=reference.mean(axis=0),
        mean_comparison=comparison.mean(axis=0),
        difference=differences.mean(axis=0),
        **{
            name: np.nan if result is None else getattr(result, name)
            for name in ("ci_low", "ci_high", "effect_size", "statistic", "p_value", "df")
        },
        correction=correction,
        test=[f"not tested: {reason}" if reason else tested_by for reason in reasons],
    )
    families = [
        part.assign(
            p_corrected=correct(part["p_value"].to_numpy(dtype=float), correction),
            family=f"model {model}, kind {kind}: {part['layer'].nunique()} layers × {part['feature'].nunique()} "
            f"features, {part['p_value'].notna().sum()} tests",
        )
        for kind, part in table.groupby("kind", sort=False)
    ]
    return pd.concat(families, ignore_index=True)[list(describe_differences(levels, window, alpha))]


def correct(p_values: Float[np.ndarray, "test"], correction: str) -> Float[np.ndarray, "test"]:
    """Correct p-values for their number; NaN (not tested) stays and is not counted."""
    corrected = np.full(len(p_values), np.nan)
    tested = ~np.isnan(p_values)
    if tested.any():
        corrected[tested] = multipletests(p_values[tested], method=CORRECTIONS[correction])[1]
    return corrected


def ratio_of_sets(splits: "pd.DataFrame", runs: Sequence[tuple[int, int]], model: str) -> float:
    """Test over training participants, mean over the runs (repeat, fold) of a model."""
    ratios = {
        run: float((sides == "test").sum() / (sides == "train").sum()) for run, sides in splits.groupby(_RUN)["set"]
    }
    absent = [run for run in runs if run not in ratios]
    if absent:
        raise ConfigError(
            f"The features of model {model} have repeat {absent[0][0]}, fold {absent[0][1]}, which splits.tsv has not: "
            "they were made with other folds; run the training again"
        )
    return float(np.mean([ratios[run] for run in runs]))


def select_epochs(epochs: Sequence[int], window: Sequence[float]) -> list[int]:
    """Epochs in a window given as shares of their number: every epoch that it touches, at least one.

    Raises
    ------
    ConfigError
        If the window ends before it begins.
    """
    first, last = window
    if first > last:
        raise ConfigError(f"stats.window is [{first:g}, {last:g}]: the first share must not be larger than the second")
    ordered = sorted(set(epochs))
    start = min(math.floor(round(first * len(ordered), 9)), len(ordered) - 1)
    stop = max(math.ceil(round(last * len(ordered), 9)), start + 1)
    return ordered[start:stop]


def fold_shape(runs: Sequence[tuple[int, int]], model: str) -> tuple[int, int]:
    """Numbers of repeats and of folds, of runs (repeat, fold) that are all there."""
    repeats, folds = (sorted(set(numbers)) for numbers in zip(*runs, strict=True))
    absent = sorted({(repeat, fold) for repeat in repeats for fold in folds} - set(runs))
    if absent:
        raise ConfigError(
            f"The features of model {model} lack repeat {absent[0][0]}, fold {absent[0][1]}; the jackknife needs every "
            f"fold of a repeat. Delete features/{model}.tsv and run again"
        )
    return len(repeats), len(folds)


def _test(
    differences: Values,
    splits: "pd.DataFrame",
    runs: Sequence[tuple[int, int]],
    model: str,
    test: str,
    alpha: float,
) -> tuple[PairedTest, str]:
    """Do the test, and give the name of what was done."""
    ratio = ratio_of_sets(splits, runs, model)
    if test == "corrected-resampled-t":
        return corrected_resampled_t_test(differences, ratio, alpha), TESTS[test]
    n_repeats, n_folds = fold_shape(runs, model)
    by_repeat = differences.reshape(n_repeats, n_folds, -1)
    result = noise_corrected_jackknife_t_test(by_repeat, splits["participant_id"].nunique(), alpha)
    return result, TESTS[test] if n_repeats > 1 else PLAIN_JACKKNIFE


def _check_tables(features: "pd.DataFrame", levels: Sequence[str], names: Sequence[str], model: str) -> None:
    groups = features["group"].unique()
    for what, wanted, found in (("group", levels, groups), ("feature", names, features.columns)):
        absent = [name for name in wanted if name not in set(found)]
        if absent:
            raise ConfigError(
                f"The features of model {model} have no {what} {', '.join(map(repr, absent))}; they have "
                f"{', '.join(map(str, found))}. Delete features/{model}.tsv and run again"
            )


def _run_means(
    features: "pd.DataFrame", levels: Sequence[str], names: Sequence[str], window: Sequence[float]
) -> "tuple[pd.DataFrame, list[tuple[int, int]], Values, Values]":
    """Mean of each group over the epochs of the window in which both are defined.

    Returns
    -------
    DataFrame
        Layer, kind and feature of each test.
    list of (int, int)
        Repeat and fold of each run.
    array, array
        Means of the reference and of the comparison group, shape (run, test).
    """
    import pandas as pd

    inside = features[features["epoch"].isin(select_epochs(features["epoch"].tolist(), window))]
    layers = list(inside[_LAYER].drop_duplicates().itertuples(index=False, name=None))
    runs = sorted(inside[_RUN].drop_duplicates().itertuples(index=False, name=None))
    sides = [inside[inside["group"] == level].set_index([*_RUN, *_LAYER, "epoch"])[list(names)] for level in levels]
    sides[1] = sides[1].reindex(sides[0].index)
    both = sides[0].notna() & sides[1].notna()
    cells = pd.MultiIndex.from_tuples([(*run, *layer) for run in runs for layer in layers])
    reference, comparison = (
        side.where(both).groupby(level=[*_RUN, *_LAYER]).mean().reindex(cells).to_numpy().reshape(len(runs), -1)
        for side in sides
    )
    tests = pd.DataFrame([(*layer, name) for layer in layers for name in names], columns=[*_LAYER, "feature"])
    return tests, runs, reference, comparison


def _mask_untestable(differences: Values, reference: Values, comparison: Values) -> tuple[Values, list[str]]:
    """Set to NaN what cannot be tested, and say why (empty where it can)."""
    n_runs = len(differences)
    n_undefined = (~np.isfinite(differences)).sum(axis=0)
    level = np.maximum(np.abs(reference), np.abs(comparison)).max(axis=0)
    constant = np.ptp(differences, axis=0) <= _ROUNDING * level
    equal = np.abs(differences).max(axis=0) <= _ROUNDING * level

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
