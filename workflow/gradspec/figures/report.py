"""The last touch to Snakemake's report: words for those who do not see it, room on a narrow screen, and no network.

Snakemake writes the report as one page that draws itself. Its pictures have no alternative texts, its buttons no names,
and on a telephone its menu covers the page. ``python -m gradspec.figures.report report.html`` adds a short script that
amends this and a policy that forbids the page all network; where a later Snakemake builds pages otherwise, it says so.
"""

import sys
from importlib.resources import files
from pathlib import Path

from gradspec.errors import ConfigError
from gradspec.files import PathLike, write_text

TITLE = "gradspec: how networks learn from two groups"

# Snakemake's own scripts (Tailwind, Vega) make styles and functions as they go; nothing is fetched from anywhere.
_POLICY = (
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline' "
    "'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; frame-src data: blob:; font-src data:\">"
    '<link rel="icon" href="data:,">'
)


def finish_report(path: PathLike) -> None:
    """Amend the report in place.

    Parameters
    ----------
    path : path
        What ``snakemake --report`` wrote.

    Raises
    ------
    ConfigError
        If it is not a page of that kind.
    """
    text = Path(path).read_text(encoding="utf-8")
    title, end = "<title>Snakemake Report</title>", "</body>"
    if text.count(title) != 1 or end not in text:
        raise ConfigError(
            f"{path}: not a report as Snakemake 9 writes it; make it with `snakemake --report` of the version in "
            "requirements.lock"
        )
    script = files("gradspec.figures").joinpath("report.js").read_text(encoding="utf-8")
    text = text.replace(title, f"{_POLICY}<title>{TITLE}</title>")
    before, _, after = text.rpartition(end)
    write_text(f"{before}<script>\n{script}</script>\n{end}{after}", path)


if __name__ == "__main__":
    finish_report(sys.argv[1])
