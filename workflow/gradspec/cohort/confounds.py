"""Tables of confounds as people have them: fMRIPrep's, the same saved again by other software, and motion files.

Nothing is made up here: a cell without value stays missing, and whoever uses the column decides what that means.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradspec.cohort.motion_files import motion_format, read_motion
from gradspec.errors import ParticipantError
from gradspec.files import read_json

if TYPE_CHECKING:
    import pandas as pd

MISSING = frozenset(
    ("", "n/a", "N/A", "NA", "NaN", "nan", "NAN", "-nan", "null", "NULL", "None", "<NA>", "#N/A", "#NA", ".")
)
"""How BIDS, pandas, R, numpy, spreadsheets and SAS write a value that is not there."""


def read_confounds(path: Path) -> "pd.DataFrame":
    """Read the confounds of a run.

    Parameters
    ----------
    path : Path
        A tab-separated table with names in its first line, or a motion file of AFNI, FSL, SPM or the HCP, told by its
        name (see `gradspec.cohort.motion_files`).

    Returns
    -------
    DataFrame
        A row a volume. Columns of numbers are float64 with NaN where a value is missing; one that holds anything else
        stays text.

    Raises
    ------
    ParticipantError
        If the file cannot be read, or is no such table.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ParticipantError(f"the confounds cannot be read ({error}); restore the file", file=path) from error
    form = motion_format(path.name)
    return _read_table(text, path) if form is None else read_motion(text, form, path)


def read_metadata(path: Path) -> Mapping[str, Any]:
    """Read the JSON sidecar of a table of confounds; empty if there is none.

    Raises
    ------
    ParticipantError
        If it is no JSON object.
    """
    sidecar = path.with_suffix(".json")
    if not sidecar.exists():
        return {}
    try:
        metadata = read_json(sidecar)
    except (OSError, ValueError, RecursionError) as error:
        raise ParticipantError(f"is not valid JSON ({error}); correct it", file=sidecar) from error
    if not isinstance(metadata, dict):
        raise ParticipantError("holds no JSON object; correct it", file=sidecar)
    return metadata


def _read_table(text: str, path: Path) -> "pd.DataFrame":
    import pandas as pd

    names, rows = _split(text, path)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ParticipantError(f"the confounds name the column {twice[0]!r} {names.count(twice[0])} times", file=path)
    cells = pd.DataFrame(rows, columns=names, dtype=object)
    return cells.apply(_to_numbers) if len(cells) else cells.astype(float)


def _split(text: str, path: Path) -> tuple[list[str], list[list[str]]]:
    """Part a table into names and rows of cells; tabs are all that parts them, and quotes around a cell say nothing."""

    def fault(reason: str) -> ParticipantError:
        return ParticipantError(f"is not a tab-separated table of confounds: {reason}", file=path)

    lines = text.rstrip("\r\n").splitlines()
    if not lines or not lines[0].strip():
        raise fault("its first line is empty, names of columns are expected")
    names, *rows = [[_unquote(cell) for cell in line.split("\t")] for line in lines]
    if len(names) == 1 and ("," in names[0] or ";" in names[0]):
        raise fault("its first line has no tab, but commas or semicolons; save it with tabs")
    if all(_is_number(name) for name in names):
        raise fault(f"its first line holds numbers ({', '.join(names[:3])}, …), names of columns are expected")
    widths = {len(row) for row in rows}
    if widths == {len(names) + 1}:  # R's names of rows have no name themselves, or every row ends with a tab
        if all(row[-1] == "" for row in rows):
            rows = [row[:-1] for row in rows]
        elif [row[0] for row in rows] == [str(number) for number in range(1, len(rows) + 1)]:
            rows = [row[1:] for row in rows]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(names):
            raise fault(f"row {number} has {len(row)} cells, but the first line names {len(names)} columns")
    return names, rows


def _unquote(cell: str) -> str:
    cell = cell.strip()
    return cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return cell not in MISSING


def _to_numbers(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Turn a column of text into numbers; one that holds anything else is left as it is."""
    import pandas as pd

    present = column.mask(column.isin(MISSING))
    numbers = pd.to_numeric(present, errors="coerce").astype(float)
    return numbers if (numbers.isna() == present.isna()).all() else present
