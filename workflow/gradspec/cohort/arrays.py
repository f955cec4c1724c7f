"""Read a numeric array from a text, NumPy or MATLAB file, and say what is wrong with one that cannot be used."""

import re
from pathlib import Path

import numpy as np
from jaxtyping import Float

from gradspec.cohort.limits import require_memory
from gradspec.cohort.matlab import read_matlab
from gradspec.errors import ParticipantError

_SEPARATORS = {".1d": None, ".txt": None, ".tsv": "\t", ".csv": ","}
"""Text formats by suffix; None stands for any blanks."""

Array = Float[np.ndarray, "row column"]


def read_array(path: str | Path, participant: str, variable: str | None, key: str) -> tuple[Array, tuple[str, ...]]:
    """Read the two-dimensional array of a file.

    Parameters
    ----------
    path : path
        ``.1D`` or ``.txt`` (blanks, header lines begin with ``#``), ``.tsv`` or ``.csv`` (with a header or without; a
        first column with an empty header holds row labels and is skipped), ``.npy`` or ``.mat``.
    participant : str
        Whose file it is, for messages.
    variable : str or None
        Name of the array in a MATLAB file; None takes the only one.
    key : str
        Key of the config that sets `variable`, for messages.

    Returns
    -------
    values : ndarray of shape (row, column)
        A one-dimensional array becomes a row.
    names : tuple of str
        Names of the columns; empty where the file gives none.

    Raises
    ------
    ParticipantError
        If the file is missing, empty, of an unknown format, not numeric, or has more than two dimensions.
    """
    path = Path(path)
    suffix = path.suffix.lower()

    def fault(reason: str) -> ParticipantError:
        return ParticipantError(reason, participant=participant, file=path)

    if not path.is_file():
        raise fault("is missing; correct the path in the participants table, or take the row out")
    if path.stat().st_size == 0:
        raise fault("is empty; export it again")
    names: tuple[str, ...] = ()
    try:
        if suffix in _SEPARATORS:
            values, names = _read_text(path.read_text(encoding="utf-8-sig"), _SEPARATORS[suffix])
        elif suffix == ".npy":
            values = np.lib.format.open_memmap(path, mode="r")  # type: ignore[no-untyped-call] # no pickles, no more than is there
        elif suffix == ".mat":
            values = read_matlab(path, variable, key, fault)
        else:
            raise ValueError(f"the format {suffix!r} is not known; .1D, .txt, .tsv, .csv, .npy and .mat are")
    except ParticipantError:
        raise
    except Exception as error:  # parsers meet damaged bytes with errors of every kind
        raise fault(f"cannot be read: {error}") from error
    if values.dtype.kind not in "iufb":
        raise fault(f"holds values of type {values.dtype}; real numbers are expected")
    if values.ndim not in (1, 2):
        raise fault(f"holds an array of shape {values.shape}; two dimensions are expected")
    if values.size == 0:
        raise fault("holds no numbers; export it again")
    require_memory(values.shape, 8, fault)
    return np.atleast_2d(values).astype(np.float64), names


def _read_text(text: str, separator: str | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Parse a table of numbers whose first line may name the columns."""
    lines = [line for line in text.splitlines() if line.strip()]
    header = []
    while lines and lines[0].lstrip().startswith("#"):
        header = re.split(r"[\t, ]+", lines.pop(0).strip().lstrip("# "))
    if not lines:
        raise ValueError("it has no line of numbers")
    cells = [cell.strip().strip('"') for cell in lines[0].split(separator)]
    if not all(_is_number(cell) for cell in cells):
        header = cells
        lines = lines[1:]
    skip = 1 if header and header[0] == "" else 0
    names = tuple(name.strip("#") for name in header[skip:])
    columns = range(skip, len(header)) if skip else None
    try:
        values = np.loadtxt(lines, delimiter=separator, ndmin=2, usecols=columns, comments=None)
    except ValueError as error:
        raise ValueError(_culprit(lines, separator, skip) or str(error)) from error
    return values, names if len(names) == values.shape[1] else ()


def _culprit(lines: list[str], separator: str | None, skip: int) -> str | None:
    """Find the first row that is not numeric, or not as long as the others."""
    width = len(lines[0].split(separator))
    for number, line in enumerate(lines, start=1):
        cells = line.split(separator)
        if len(cells) != width:
            return f"row {number} of the numbers has {len(cells)} columns, the first has {width}"
        for column, cell in enumerate(cells[skip:], start=skip + 1):
            if not _is_number(cell):
                return f"row {number} of the numbers has {cell.strip()!r} in column {column}, which is not a number"
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
