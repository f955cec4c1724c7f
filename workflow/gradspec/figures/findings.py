"""What was found, in sentences with numbers: of all tests the one to begin with, and how well the networks learned."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from gradspec.figures.style import layer_label, unit_of
from gradspec.spectra.table import FEATURE_COLUMNS
from gradspec.stats.plan import CONFIRMATORY
from gradspec.stats.power import POWER, detectable_z
from gradspec.stats.readings import ALIKE, FIRST_LOOK, SPREADS

_CHANCE = 0.5
_PERFECT = 0.995  # balanced accuracy that is written 1.0
_RISE = 0.05  # share by which the loss on others has risen above its least, where a network overfits
_RECOVERED = 0.5  # correlation of maps from which a simulated network counts as recovered
_NOTHING = "So few permutations could have found no difference, however large."
_KEYS = ["model", "layer", "kind", "feature"]


def rank_differences(differences: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Order the tests of spectra: found before not found, declared before explored, then by p, then by effect.

    Parameters
    ----------
    differences : DataFrame
        The table of readings. Tests that could not be done are left out.
    alpha : float
        Level of significance of the corrected p.

    Returns
    -------
    DataFrame
        The same columns and ``found``, the test to begin with first.
    """
    done = differences.dropna(subset=["p_corrected", "effect_size"])
    ranked = done.assign(
        found=done["p_corrected"] < alpha,
        explored=done["status"] != "confirmatory",
        smallness=-done["effect_size"].abs(),
    )
    order = ["found", "explored", "p_corrected", "p_value", "smallness"]
    ranked = ranked.sort_values(order, ascending=[False, True, True, True, True], kind="stable", ignore_index=True)
    return ranked.drop(columns=["explored", "smallness"])


def tell_learning(performance: pd.DataFrame, networks: Collection[str], levels: Sequence[str], alpha: float) -> str:
    """Say in one sentence how well the best network tells the groups apart, and how well the best baseline does.

    Parameters
    ----------
    performance : DataFrame
        The table of performance, networks and baselines.
    networks : collection of str
        Which of its models are networks.
    levels : sequence of str
        The two groups, the reference first.
    alpha : float
        1 − the coverage of the intervals.
    """
    areas = performance[(performance["metric"] == "roc_auc") & performance["estimate"].notna()]
    is_network = areas["model"].isin(list(networks))
    trained, baselines = (
        part.sort_values("estimate", ascending=False) for part in (areas[is_network], areas[~is_network])
    )
    if trained.empty:
        return "No network could be scored on held-out participants."
    best = trained.iloc[0]
    rank = f" best of {len(trained)} networks" if len(trained) > 1 else ""
    text = (
        f"On participants that it had not seen, {best['model']} told {levels[1]} from {levels[0]}{rank}, with an area "
        f"under the ROC curve of {_interval(best, alpha)}"
    )
    is_better = best["p_value"] < alpha and best["estimate"] > _CHANCE
    text += ", better than chance" if is_better else ", which has not been shown to be better than chance"
    if not baselines.empty:
        text += f"; the best baseline ({baselines.iloc[0]['model']}) reached {baselines.iloc[0]['estimate']:.2f}"
    return text + "."


def name_window(settings: Mapping[str, Any]) -> str:
    """Say over which epochs the test takes its spectra.

    Parameters
    ----------
    settings : mapping
        ``stats`` of a resolved configuration.
    """
    permutation = settings["permutation"]
    if permutation["retraining"]:
        return f"the first {100 * permutation['epochs']:.3g} % of the epochs (stats.permutation.epochs)"
    first, last = (f"{100 * share:.3g}" for share in settings["window"])
    return f"the epochs from {first} to {last} % of training (stats.window)"


def tell_overfitting(curves: Mapping[str, pd.DataFrame], window: str) -> list[str]:
    """Say of which networks training went on when they had learned by heart, and which epochs the test looks at.

    Parameters
    ----------
    curves : mapping of str to DataFrame
        For each network the table of its learning curves.
    window : str
        What `name_window` returns.

    Returns
    -------
    list of str
        One sentence, or none where no network overfits.
    """
    told = [text for model, curve in curves.items() if (text := _tell_overfitting(model, curve))]
    if not told:
        return []
    beforehand = f"The spectra are tested over {window}, as the configuration declared beforehand"
    return [f"Overfitting: {'; '.join(told)}. {beforehand}."]


