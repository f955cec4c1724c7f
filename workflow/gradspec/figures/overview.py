"""The overview on the report's first page: main result and figure, who took part, methods, references, environment.

It is a piece of HTML that needs nothing else, opened alone or put into the report by its template
(``workflow/report/workflow.rst``). Names come from users: each is escaped.
"""

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from gradspec.cohort.listing import count_by_value
from gradspec.figures.findings import (
    rank_differences,
    tell_difference,
    tell_learning,
    tell_omnibus,
    tell_overfitting,
    tell_recovery,
)
from gradspec.files import PathLike, write_text
from gradspec.stats.runs import count_learners

_LISTED = 20

_PERMUTATIONS = (
    "Grey: permutations of the groups, under each of which the networks were trained again. Vermilion: the groups as "
    "they are. Dashed: what the corrected test finds in 80 % of studies like this one. Left: each network as a whole; "
    "right: its feature that ranks first. The table figures/permutations.tsv holds the numbers."
)

_REFERENCES = (
    "Baker BT, Calhoun VD, Plis SM (2024). Spectral introspection identifies group training dynamics in deep neural "
    "networks for neuroimaging. arXiv:2406.11825 (the idea; this is an independent reconstruction from its abstract).",
    "Roy O, Vetterli M (2007). The effective rank: a measure of effective dimensionality. EUSIPCO, 606–610.",
    "Rudelson M, Vershynin R (2007). Sampling from large matrices. Journal of the ACM 54(4), 21 (stable rank).",
    "Westfall PH, Young SS (1993). Resampling-based multiple testing. Wiley (many tests under the same permutations).",
    "Dudbridge F, Koeleman BPC (2004). Efficient computation of significance levels for multiple associations in large "
    "studies of correlated data. American Journal of Human Genetics 75, 424–435 (corrected p of few permutations).",
    "Meinshausen N (2008). Hierarchical testing of variable importance. Biometrika 95, 265–278 (layers last).",
    "Nadeau C, Bengio Y (2003). Inference for the generalization error. Machine Learning 52, 239–281 (runs that "
    "share participants).",
    "Benjamini Y, Hochberg Y (1995). Controlling the false discovery rate. Journal of the Royal Statistical Society B "
    "57, 289–300.",
    "Mölder F, et al. (2021). Sustainable data analysis with Snakemake. F1000Research 10, 33.",
)
_GROUP_ICA = (
    "Calhoun VD, Adali T, Pearlson GD, Pekar JJ (2001). A method for making group inferences from functional MRI data "
    "using independent component analysis. Human Brain Mapping 14, 140–151."
)


@dataclass(frozen=True)
class Flow:
    """How many participants came in, were left out, and remained.

    Attributes
    ----------
    found, analysed : dict of str to int
        Participants of each group, before and after.
    excluded : DataFrame
        ``participant_id``, ``group``, ``stage`` and ``reason``.
    by_value : DataFrame
        Rows of the participants table by value of the group column, as `gradspec.cohort.listing.count_by_value` gives
        them; empty for a cohort without a table.
    learned_from : (int, int)
        Smallest and largest number of participants that a training run learned from.
    """

    found: dict[str, int]
    analysed: dict[str, int]
    excluded: pd.DataFrame
    by_value: pd.DataFrame
    learned_from: tuple[int, int]


def count_flow(
    listed: pd.DataFrame,
    checked: pd.DataFrame,
    participants: pd.DataFrame,
    excluded: pd.DataFrame,
    splits: pd.DataFrame,
    levels: Sequence[str],
) -> Flow:
    """Count the participants at each stage.

    Parameters
    ----------
    listed : DataFrame
        Everybody of the participants table, as `gradspec.cohort.listing.list_participants` gives them.
    checked, participants, excluded : DataFrame
        Those that were found, those that were analysed, and those left out, of the stage ``cohort``.
    splits : DataFrame
        Who is in which set of each repeat and fold.
    levels : sequence of str
        The two groups, the reference first.
    """
    found, analysed = (
        {level: int((table["group"] == level).sum()) for level in levels} for table in (checked, participants)
    )
    other = int((~checked["group"].isin(list(levels))).sum())
    by_value = count_by_value(listed, set(participants["participant_id"]))
    of_no_group = {"of no group": other} if other else {}
    return Flow(found | of_no_group, analysed, excluded, by_value, count_learners(splits))


def tell_result(
    readings: pd.DataFrame,
    performance: pd.DataFrame,
    networks: Collection[str],
    levels: Sequence[str],
    alpha: float,
    omnibus: pd.DataFrame | None = None,
    curves: Mapping[str, pd.DataFrame] | None = None,
    window: str = "",
    recovery: pd.DataFrame | None = None,
) -> list[str]:
    """Say the main result in a few sentences with numbers; the omnibus test before single features.

    `curves` are the learning curves of each network, and `window` says over which epochs its spectra are taken;
    `recovery` is the comparison of a simulated cohort with the truth.
    """
    return [
        tell_learning(performance, networks, levels, alpha),
        *tell_overfitting(curves or {}, window),
        *([] if omnibus is None else [tell_omnibus(omnibus, alpha)]),
        tell_difference(rank_differences(readings, alpha), levels, alpha),
        *([] if recovery is None else [tell_recovery(recovery)]),
    ]


