"""Pages of quality control: one a participant with the pictures, and the table of the group.

Plain HTML that a browser opens from the disk; every value is escaped.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from gradspec.cohort.runs import BoldRun
from gradspec.preprocess.quality import QUALITY_COLUMNS, find_flags

PAGE = "report.html"
"""Name of the page of a participant, in the participant's folder."""

PICTURES = {
    "beforeafter_T1w": "The T1w image before and after normalisation, below the outlines of the template.",
    "registration_T1w": "The normalised T1w image: its mask, and the template's brain and grey matter.",
    "coreg_bold": "The BOLD reference before and after coregistration, below the outlines of the T1w image.",
    "epinorm_bold": "The BOLD reference before and after its own normalisation, below the outlines of the template.",
    "registration_bold": "The mean BOLD image in template space: its mask, and the template's brain and grey matter.",
    "rois_bold": "The masks that the signals of ventricles and white matter, and aCompCor, were taken from.",
    "carpetplot_bold": "Framewise displacement, standardised DVARS, and the signal of the voxels over time.",
    "confoundcorr_bold": "Correlations of the confounds, and how strongly each goes with the global signal.",
    "tsnr_bold": "Temporal signal-to-noise ratio.",
}
"""What each picture shows, by the end of its file name, in the order of the page."""

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 82rem; padding: 0 1rem; color: #222; }}
.wide {{ overflow-x: auto; }}
.wide th:first-child, .wide td:first-child {{ position: sticky; left: 0; background: #fff; }}
.wide th {{ vertical-align: bottom; }}
.wide th, .wide td {{ padding: 0.3rem 0.4rem; }}
.wide td:last-child {{ min-width: 16rem; overflow-wrap: anywhere; }}
table {{ border-collapse: collapse; margin: 1rem 0; font-size: 0.9em; }}
th, td {{ border-bottom: 1px solid #ddd; padding: 0.3rem 0.6rem; text-align: right; }}
th:first-child, td:first-child, td.text {{ text-align: left; }}
th button {{ all: unset; cursor: pointer; font-weight: 600; }}
th button:focus-visible {{ outline: 2px solid #1f4e79; }}
th[aria-sort=ascending] button::after {{ content: " \\25B2"; }}
th[aria-sort=descending] button::after {{ content: " \\25BC"; }}
.beyond {{ background: #fde0dd; color: #8b1a10; font-weight: 600; }}
.excluded td:first-child {{ text-decoration: line-through; }}
figure {{ margin: 1.5rem 0; }}
figure img {{ max-width: 100%; }}
figcaption {{ color: #555; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""

_SORT = """\
<script>
document.querySelectorAll("th button").forEach((button) => button.addEventListener("click", () => {
  const head = button.closest("th"), body = head.closest("table").tBodies[0];
  const column = head.cellIndex, down = head.getAttribute("aria-sort") === "ascending";
  head.parentNode.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const value = (row) => row.cells[column].dataset.value;
  const order = (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === "" || y === "") return (x === "") - (y === "");
    const numbers = !isNaN(x) && !isNaN(y);
    return (numbers ? x - y : x.localeCompare(y)) * (down ? -1 : 1);
  };
  body.append(...[...body.rows].sort(order));
}));
</script>"""

_WITHOUT_T1W = (
    "<p>No T1w image was used: the BOLD reference itself was registered to the template, in the contrast of a BOLD "
    "image, by an affine transform. This is less exact, which the overlap of the masks does not show: look at the "
    "reference before and after normalisation.</p>"
)


def render_participant(
    participant: str,
    runs: Sequence[BoldRun],
    pictures: Iterable[str],
    limits: Mapping[str, float | None],
    methods: Sequence[str],
) -> str:
    """Make the page of a participant.

    Parameters
    ----------
    participant : str
        For example ``sub-01``.
    runs : sequence of BoldRun
        The preprocessed runs.
    pictures : iterable of str
        Paths of the pictures, relative to the page.
    limits : mapping
        The section ``preprocess.quality`` of the configuration.
    methods : sequence of str
        Paragraphs.

    Returns
    -------
    str
        HTML.
    """
    keys = ("session", "task", "run")
    names = [" ".join(f"{key} {run.entities[key]}" for key in keys if key in run.entities) for run in runs]
    flags = [find_flags(run.quality, limits) for run in runs]
    rows = [
        f"<tr><td>{escape(_description(column))}</td>"
        + "".join(_cell(run.quality[column], column in flag) for run, flag in zip(runs, flags, strict=True))
        + "</tr>"
        for column in QUALITY_COLUMNS
        if any(column in run.quality for run in runs)
    ]
    head = "".join(f"<th>{escape(name) or 'value'}</th>" for name in names)
    faults = [
        f"<li>{escape(f'{name}: {text}' if name else text)}</li>"
        for name, flag in zip(names, flags, strict=True)
        for text in flag.values()
    ]
    shown = sorted(pictures, key=lambda path: (list(PICTURES).index(_kind(path)), path))
    anatomical = [path for path in shown if _kind(path).endswith("T1w")]
    alone = [name for name, run in zip(names, runs, strict=True) if run.normalized == "BOLD"]
    parts = [
        f"<h1>{escape(participant)}</h1>",
        _WITHOUT_T1W if alone else "",
        f"<p>Beyond the limits of the configuration:</p><ul>{''.join(faults)}</ul>" if faults else "",
        f"<table><thead><tr><th>Quality</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>",
        *map(_figure, anatomical),
        *map(_figure, (path for path in shown if path not in anatomical)),
        _methods(methods),
    ]
    return _PAGE.format(title=escape(participant), body="\n".join(filter(None, parts)))


def render_group(
    table: pd.DataFrame,
    limits: Mapping[str, float | None],
    pages: Mapping[str, str],
    methods: Sequence[str],
) -> str:
    """Make the page of the group: a table that is sorted by a click on the name of a column.

    Parameters
    ----------
    table : DataFrame
        What `gradspec.selection.quality.tabulate_quality` returns.
    limits : mapping
        The section ``preprocess.quality`` of the configuration.
    pages : mapping
        Path of the page of each participant who has one, relative to this page.
    methods : sequence of str
        Paragraphs.

    Returns
    -------
    str
        HTML.
    """
    columns = [name for name in table if not table[name].isna().all()]
    heads = [
        f'<th scope="col" title="{escape(_description(name))}"><button type="button">{_breakable(name)}</button></th>'
        for name in columns
    ]
    rows = []
    for row in table.to_dict("records"):
        flags = find_flags(row, limits)
        cells = [
            _cell(row[name], name in flags, link=pages.get(row[name]) if name == "participant_id" else None)
            for name in columns
        ]
        excluded = ' class="excluded"' if row["exclude"] == "true" else ""
        rows.append(f"<tr{excluded}>{''.join(cells)}</tr>")
    n_out = table.loc[table["exclude"] == "true", "participant_id"].nunique()
    body = [
        "<h1>Quality of the images</h1>",
        f"<p>{table['participant_id'].nunique()} participants, {n_out} of them excluded (struck out; the last column "
        "says why). A number on red is beyond a limit of the configuration. Click on a name to sort.</p>",
        '<div class="wide" tabindex="0" role="region" aria-label="Quality of each run">'
        f"<table><thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>",
        _methods(methods),
        _SORT,
    ]
    return _PAGE.format(title="Quality of the images", body="\n".join(filter(None, body)))


def _cell(value: Any, beyond: bool, link: str | None = None) -> str:
    missing = value is None or value != value
    text = "" if missing else f"{value:.4g}" if isinstance(value, float) else str(value)
    classes = " ".join([*(["beyond"] if beyond else []), *(["text"] if isinstance(value, str) else [])])
    shown = escape(text) if link is None else f'<a href="{escape(link)}">{escape(text)}</a>'
    raw = "" if missing else escape(str(value))
    return f'<td data-value="{raw}"{f" class={chr(34)}{classes}{chr(34)}" if classes else ""}>{shown}</td>'


def _breakable(name: str) -> str:
    """A name that a browser may break after an underscore, so that columns are no wider than their numbers need."""
    return escape(name).replace("_", "_<wbr>")


def _description(column: str) -> str:
    known = QUALITY_COLUMNS.get(column)
    if known is None:
        return column
    return f"{known['Description']} ({known['Units']})" if "Units" in known else known["Description"]


def _kind(path: str) -> str:
    """End of the name of a picture, such as ``tsnr_bold``."""
    return path.rpartition("desc-")[2].removesuffix(".png")


def _figure(path: str) -> str:
    caption = escape(PICTURES[_kind(path)])
    name = escape(path.rpartition("/")[2])
    return (
        f'<figure><img src="{escape(path)}" alt="{caption}" loading="lazy">'
        f"<figcaption>{caption} <small>{name}</small></figcaption></figure>"
    )


def _methods(paragraphs: Sequence[str]) -> str:
    if not paragraphs:
        return ""
    return "<h2>Methods</h2>\n" + "\n".join(f"<p>{escape(text)}</p>" for text in paragraphs)