def _tell_overfitting(model: str, curve: pd.DataFrame) -> str:
    """Say when a network made no more errors in training, and how its loss on others rose; nothing if it did not."""
    by = {key: rows.set_index("epoch")["mean"].dropna() for key, rows in curve.groupby(["set", "metric"])}
    nothing = pd.Series(dtype=float)
    accuracy, loss = by.get(("train", "balanced_accuracy"), nothing), by.get(("test", "loss"), nothing)
    if loss.empty or not loss.iloc[-1] > loss.min() * (1 + _RISE):
        return ""
    text = (
        f"the loss of {model} on participants that it had not seen rises from {loss.min():.2g} (epoch "
        f"{loss.idxmin():.0f}) to {loss.iloc[-1]:.2g} (epoch {loss.index[-1]:.0f}, the last)"
    )
    short = accuracy.index[accuracy < _PERFECT]
    perfect = accuracy.index[accuracy.index > (short.max() if len(short) else -1)]
    if len(perfect):
        text += f", while on those of its training it makes no error (accuracy 1.0) from epoch {perfect[0]:.0f}"
    return text


def tell_omnibus(omnibus: pd.DataFrame, alpha: float) -> str:
    """Say in one sentence in which networks the spectra differ as a whole, by training under permuted groups.

    Parameters
    ----------
    omnibus : DataFrame
        The table of tests of networks and layers.
    alpha : float
        Level of significance of the corrected p.
    """
    networks = omnibus[(omnibus["level"] == "network") & omnibus["p_corrected"].notna()]
    if networks.empty:
        return "No network could be tested as a whole."
    networks = networks.sort_values(["p_corrected", "z"], ascending=[True, False], kind="stable")
    found = networks[networks["p_corrected"] < alpha]
    first = networks.iloc[0]
    of_how_many = f"{len(found)} of {len(networks)} networks" if len(networks) > 1 else first["model"]
    lot = (
        f"{first['n_permutations']:.0f} permutations of the groups, under each of which the networks were trained again"
    )
    least = detectable_z(int(first["n_permutations"]), alpha / len(networks))
    could = _NOTHING
    if pd.notna(least):
        could = f"It finds z = {least:.1f} in {100 * POWER:g} % of studies, and misses smaller ones more often."
    if found.empty:
        nearest = f"{first['model']}, z = {first['z']:.1f}, {tell_p(first['p_corrected'])}"
        return (
            f"The main test asks of each network whether its spectra of the groups differ, against {lot}: it found "
            f"no difference (nearest: {nearest}), which does not show that they are alike. {could}"
        )
    told = ", ".join(
        f"{row['model']} (z = {row['z']:.1f}, {tell_p(row['p_corrected'])})" for _, row in found.iterrows()
    )
    text = f"The spectra of the groups differ in {of_how_many}, against {lot}: {told}"
    layers = omnibus[(omnibus["level"] == "layer") & (omnibus["p_corrected"] < alpha)]
    if not layers.empty:
        surest = layers.sort_values("p_value", kind="stable").iloc[0]
        text += f"; of single layers most surely in {layer_label(surest['layer'])} of {surest['model']}"
    return f"{text}. {could}"


def tell_difference(ranked: pd.DataFrame, levels: Sequence[str], alpha: float) -> str:
    """Say in one sentence in how many tests the spectra of the groups differ, and where most surely.

    Parameters
    ----------
    ranked : DataFrame
        What `rank_differences` returns.
    levels : sequence of str
        The two groups, the reference first.
    alpha : float
        Level of significance.
    """
    if ranked.empty:
        return "No group difference of the spectra could be tested."
    first, n_found = ranked.iloc[0], int(ranked["found"].sum())
    larger, smaller = (levels[1], levels[0]) if first["difference"] > 0 else (levels[0], levels[1])
    feature, layer = name_feature(first["feature"]), layer_label(first["layer"])
    where = f"the {feature} of the {first['kind']} of {layer} in {first['model']}"
    has_ends = pd.notna(first["effect_low"])
    interval = f" [{first['effect_low']:.2f}, {first['effect_high']:.2f}]" if has_ends else ""
    numbers = (
        f"{first['effect_size']:.2f} {first['effect_unit']}{interval}, "
        f"as groups whose means are {abs(first['people']):.2g} standard deviations between people apart; corrected "
        f"{tell_p(first['p_corrected'])}, {first['status']}, {first['n_runs']:.0f} training runs"
    )
    test = ", a cheap first look," if first["test"].startswith(FIRST_LOOK) else ""
    could = tell_detectable(first)
    if not n_found:
        return (
            f"In none of {len(ranked)} tests of single features{test} were the groups found to differ (corrected p < "
            f"{alpha:g}){_tell_alike(ranked)}. The nearest is of {where} ({numbers}). {could}"
        )
    size = percent_of_mean(first)
    return (
        f"In {n_found} of {len(ranked)} tests of single features{test} the groups differ "
        f"(corrected p < {alpha:g}); most surely {where} is larger in {larger} than in {smaller}, by "
        f"{abs(size['difference']):.3g} % of the mean of both ({numbers}). {could}"
    )


