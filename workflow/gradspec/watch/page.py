"""The page of a run, written anew with every line of standard input: ``python -m gradspec.watch.page RESULTS``.

`gradspec.watch.run` starts it and writes the lines. Names come from users: escaped.
"""

import json
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from gradspec.files import PathLike, read_json, read_table, write_text
from gradspec.watch.spectra import FinishedFolds
from gradspec.watch.tally import describe, say_seconds

PAGE = "progress.html"
_REFRESH = '<meta http-equiv="refresh" content="10">'
_NEXT = (
    ("figures/overview.html", "what was found, in figures"),
    ("report.html", "the report of everything"),
    ("check.html", "the look at the cohort"),
)


def write_page(results: PathLike, state: dict[str, Any], folds: FinishedFolds, clock: str) -> None:
    """Write the page.

    Parameters
    ----------
    results : path
        Folder of results.
    state : dict
        A line of `gradspec.watch.run`; its ``outcome`` is None while the run goes on, else done, failed or stopped.
    folds : FinishedFolds
        Spectra to show.
    clock : str
        Date and time to show.
    """
    sections = {
        "": _verdict(state, clock),
        "Stages": _stages(state["stages"]),
        "At work": _running(state["running"]) if state["outcome"] is None else "",
        "Excluded": _excluded(Path(results)),
        "Largest singular value, mean of the folds that have finished": folds.draw(),
        "Pages": _links(Path(results)),
    }
    body = "\n".join(
        f"<section>{f'<h2>{title}</h2>' if title else ''}\n{text}</section>" for title, text in sections.items() if text
    )
    template = files("gradspec.watch").joinpath("page.html").read_text(encoding="utf-8")
    refresh = _REFRESH if state["outcome"] is None else ""
    write_text(template.replace("<!-- refresh -->", refresh).replace("{{ body }}", body), Path(results) / PAGE)


def _verdict(state: dict[str, Any], clock: str) -> str:
    line = describe(state["stages"], state["seconds_left"] if state["outcome"] is None else None)
    ended = {
        None: "",
        "done": "Finished: ",
        "failed": "Ended with an error, which the terminal names: ",
        "stopped": "Stopped from outside: ",
    }[state["outcome"]]
    stops = " stops" if state["outcome"] in ("failed", "stopped") else ""
    return (
        f'<p class="verdict{stops}">{ended}{escape(line)}.</p>\n'
        f"<p>Written {escape(clock)}, {say_seconds(state['seconds'])} after the start.</p>"
    )


def _stages(stages: list[dict[str, Any]]) -> str:
    rows = []
    for stage in stages:
        states = [stage[name] for name in ("done", "running", "failed", "waiting")]
        name = escape(stage["stage"])
        bar = f'<progress max="{sum(states)}" value="{stage["done"]}" aria-label="{name}"></progress>'
        rows.append([name, bar, *states])
    return f'<div class="stages">{_table(["Stage", "", "Done", "Running", "Failed", "Waiting"], rows)}</div>'


def _running(running: list[dict[str, Any]]) -> str:
    rows = [[escape(each["rule"]), each["jobs"], say_seconds(each["seconds"])] for each in running]
    return _table(["Rule", "Jobs", "For"], rows) if rows else ""


def _excluded(results: Path) -> str:
    """Who is left out, by the last stage that has decided; each only where it can be read."""
    out: dict[str, tuple[str, str]] = {}
    with suppress(Exception):
        checked = read_table(results / "cohort" / "checked.tsv")
        for row in checked[checked["status"] == "excluded"].itertuples():
            out[row.participant_id] = ("cohort", row.reason)
    for path in sorted((results / "preprocess").glob("**/status/*.json")):
        with suppress(Exception):
            if (status := read_json(path))["reason"]:
                out.setdefault(status["participant_id"], (status["stage"], status["reason"]))
    with suppress(Exception):
        for row in read_table(results / "selection" / "excluded.tsv").itertuples():
            out[row.participant_id] = (row.stage, row.reason)
    rows = [[escape(str(cell)) for cell in (who, *why)] for who, why in out.items()]
    return _table(["Participant", "Stage", "Why"], rows) if rows else ""


def _links(results: Path) -> str:
    there = [f'<p><a href="{name}">{name}</a>: {what}</p>' for name, what in _NEXT if (results / name).is_file()]
    return "\n".join(there)


def _table(titles: list[str], rows: list[list[Any]]) -> str:
    """Write a table of cells that are escaped already; numbers are set to the right."""
    head = "".join(f"<th scope='col'>{title}</th>" for title in titles)
    body = "".join(
        "<tr>" + "".join(f"<td{' class=number' if isinstance(cell, int) else ''}>{cell}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def follow(results: PathLike, lines: Iterable[str]) -> None:
    """Write the page with each line, and once more where the lines end and no outcome was told."""
    folds, state = FinishedFolds(results), None
    for line in lines:
        state = json.loads(line)
        folds.look()
        with suppress(OSError):  # a full disk; the next line may find room
            write_page(results, state, folds, time.strftime("%Y-%m-%d %H:%M:%S"))
    if state is not None and state["outcome"] is None:
        write_page(results, state | {"outcome": "stopped"}, folds, time.strftime("%Y-%m-%d %H:%M:%S"))


if __name__ == "__main__":
    follow(sys.argv[1], sys.stdin)
