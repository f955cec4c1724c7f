"""The page of the look: what is decided first, then who, then what would be trained. Names come from users: escaped."""

import shlex
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any

import pandas as pd

from gradspec.cohort.listing import count_by_value
from gradspec.cohort.tables import NOT_AVAILABLE, is_number
from gradspec.files import PathLike, write_text
from gradspec.look.design import Design
from gradspec.look.people import MEASURED, USED, Look, covariate_column

_LONG = ("why", "files", "note", "size")
_CODES = 5  # as many different numbers may stand for categories
_MOST = 2000  # rows that a browser shows without effort; the table has all


def write_page(look: Look, design: Design, path: PathLike, *, levels: Sequence[str], config_file: str) -> None:
    """Write the page.

    Parameters
    ----------
    look, design : Look, Design
        What was seen, and what would be trained.
    path : path
        Where it goes.
    levels : sequence of str
        The two groups, the reference first.
    config_file : str
        Path of the configuration, for the command to run.
    """
    sections = {
        "": _verdict(look, levels),
        "What is worth knowing of the tables": _list(look.remarks),
        "By value of the group column": _by_value(look),
        "Those who would be used": _by_group(look, levels),
        "What would be trained": _tell_design(design),
        "Everybody": _everybody(look),
        "To run": "" if look.obstacle else _tell_command(config_file),
    }
    body = "\n".join(
        f"<section>{f'<h2>{title}</h2>' if title else ''}\n{text}</section>" for title, text in sections.items() if text
    )
    template = files("gradspec.look").joinpath("page.html").read_text(encoding="utf-8")
    write_text(template.replace("{{ body }}", body), path)


def _verdict(look: Look, levels: Sequence[str]) -> str:
    used = look.used["group"].value_counts()
    groups = " and ".join(f"{used.get(level, 0)} {level}" for level in levels)
    said = (
        f'<p class="verdict">{len(look.used)} of {len(look.people)} participants would be used: {escape(groups)}. '
        "Images were looked at by their headers only; the run itself reads them to the last byte.</p>"
    )
    if look.obstacle:
        said += f'<p class="verdict stops">The run would stop: {escape(look.obstacle)}</p>'
    return said


def _by_value(look: Look) -> str:
    if look.people["value"].isna().all():
        return ""
    counts = count_by_value(look.people, set(look.used["participant_id"]))
    return _table(
        ["Value", "Group", "Rows", "Used"],
        [[row.value, _cell(row.group, "none"), row.n_rows, row.n_used] for row in counts.itertuples()],
    )


def _by_group(look: Look, levels: Sequence[str]) -> str:
    by_level = {level: look.used[look.used["group"] == level] for level in levels}
    rows: list[list[Any]] = [["participants", *map(len, by_level.values())]]
    for name in look.covariates:
        rows.append([name, *(_summarise(people[covariate_column(name)]) for people in by_level.values())])
    lengths, times = (
        [_different(people[name]) for people in by_level.values()] for name in ("n_volumes", "repetition_time")
    )
    sizes = ["; ".join(dict.fromkeys(people["size"].dropna())) for people in by_level.values()]
    for title, cells in (("volumes", lengths), ("repetition time (s)", times), ("size", sizes)):
        if any(cells):
            rows.append([title, *(_shorten(cell) for cell in cells)])
    return _table(["", *levels], rows)


def _different(cells: pd.Series) -> str:
    """Values that differ, of cells that hold one for each run."""
    return ", ".join(dict.fromkeys(value for cell in cells.dropna() for value in cell.split(", ")))


def _summarise(cells: pd.Series) -> str:
    """Mean and spread of numbers, or the counts of few values, and how many are missing."""
    given = [str(cell) for cell in cells if not pd.isna(cell) and cell != NOT_AVAILABLE]
    missing = [f"{len(cells) - len(given)} missing"] if len(given) < len(cells) else []
    if set(given) == {MEASURED}:
        said = [MEASURED]
    elif given and all(is_number(cell) for cell in given) and len(set(given)) > _CODES:
        numbers = pd.Series(given, dtype=float)
        said = [f"{numbers.mean():.4g} ± {numbers.std():.3g} ({numbers.min():g} to {numbers.max():g})"]
    else:  # categories, or codes of them
        counts = pd.Series(given, dtype=object).value_counts()
        said = [_shorten(", ".join(f"{name}: {count}" for name, count in counts.items()))] if given else []
    return "; ".join([*said, *missing])


def _tell_design(design: Design) -> str:
    said = [
        f"{_count(design.n_networks, 'network')}, {design.n_folds} folds × {_count(design.n_repeats, 'repeat')}: "
        f"{design.n_trainings} trainings on the groups as they are, each on about {design.n_training} participants; a "
        f"test set holds at least {_count(design.fewest_in_fold, 'participant')} of each group.",
    ]
    if design.n_permuted:
        said.append(f"{design.n_permuted} trainings on permuted groups, each for a share of the epochs.")
    if design.seconds is None:
        said.append(
            "How long that takes is known once a first fold of each network has been trained, and then said here."
        )
    else:
        said.append(
            f"By what these results have measured so far, all trainings take {design.seconds / 3600:.2g} core hours."
        )
    said.append("What difference of the spectra could be found: gradspec design, or python -m gradspec.stats.design.")
    return _list(said)


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def _everybody(look: Look) -> str:
    table = look.people.dropna(axis="columns", how="all")
    table = table.assign(order=table["used"] == USED).sort_values("order", kind="stable").drop(columns="order")
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    body = "".join(
        f"<tr{'' if row['used'] == USED else ' class=out'}>"
        + "".join(
            f"<td{' class=long' if name in _LONG else ''}>{escape(_cell(cell))}</td>" for name, cell in row.items()
        )
        + "</tr>"
        for row in table.head(_MOST).to_dict("records")
    )
    more = f"<p>and {len(table) - _MOST} more, in check.tsv</p>" if len(table) > _MOST else ""
    table_of_all = f'<table id="everybody"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="scroll">{table_of_all}</div>{more}'


def _tell_command(config_file: str) -> str:
    quoted = escape(shlex.quote(config_file))
    in_clone = "" if " " in config_file else f"<code>make run CONFIG={quoted}</code> in the clone, "
    return (
        f"<p>If this is right:</p><pre>snakemake --cores all --configfile {quoted}</pre>"
        f"<p>or {in_clone}<code>gradspec run {quoted}</code> where the package is installed.</p>"
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(_cell(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _list(items: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>" if items else ""


def _cell(value: Any, missing: str = "") -> str:
    if value is None or value != value:  # NaN is not itself
        return missing
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _shorten(text: str, most: int = 200) -> str:
    return text if len(text) <= most else text[: most - 1].rsplit(",", 1)[0] + ", …"
