"""The summary in plain language: what was tested, on how many runs, and what was found."""

from collections.abc import Mapping, Sequence, Set
from html import escape
from typing import TYPE_CHECKING, Any

from gradspec.stats.covariates import ADJUSTED, GROUP, UNADJUSTED
from gradspec.stats.plan import CONFIRMATORY, Family
from gradspec.stats.readings import ALIKE, DIFFERENT, UNDECIDED

if TYPE_CHECKING:
    import pandas as pd

Sections = dict[str, list[str]]

STRONGEST = 5
CHANCE = 0.5


def summarise_tests(
    readings: "pd.DataFrame",
    equal_loss: "pd.DataFrame",
    clusters: "pd.DataFrame",
    performance: "pd.DataFrame",
    scores: "pd.DataFrame",
    *,
    families: Sequence[Family],
    levels: Sequence[str],
    alpha: float,
    margin: float,
    learned_from: tuple[int, int],
    permutations: "pd.DataFrame | None" = None,
    omnibus: "pd.DataFrame | None" = None,
) -> Sections:
    """Write the sentences of the summary.

    Parameters
    ----------
    readings, equal_loss, clusters, performance, scores : DataFrame
        Tables of the stage.
    families : sequence of Family
        The plan.
    levels : (str, str)
        Reference and comparison group.
    alpha : float
        Level of significance.
    margin : float
        Largest difference that counts as none, as a share of the mean of both groups.
    learned_from : (int, int)
        Smallest and largest number of participants that a training run learned from.
    permutations : DataFrame, optional
        Permutation tests, where there are any.
    omnibus : DataFrame, optional
        Tests of whole networks and layers, where networks were trained under permuted groups.

    Returns
    -------
    dict
        Sentences by heading.
    """
    declared = readings["status"] == CONFIRMATORY
    families = [family for family in families if not family.grouping]
    networks = set(readings["model"])
    sections = {"Did the networks learn?": _tell_performance(performance, networks, levels, alpha, learned_from)}
    if omnibus is not None:
        sections["Do the spectra of the groups differ?"] = tell_omnibus(omnibus, readings, alpha)
    look = "A cheap first look: " if omnibus is None else "Single features: "
    sections |= {
        f"{look}confirmatory tests": _tell_plan(readings[declared], families, levels, alpha, margin),
        f"{look}exploratory tests": _tell_exploration(readings[~declared], levels, alpha, margin),
        "Group or fit?": _tell_equal_loss(readings, equal_loss, alpha),
        "When in training": _tell_clusters(clusters, readings, alpha),
        "Group or covariates?": _tell_scores(scores, levels, alpha),
    }
    if permutations is not None and omnibus is not None:  # which has told of those by retraining
        permutations = permutations[permutations["by"] != "retraining"]
    if permutations is not None and not permutations.empty:
        sections["Groups among groups drawn by lot"] = _tell_permutations(permutations, alpha)
    return sections


def render_summary(sections: Mapping[str, Sequence[str]]) -> str:
    """Set the sections as a small page of HTML, a paragraph a sentence."""
    body = "".join(
        f"<h2>{escape(title)}</h2>\n" + "".join(f"<p>{escape(sentence)}</p>\n" for sentence in sentences)
        for title, sentences in sections.items()
    )
    style = (
        "body{font-family:sans-serif;max-width:48em;margin:2em auto;line-height:1.5;padding:0 1em}h2{font-size:1.1em}"
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Summary of the tests</title>'
        f"<style>{style}</style></head><body>\n<h1>Summary of the tests</h1>\n{body}</body></html>\n"
    )


def _tell_performance(
    performance: "pd.DataFrame", networks: Set[str], levels: Sequence[str], alpha: float, learned_from: tuple[int, int]
) -> list[str]:
    """Say how well each network tells the groups apart, and each baseline, which has no spectra."""
    sentences = []
    low, high = learned_from
    learners = f"{low}" if low == high else f"{low} to {high}"
    for _, row in performance[performance["metric"].isin(["roc_auc", "reconstruction_error"])].iterrows():
        trained = (
            f"{row['model']} was trained {row['n_runs']} times, each on {learners} of the participants, and scored on "
            f"{row['n_participants']} in all. It"
        )
        if row["metric"] == "reconstruction_error":
            error = _interval(row, "estimate", alpha)
            sentences.append(
                f"{trained} reconstructs what it has not seen with a mean squared error of {error}, where the mean of "
                "each time course has 1; it was not trained to tell groups apart."
            )
            continue
        text = (
            f"{trained} tells "
            f"{levels[1]} from {levels[0]} with an area under the ROC curve of {_interval(row, 'estimate', alpha)}"
        )
        if row["estimate"] != row["estimate"]:
            text = f"{row['model']} predicts NaN: it did not train"
        elif not (row["p_value"] < alpha and row["estimate"] > CHANCE):
            text += ". It has not been shown to be better than chance"
            text += ": its spectra say how it fits, not what differs" if row["model"] in networks else ""
        sentences.append(text + ".")
    return sentences