def tell_detectable(reading: Any) -> str:
    """Say in one sentence what the test of a feature could have found.

    Parameters
    ----------
    reading : mapping
        A row of the table of readings.
    """
    size, share = reading["detectable"], 100 * POWER
    if pd.isna(size):
        return _NOTHING
    level = (abs(reading["mean_reference"]) + abs(reading["mean_comparison"])) / 2
    percent = f", {100 * size / level:.3g} % of the mean of both" if level else ""
    unit = unit_of(FEATURE_COLUMNS[reading["feature"]]["Units"], reading["kind"])
    closed = reading["effect_unit"] == SPREADS and reading["status"] != CONFIRMATORY
    where = "Where its network is found to differ, this" if closed else "This"
    return (
        f"{where} test finds a difference of {size:.3g} ({unit}{percent}) in {share:g} % of studies like this one, and "
        "misses smaller ones more often."
    )


def _tell_alike(ranked: pd.DataFrame) -> str:
    """Say of how many tests without a difference the groups are known to be alike."""
    n_alike = int((ranked["reading"] == ALIKE).sum())
    if n_alike == 0:
        return ", which does not show that they are alike"
    undecided = f", and {len(ranked) - n_alike} are undecided" if n_alike < len(ranked) else ""
    return f": {n_alike} show them to be alike within the margin (stats.equivalence_margin){undecided}"


def tell_recovery(recovery: pd.DataFrame) -> str:
    """Say in one sentence how much of the truth of a simulated cohort the group ICA recovered.

    Parameters
    ----------
    recovery : DataFrame
        What `gradspec.figures.recovery.compare_with_truth` returns.
    """
    of = dict(tuple(recovery.groupby("measure")))
    maps, pairs = of["map"]["correlation"], of.get("connectivity difference", recovery[:0])
    text = (
        f"Group ICA recovered {int((maps >= _RECOVERED).sum())} of the {len(maps)} networks that were simulated (maps "
        f"that correlate by {_RECOVERED:g} or more with the truth; median of all {maps.fillna(0.0).median():.2f})"
    )
    r = pairs["true"].astype(float).corr(pairs["recovered"].astype(float)) if len(pairs) > 2 else float("nan")
    if pd.notna(r):
        text += f", and the group difference of their connectivity with r = {r:.2f} over {len(pairs)} pairs"
    return text + "."


def find_epochs(clusters: pd.DataFrame, test: Any, alpha: float) -> list[tuple[int, int]]:
    """First and last epoch of each stretch in which the groups differ in the feature of a test.

    Parameters
    ----------
    clusters : DataFrame
        The table of clusters of epochs.
    test : mapping
        ``model``, ``layer``, ``kind`` and ``feature``.
    alpha : float
        Level of significance of the corrected p.
    """
    rows = clusters[(clusters[_KEYS] == [test[key] for key in _KEYS]).all(axis=1) & (clusters["p_corrected"] < alpha)]
    return [(int(first), int(last)) for first, last in zip(rows["first_epoch"], rows["last_epoch"], strict=True)]


def percent_of_mean(test: Any) -> dict[str, float]:
    """Difference of a test and its interval, in percent of the mean of both groups."""
    level = (abs(test["mean_reference"]) + abs(test["mean_comparison"])) / 2
    return {name: 100 * test[name] / level if level else float("nan") for name in ("difference", "ci_low", "ci_high")}


def name_feature(feature: str) -> str:
    """Write the name of a feature in words."""
    return feature.replace("_", " ")


def tell_p(p_value: float) -> str:
    """Write a p value."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"


def _interval(row: Any, alpha: float) -> str:
    return f"{row['estimate']:.2f} ({100 * (1 - alpha):g} % interval {row['ci_low']:.2f} to {row['ci_high']:.2f})"
