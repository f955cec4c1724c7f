"""Parse a text table of numbers: what separates the cells, which line names the columns, which columns are labels.

Names may be numbers (`pandas` writes 0, 1, 2 …, the atlas AAL has 2001, 2101 …), and then only how they are written
tells them from a volume. Where that leaves two readings the table is refused, with the line and the key that decides.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

MISSING = frozenset(
    {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"}
    | {"<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"}
)
"""Spellings of a missing value; those that pandas knows."""

_ROW_LABELS = frozenset({"", "node", "file", "sub-brick", "region", "roi", "label", "name", "names", "index"})
_MARKED = re.compile(r"(#\S+[\s,]+)+#\S+")  # a comment each of whose cells is marked as a name
_INTEGER = re.compile(r"[+-]?\d+(\.0*)?")
_SAMPLE = 4  # lines beside which the first is looked at
_SAMPLE_CELLS = 40  # of each
_LONG_CELL = 12  # characters; loadtxt is the faster parser of shorter cells, pandas of longer ones
_SHORT, _LONG = 4, 7  # digits of a number that may be a name, and of the numbers that it is unlike then
_FAR = 8.0  # robust standard deviations from the rest of its column


@dataclass(frozen=True)
class TextTable:
    """A table of numbers.

    Attributes
    ----------
    values : ndarray of shape (row, column)
        NaN where a cell says that its value is missing.
    columns, rows : tuple of str
        Names of the columns and labels of the rows; empty where there are none.
    notes : tuple of str
        Which columns are labels, not numbers.
    """

    values: Float[np.ndarray, "row column"]
    columns: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def parse_table(content: bytes, *, blanks: bool, header: str | bool = "auto", key: str = "header") -> TextTable:
    """Parse a table of numbers.

    Parameters
    ----------
    content : bytes
        UTF-8. Lines that begin with ``#`` are comments, of which the last above the numbers may name the columns.
    blanks : bool
        Whether any blanks separate the cells, where no comma or semicolon does; else tabs do.
    header : {"auto", True, False}
        Whether the first line names the columns.
    key : str
        Key of the config that sets `header`, for messages.

    Returns
    -------
    TextTable

    Raises
    ------
    ValueError
        If the table is not rectangular, holds what is no number, or has a first line that may be names or numbers.
    """
    body = content.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    comment = ""
    while body.lstrip().startswith(b"#"):
        line, _, body = body.lstrip().partition(b"\n")
        if not _MARKED.fullmatch(comment):
            comment = line.decode().strip()
    comment = comment.lstrip("# ")
    if b"#" in body:  # AFNI closes its tables with a comment
        body = b"\n".join(line for line in body.split(b"\n") if not line.startswith(b"#"))
    head = _first_lines(body)
    if not head:
        raise ValueError("it has no line of numbers")
    separator = _separator(head[min(1, len(head) - 1)], blanks)
    names: list[str] = []
    if header is True or (header == "auto" and _names_columns(head, separator, bool(comment), key)):
        names, comment = _split(head[0], separator), ""
        body = body.lstrip(b"\n").partition(b"\n")[2]
        head = _first_lines(body)
        if not head:
            raise ValueError("it has no line of numbers")
    elif comment:
        names = _split(comment, _separator(comment, blanks))
    if separator and all(line.rstrip(" ").endswith(separator) for line in head):
        body = _without_last_separator(body, separator, names)
    values, labels = _parse(body, separator)
    return _name(values, labels, names, from_comment=bool(comment))


def _first_lines(body: bytes) -> list[str]:
    """Give the first lines, the empty ones left out."""
    return _lines(b"\n".join(body.split(b"\n", _SAMPLE + 4)[: _SAMPLE + 4]))


def _lines(body: bytes) -> list[str]:
    return [line for line in body.decode().split("\n") if line and not line.isspace()]


def is_number(text: str) -> bool:
    """Say whether a cell holds a number (or says that it is missing)."""
    if text in MISSING:
        return True
    if "_" in text:  # Python takes 1_000 for a number
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_run(numbers: Float[np.ndarray, " number"]) -> bool:
    """Say whether numbers are 0, 1, 2 and so on, or 1, 2, 3."""
    return bool(numbers[0] in (0, 1) and np.all(np.diff(numbers) == 1))


def _separator(line: str, blanks: bool) -> str | None:
    """Find what separates the cells; None stands for any blanks."""
    has_empty_cells = "\t\t" in line.strip() or line.endswith("\t")
    if blanks and not has_empty_cells and not re.search("[;,]", line):
        return None
    if found := next((separator for separator in "\t;," if separator in line), None):
        return found
    return None if blanks or re.search(r"\S\s+\S", line) else "\t"


def _without_last_separator(body: bytes, separator: str, names: list[str]) -> bytes:
    """Take off a separator that ends every line, unless a column of its own is named there."""
    lines = _lines(body)
    if not all(line.rstrip(" ").endswith(separator) for line in lines):
        return body
    if names and names[-1] and len(names) == len(_split(lines[0], separator)):
        return body  # a last column without values
    if names and not names[-1]:
        names.pop()
    return "\n".join(line.rstrip(" ")[:-1] for line in lines).encode()


def _split(line: str, separator: str | None) -> list[str]:
    if '"' in line and separator:
        cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True))
    else:
        cells = line.split(separator)
    return [cell.strip().strip("\"'") for cell in cells]


def _names_columns(lines: Sequence[str], separator: str | None, commented: bool, key: str) -> bool:
    """Say whether the first line names the columns; `ValueError` where it may or may not."""
    first = _split(lines[0], separator)
    if len(lines) == 1:
        return not any(map(is_number, first))
    sample = [_split(line, separator) for line in lines[1 : 1 + _SAMPLE]]
    n_labels = next((at for at, cell in enumerate(sample[0]) if is_number(cell)), 0)
    rest = first[n_labels:] if len(first) == len(sample[0]) else first
    if not all(map(is_number, rest)):
        return True
    if commented or not rest:
        return False
    if n_labels and first[n_labels - 1].lower() in _ROW_LABELS:
        return True
    if not n_labels and first[0] == "" and sample[0][0] != "":
        return True  # the corner of a table with row labels
    kind = _kind_of_first(rest, [cells[n_labels:] for cells in sample])
    if kind == "unclear":
        raise ValueError(
            f"its first line may name the columns or hold numbers: {lines[0][:60]!r}"
            f"{'…' if len(lines[0]) > 60 else ''}; say which it is with {key}: true (names) or false (numbers)"
        )
    return kind == "names"


def _kind_of_first(first: Sequence[str], sample: Sequence[Sequence[str]]) -> str:
    """Say whether a line of numbers holds ``names``, ``numbers`` or is ``unclear``, by how it is written."""
    others = [cell for cells in sample for cell in cells[:_SAMPLE_CELLS] if cell not in MISSING]
    if not others or any(cell in MISSING for cell in first):
        return "numbers"
    if all(_INTEGER.fullmatch(cell) for cell in first):
        return _kind_of_integers(first, sample, others)
    digits, usual = (
        np.median([len(re.sub(r"\D", "", cell)) for cell in cells[:_SAMPLE_CELLS]]) for cells in (first, others)
    )
    return "unclear" if len(set(first)) == len(first) > 1 and digits <= _SHORT and usual >= _LONG else "numbers"


def _kind_of_integers(first: Sequence[str], sample: Sequence[Sequence[str]], others: Sequence[str]) -> str:
    numbers = np.array(first, dtype=float)
    if np.all(numbers == numbers[0]):
        return "numbers" if numbers[0] == 0 or len(numbers) == 1 else "unclear"
    share = np.mean([_INTEGER.fullmatch(cell) is not None for cell in others])
    if share < 0.5:
        sure = len(numbers) > 2 and len(set(first)) == len(first) and numbers.min() >= 0
        return "names" if sure else "unclear"
    rows = [np.array(cells, dtype=float) for cells in sample if all(map(_INTEGER.fullmatch, cells))]
    rows = [row for row in rows if row.shape == numbers.shape]
    if is_run(numbers) and len(numbers) > 3 and not any(np.array_equal(row, numbers) for row in rows):
        return "names" if len(sample) > 1 else "unclear"
    if len(rows) < 2:
        return "numbers"
    centre = np.median(rows, axis=0)
    spread = 1.4826 * np.median(np.abs(np.array(rows) - centre), axis=0)
    return "unclear" if np.median(np.abs(numbers - centre) / (spread + 1)) > _FAR else "numbers"


def _parse(body: bytes, separator: str | None) -> tuple[Float[np.ndarray, "row column"], list[list[str]]]:
    """Return the numbers and the columns of labels before them."""
    line = _first_lines(body)[0]
    decimal = "," if separator == ";" and "." not in line else "."
    first = [cell.replace(decimal, ".") for cell in _split(line, separator)]
    n_labels = next((at for at, cell in enumerate(first) if is_number(cell)), len(first))
    if n_labels == len(first):
        hint = "; numbers need a decimal point" if re.search(r"\d,\d", line) and separator != "," else ""
        raise ValueError((_culprit(_lines(body), separator, 0) or "it has no column of numbers") + hint)
    labels: list[list[str]] = []
    if n_labels:
        labels, body = _split_labels(body, separator, n_labels)
        separator = "\t"
    if len(line) < _LONG_CELL * len(first) and decimal == ".":
        try:
            return np.loadtxt(io.BytesIO(body), delimiter=separator, ndmin=2, comments=None), labels
        except ValueError:
            pass  # missing values, or a fault that is found below
    return _parse_by_pandas(body, separator, decimal, n_labels), labels


def _split_labels(body: bytes, separator: str | None, n_labels: int) -> tuple[list[list[str]], bytes]:
    """Part the columns of labels from the numbers, which are separated by tabs then."""
    labels: list[list[str]] = [[] for _ in range(n_labels)]
    numbers = []
    for line in _lines(body):
        quoted = '"' in line
        cells = _split(line, separator) if quoted else line.split(separator, n_labels)
        for at, column in enumerate(labels):
            column.append(cells[at].strip() if at < len(cells) else "")
        rest = cells[n_labels:]
        numbers.append("\t".join(rest if quoted or separator == "\t" else rest[0].split(separator) if rest else []))
    return labels, "\n".join(numbers).encode()


def _parse_by_pandas(
    body: bytes, separator: str | None, decimal: str, n_labels: int
) -> Float[np.ndarray, "row column"]:
    import pandas as pd

    options = {"header": None, "decimal": decimal, "dtype": np.float64, "low_memory": False}
    try:
        table = pd.read_csv(io.BytesIO(body), sep=separator or r"\s+", skip_blank_lines=n_labels == 0, **options)
    except ValueError as error:  # of the parser, too
        raise ValueError(_culprit(_lines(body), separator, n_labels) or str(error)) from error
    values: np.ndarray = table.to_numpy()
    if b'"' in body and len(values) != (n_lines := len(_lines(body))):
        raise ValueError(
            f"it has {n_lines} rows, of which {len(values)} can be told apart; a quotation mark is not closed"
        )
    if np.isnan(values[:, -1]).any():  # short rows are filled with missing values
        lines = _lines(body)
        if len({len(_split(line, separator)) for line in lines}) > 1:
            raise ValueError(_culprit(lines, separator, n_labels))
    return values


def _culprit(lines: Sequence[str], separator: str | None, n_labels: int) -> str | None:
    """Find the first row that is not numeric, or not as long as the others."""
    width = len(_split(lines[0], separator))
    for number, line in enumerate(lines, start=1):
        cells = _split(line, separator)
        if len(cells) != width:
            return f"row {number} of the numbers has {len(cells)} columns, the first has {width}"
        for column, cell in enumerate(cells, start=n_labels + 1):
            number_like = cell.replace(",", ".") if separator == ";" else cell
            if not is_number(number_like):
                return f"row {number} of the numbers has {cell!r} in column {column}, which is not a number"
    return None


def _name(
    values: Float[np.ndarray, "row column"], labels: list[list[str]], names: list[str], from_comment: bool
) -> TextTable:
    """Give columns their names, and take out those that label the rows."""
    width = len(labels) + values.shape[1]
    if names and len(names) == width - 1 and not labels and not from_comment:  # R does not name its row labels
        if not is_run(values[:, 0]):
            raise ValueError(f"its first line has {width - 1} names, but the rows have {width} columns")
        labels, values = [[f"{number:g}" for number in values[:, 0]]], values[:, 1:]
        names = ["", *names]
    elif names and len(names) == width - 1 and labels:
        names = ["", *names]
    elif len(names) == width and not labels and names[0] == "":
        labels, values = [[f"{number:g}" for number in values[:, 0]]], values[:, 1:]
    if names and len(names) != width:
        if not from_comment:
            raise ValueError(f"its first line has {len(names)} names, but the rows have {width} columns")
        names = []
    notes = [f"column {names[at] or at + 1!r} left out: it labels the rows" for at in range(len(labels)) if names]
    notes += [f"column {at + 1} left out: it labels the rows" for at in range(len(labels)) if not names]
    rows = next((tuple(each) for each in reversed(labels) if len(set(each)) == len(each)), ())
    return TextTable(values, tuple(name.strip("#") for name in names[len(labels) :]), rows, tuple(notes))