def _tell_plan(
    tests: "pd.DataFrame", families: Sequence[Family], levels: Sequence[str], alpha: float, margin: float
) -> list[str]:
    if not families:
        return ["No family of tests was declared beforehand (stats.plan), so that nothing here is confirmatory."]
    sentences = []
    for family in families:
        members = tests[tests["family"].str.startswith(f"{family.name}, ")]
        sentences.append(
            " ".join([f"{family.name}:", family.question, _count(members, alpha, margin)]).replace("  ", " ")
        )
        sentences += [_tell_difference(row, levels, alpha) for _, row in _found(members, alpha).iterrows()]
    return sentences


def _tell_exploration(tests: "pd.DataFrame", levels: Sequence[str], alpha: float, margin: float) -> list[str]:
    if tests.empty:
        return ["Every test was declared beforehand."]
    sentences = []
    for model, members in tests.groupby("model", sort=False):
        sentences.append(f"{model}: {_count(members, alpha, margin)}")
        strongest = _found(members, alpha)[:STRONGEST]
        sentences += [_tell_difference(row, levels, alpha) for _, row in strongest.iterrows()]
    return sentences


def _tell_equal_loss(readings: "pd.DataFrame", equal_loss: "pd.DataFrame", alpha: float) -> list[str]:
    """Say how many of the differences that were found remain where the loss of the groups is taken into account."""
    sentences = []
    key = ["layer", "kind", "feature"]
    for model, rows in equal_loss.groupby("model", sort=False):
        found, remaining = (
            set(_found(table, alpha)[key].itertuples(index=False, name=None))
            for table in (readings[readings["model"] == model], rows)
        )
        n_tested = int(rows["p_value"].notna().sum())
        text = f"{model}: no difference was found that a difference of loss could explain"
        if found:
            text = (
                f"{model}: of {len(found)} differences that were found, {len(found & remaining)} remain at equal loss "
                "of the groups"
            )
        sentences.append(f"{text}; a first look at equal loss finds {len(remaining)} in {n_tested} tests.")
    return sentences


def _tell_clusters(clusters: "pd.DataFrame", readings: "pd.DataFrame", alpha: float) -> list[str]:
    """Say when in training the features differ that were found to; when is not asked of the others."""
    sentences = []
    key = ["model", "layer", "kind", "feature"]
    different = readings.loc[readings["reading"] == DIFFERENT, key]
    for model in clusters["model"].unique():
        asked = clusters.merge(different[different["model"] == model], on=key)
        if asked.empty:
            sentences.append(f"{model}: no feature was found to differ, so that none is asked when.")
            continue
        found = asked[asked["p_corrected"] < alpha].sort_values("p_corrected", kind="stable")
        n_asked = int((different["model"] == model).sum())
        text = (
            f"{model}: of {n_asked} features that differ, a first look finds {_trajectories(found)} to do so in a "
            "stretch of epochs"
        )
        if not found.empty:
            row = found.iloc[0]
            text += (
                f", most surely {_name(row)} from epoch {row['first_epoch']:.0f} to {row['last_epoch']:.0f} "
                f"(corrected {_p(row['p_corrected'])})"
            )
        sentences.append(text + ".")
    return sentences


def tell_omnibus(omnibus: "pd.DataFrame", readings: "pd.DataFrame", alpha: float) -> list[str]:
    """Say of every network whether its spectra differ, in which layers, and in which single features.

    Parameters
    ----------
    omnibus : DataFrame
        Tests of networks and layers.
    readings : DataFrame
        Readings of single features, which are told of where the whole network differs.
    alpha : float
        Level of significance.
    """
    sentences = []
    for model, rows in omnibus.groupby("model", sort=False):
        network, layers = rows.iloc[0], rows.iloc[1:]
        if network["test"].startswith("not tested"):
            sentences.append(f"{model}: {network['test']}.")
            continue
        trained = f"{network['n_permutations']:.0f} trainings under permuted groups, {network['n_runs']:.0f} runs each"
        numbers = f"z = {network['z']:.1f}, {_p(network['p_corrected'])}; {trained}"
        if not network["p_corrected"] < alpha:
            sentences.append(
                f"{model}: the spectra of the groups, taken as a whole, were not found to differ ({numbers}), which "
                "does not show that they are alike."
            )
            continue
        text = f"{model}: the spectra of the groups differ ({numbers})"
        found = layers[layers["p_corrected"] < alpha].sort_values("p_value", kind="stable")
        if not found.empty:
            text += ", in " + ", ".join(f"{row['layer']} ({_p(row['p_corrected'])})" for _, row in found.iterrows())
        features = _found(readings[readings["model"] == model], alpha)[:STRONGEST]
        if not features.empty:
            text += "; of single features in " + ", ".join(
                f"{_name(row)} ({row['effect_size']:+.1f} {row['effect_unit']}, corrected {_p(row['p_corrected'])})"
                for _, row in features.iterrows()
            )
        sentences.append(text + ".")
    return sentences