def write_overview(
    path: PathLike,
    *,
    result: Sequence[str],
    flow: Flow,
    picture: PathLike,
    permutations: PathLike | None = None,
    methods: str,
    environment: dict[str, Any],
) -> None:
    """Write the page.

    Parameters
    ----------
    path : path
        Where it goes.
    result : sequence of str
        What `tell_result` returns.
    flow : Flow
        Who took part.
    picture : path
        The main figure, a PNG image; it is put into the page.
    permutations : path, optional
        The picture of the permutation distributions, where networks were trained under permuted groups.
    methods : str
        Methods of the preprocessing, paragraphs apart by empty lines; empty where there was none.
    environment : dict
        What `gradspec.figures.environment.describe_environment` returns.
    """
    figure = _embed(picture, "Main figure. " + " ".join(result), _caption(flow))
    if permutations is not None:
        figure += _embed(permutations, "Permutation distributions.", _PERMUTATIONS)
    references = (*_REFERENCES, _GROUP_ICA) if methods else _REFERENCES
    sections = {
        "Main result": "".join(f"<p>{escape(sentence)}</p>" for sentence in result) + figure,
        "Who took part": _tell_flow(flow),
        "Methods of the preprocessing": "".join(
            f"<p>{escape(part)}</p>" for part in methods.split("\n\n") if part.strip()
        ),
        "References": "<ol>" + "".join(f"<li>{escape(reference)}</li>" for reference in references) + "</ol>",
        "Environment": _tell_environment(environment),
    }
    body = "\n".join(f"<section><h2>{title}</h2>\n{text}</section>" for title, text in sections.items() if text)
    page = files("gradspec.figures").joinpath("overview.html").read_text(encoding="utf-8")
    write_text(page.replace("{{ body }}", body), path)


def _embed(picture: PathLike, text: str, caption: str) -> str:
    """Put a picture into the page, with what a screen reader says of it and its caption as HTML."""
    encoded = base64.b64encode(Path(picture).read_bytes()).decode("ascii")
    return (
        f'<figure><img src="data:image/png;base64,{encoded}" alt="{escape(text, quote=True)}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _caption(flow: Flow) -> str:
    groups = " and ".join(f"{count} {escape(level)}" for level, count in flow.analysed.items())
    return (
        f"n = {groups}. Above: singular values of the layer whose test ranks first, over training. "
        "Below: the feature of that test, mean ± sd of the training runs; the surest differences of all networks "
        "with corrected intervals, filled where a difference was found; and how well the networks tell "
        "held-out participants apart. The table figures/main.tsv holds the numbers."
    )


def _tell_flow(flow: Flow) -> str:
    def box(title: str, counts: dict[str, int]) -> str:
        parts = ", ".join(f"{count} {escape(str(name))}" for name, count in counts.items() if count)
        return f"<li><strong>{sum(counts.values())} {title}</strong>" + (f" ({parts})" if parts else "") + "</li>"

    excluded = flow.excluded
    by_stage = {str(stage): int(count) for stage, count in excluded["stage"].value_counts(sort=False).items()}
    listed = "".join(
        f"<li>{escape(str(row['participant_id']))} ({escape(str(row['group']))}), at {escape(str(row['stage']))}: "
        f"{escape(str(row['reason']))}</li>"
        for row in excluded[:_LISTED].to_dict("records")
    )
    more = len(excluded) - _LISTED
    listed += f"<li>and {more} more, in selection/excluded.tsv</li>" if more > 0 else ""
    why = f"<details open><summary>Why they were left out</summary><ul>{listed}</ul></details>" if listed else ""
    low, high = flow.learned_from
    size = f"{low}" if low == high else f"{low} to {high}"
    return (
        f'{_tell_values(flow.by_value)}<ol class="flow">{box("found", flow.found)}{box("left out, by stage", by_stage)}'
        f"{box('analysed', flow.analysed)}<li><strong>{size} learned from in a training run</strong>, the others held "
        f"out or left out to make the groups equal</li></ol>{why}"
    )


def _tell_values(by_value: pd.DataFrame) -> str:
    """The rows of the participants table, by value of the group column."""
    if by_value.empty:
        return ""
    rows = "".join(
        f"<tr><td>{escape(str(row.value))}</td><td>{'none' if pd.isna(row.group) else escape(str(row.group))}</td>"
        f"<td>{row.n_rows}</td><td>{row.n_used}</td></tr>"
        for row in by_value.itertuples()
    )
    heads = ("Value of the group column", "Group", "Rows of the table", "Analysed")
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return f'<table class="values"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _tell_environment(environment: dict[str, Any]) -> str:
    git, packages = environment["git"]["workflow"], environment["packages"]
    devices = environment["cuda"]["devices"]
    facts = {
        "gradspec": environment["gradspec"],
        "commit": "not known" if git is None else f"{git['commit']}{' (with changes)' if git['dirty'] else ''}",
        "Python": environment["python"],
        "packages": ", ".join(f"{name} {version}" for name, version in packages.items() if version),
        "machine": f"{environment['platform']}, {environment['n_cpus']} × {environment['cpu']}",
        "CUDA": ", ".join(devices) or "none",
    }
    rows = "".join(
        f'<tr><th scope="row">{name}</th><td>{escape(str(value))}</td></tr>' for name, value in facts.items()
    )
    return f"<table>{rows}</table>"