def _tell_permutations(permutations: "pd.DataFrame", alpha: float) -> list[str]:
    """Say of every grouping how many tests exceed what lot makes of them."""
    sentences = []
    key = ["model", "grouping", "by", "reference", "comparison", "status"]
    for (model, grouping, by, reference, comparison, status), tests in permutations.groupby(key, sort=False):
        found = _found(tests, alpha)
        text = (
            f"{model}, {grouping} ({comparison} against {reference}, {status}): {len(found)} of "
            f"{int(tests['p_value'].notna().sum())} differences exceed what {int(tests['n_permutations'].iloc[0])} "
            f"permutations by {by} make of them (corrected p < {alpha:g})"
        )
        if not found.empty:
            row = found.iloc[0]
            text += f", most surely {_name(row)} (z = {row['z']:.1f}, corrected {_p(row['p_corrected'])})"
        sentences.append(text + ".")
    return sentences


def _tell_scores(scores: "pd.DataFrame", levels: Sequence[str], alpha: float) -> list[str]:
    sentences = []
    for model, rows in scores[scores["term"] == GROUP].groupby("model", sort=False):
        by_adjustment = {row["adjustment"]: row for _, row in rows.iterrows()}
        plain, adjusted = by_adjustment[UNADJUSTED], by_adjustment.get(ADJUSTED)
        text = f"{model}: the scores of {levels[1]} and {levels[0]} {_tell_score(plain, alpha)}"
        if adjusted is None:
            text += "; no covariates were named (cohort.covariates)"
        else:
            text += f"; with the covariates they {_tell_score(adjusted, alpha)}"
        sentences.append(f"{text} ({plain['n_participants']} participants).")
    return sentences


def _tell_score(row: Any, alpha: float) -> str:
    if row["test"].startswith("not tested"):
        return f"were {row['test']}"
    verb = "differ" if row["p_corrected"] < alpha else "have not been shown to differ"
    effect = f"g = {row['effect_size']:.2f} [{row['effect_low']:.2f}, {row['effect_high']:.2f}]"
    return f"{verb} ({effect}, corrected {_p(row['p_corrected'])})"


def _count(tests: "pd.DataFrame", alpha: float, margin: float) -> str:
    """Say how many tests were done on how many runs, and how many found a difference, or that there is none."""
    n_tested, n_runs = int(tests["p_value"].notna().sum()), int(tests["n_runs"].max())
    n_found = len(_found(tests, alpha))
    n_alike = int((tests["reading"] == ALIKE).sum())
    text = (
        f"{n_tested} of {len(tests)} tests could be done, on {n_runs} training runs each; {n_found} found a difference "
        f"(corrected p < {alpha:g}, {', '.join(tests['correction'].unique())}), and {n_alike} showed the groups to be "
        f"alike within {100 * margin:g} % of their mean."
    )
    undecided = int((tests["reading"] == UNDECIDED).sum())
    return text + (f" {undecided} are undecided: they show neither." if undecided else "")


def _found(tests: "pd.DataFrame", alpha: float) -> "pd.DataFrame":
    """Tests that found a difference, the surest first."""
    return tests[tests["p_corrected"] < alpha].sort_values("p_corrected", kind="stable")


def _tell_difference(row: Any, levels: Sequence[str], alpha: float) -> str:
    larger, smaller = (levels[1], levels[0]) if row["difference"] > 0 else (levels[0], levels[1])
    level = (abs(row["mean_reference"]) + abs(row["mean_comparison"])) / 2
    ends = sorted(abs(100 * row[end] / level) for end in ("ci_low", "ci_high"))
    return (
        f"{row['model']}: {_name(row)} is larger in {larger} than in {smaller}, by "
        f"{abs(100 * row['difference'] / level):.3g} % of the mean of both (corrected {100 * (1 - alpha):g} % "
        f"interval {ends[0]:.3g} to {ends[1]:.3g} %; {row['test']}, corrected {_p(row['p_corrected'])}, "
        f"{row['n_runs']} runs)."
    )


def _name(row: Any) -> str:
    return f"the {row['feature'].replace('_', ' ')} of the {row['kind']} of {row['layer']}"


def _trajectories(clusters: "pd.DataFrame") -> int:
    return len(clusters[["layer", "kind", "feature"]].drop_duplicates())


def _interval(row: Any, name: str, alpha: float) -> str:
    return f"{row[name]:.2f} ({100 * (1 - alpha):g} % interval {row['ci_low']:.2f} to {row['ci_high']:.2f})"


def _p(p_value: float) -> str:
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"
