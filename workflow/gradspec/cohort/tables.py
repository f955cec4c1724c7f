"""Tables of the people who are studied, read as text: the one reader of what users bring.

A ``.tsv`` of BIDS has no quoting (BIDS 1.10, "Tabular files"): a cell that opens with ``"`` is that character and what
follows, so a row is a line whatever its notes hold. A ``.csv`` may quote, but each row must be a line there too. What
is missing is told by one rule for all tables. Read when the workflow is planned, so nothing heavy is imported here.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradspec.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

NOT_AVAILABLE = "n/a"
"""How BIDS writes what is missing, and how it stands in every row that is read here."""

MISSING: Mapping[str, str] = {
    NOT_AVAILABLE: "BIDS",
    "": "blank",
    "NA": "R",
    "NaN": "R",
    **dict.fromkeys(
        ("#N/A", "#N/A N/A", "#NA", "-NaN", "-nan", "<NA>", "N/A", "NULL", "None", "nan", "null"), "pandas"
    ),
    **dict.fromkeys(("1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"), "pandas"),
    ".": "SAS and Stata",
    "#NULL!": "SPSS",
}
"""Spellings of what is missing in every table, and where each comes from."""

_MEANS_MISSING = re.compile(
    r"\W*(missing|n/?a\b|not (available|applicable|recorded|collected|assessed|acquired|measured)|no data)",
    re.IGNORECASE,
)
_MISSING_KEYS = ("missing", "missingvalue", "missingvalues")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_NAMES = ("participant_id", "session_id", "filename")
"""Columns that name, and never are missing: a code such as 99 may be somebody's id."""

_INDEX = re.compile(r"Unnamed: \d+(\.\d+)?|")
"""Header of a column of row numbers, as pandas and R write them."""


@dataclass(frozen=True)
class Missing:
    """Cells of a column that are taken as missing.

    Attributes
    ----------
    table, column, spelling : str
    rule : str
        Who spells it so.
    n_rows : int
    """

    table: str
    column: str
    spelling: str
    rule: str
    n_rows: int


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes
    ----------
    path : str
    columns : list of str
    rows : list of dict of str to str
        Cells without blanks around them; ``n/a`` where one is missing.
    lines : list of int
        Line of the file in which each row stands, counted from 1.
    missing : list of Missing
    sidecar : mapping
        What the JSON file beside it says of each column; empty where there is none.
    """

    path: str
    columns: list[str]
    rows: list[dict[str, str]]
    lines: list[int]
    missing: list[Missing] = field(default_factory=list)
    sidecar: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the file."""
        return Path(self.path).name

    def require(self, wanted: Mapping[str, Sequence[str]]) -> None:
        """Refuse a table that lacks columns.

        Parameters
        ----------
        wanted : mapping
            Columns by the key of the config that names them.

        Raises
        ------
        ConfigError
            Naming the first that is absent.
        """
        for key, names in wanted.items():
            if absent := [name for name in names if name not in self.columns]:
                raise ConfigError(
                    f"{self.path}: has no column {', '.join(map(repr, absent))}, named by {key}; its columns are "
                    f"{', '.join(self.columns)}. Add the column to the table, or name another one in the config"
                )

    def is_category(self, column: str) -> bool:
        """Say whether the sidecar lists the levels of a column."""
        about = self.sidecar.get(column)
        return isinstance(about, Mapping) and bool(about.get("Levels"))

    def to_frame(self) -> "pd.DataFrame":
        """Return the rows as a DataFrame of text, None where a cell is missing."""
        import pandas as pd

        frame = pd.DataFrame(self.rows, columns=self.columns, dtype=object)
        return frame.mask(frame == NOT_AVAILABLE, None)


def read_rows(
    path: str | Path,
    *,
    key: str | None = "participant_id",
    missing_values: Sequence[str | float] = (),
    keep: Mapping[str, Collection[str]] | None = None,
    sidecar: str | Path | None = None,
) -> Table:
    """Read a table that has a row a line.

    Parameters
    ----------
    path : path
        Tab-separated without quoting, or, with the suffix ``.csv``, separated by commas.
    key : str or None
        Column that must be there; beside it, columns of row numbers are left out.
    missing_values : sequence of str or number
        Further spellings of what is missing (``cohort.missing_values``); a number stands for all its spellings.
    keep : mapping, optional
        By column, values that are never missing, though they be spelt like it.
    sidecar : path, optional
        JSON file that describes the columns; by default the one beside the table.

    Returns
    -------
    Table

    Raises
    ------
    ConfigError
        If the file is missing, empty, not UTF-8, has rows of unequal length, a row that is no line, two columns of
        one name, or lacks the column `key`; or if its sidecar is no JSON object.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such table; name one that is tab-separated, a row a line")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not encoded in UTF-8 ({error}); save it as UTF-8 text") from error
    lines = re.split(r"\r\n|\r|\n", text)  # str.splitlines would also split at other characters, in the midst of notes
    split = _split_commas if path.suffix.lower() == ".csv" else _split_tabs
    numbered = [(number, cells) for number, cells in split(lines, path) if any(cells)]
    if not numbered:
        raise ConfigError(f"{path}: is empty; a header and rows are expected")
    (_, header), *body = numbered
    header, body = _without_blank_end(header, body)
    for number, cells in body:
        if len(cells) != len(header):
            row_names = "; R writes names of rows so, write it without (row.names = FALSE)"
            hint = row_names if len(cells) == len(header) + 1 else ""
            raise ConfigError(f"{path}, line {number}: has {len(cells)} cells, but the header has {len(header)}{hint}")
    columns = _require_columns(header, key, path)
    if not body:
        raise ConfigError(f"{path}: has a header only, and no rows")
    about = _read_sidecar(Path(sidecar) if sidecar else path.with_suffix(".json"))
    rows = [{name: cells[place] for name, place in columns.items()} for _, cells in body]
    rule = _Rule(missing_values, about, keep or {})
    missing = _mark_missing(rows, [name for name in columns if name not in _NAMES], str(path), rule)
    return Table(str(path), list(columns), rows, [number for number, _ in body], missing, about)


def is_number(text: str) -> bool:
    """Say whether a cell is a finite number as tables write it."""
    return _NUMBER.fullmatch(text) is not None


def same_value(cell: str, value: str) -> bool:
    """Compare a cell with a value of the config: text with text, and 1 with 1.0."""
    return cell == value or (is_number(cell) and is_number(value) and float(cell) == float(value))


def _split_tabs(lines: Sequence[str], path: Path) -> list[tuple[int, list[str]]]:
    """Split lines at tabs; where the whole header is in quotes (R's write.table), they are taken off all cells."""
    rows = [(number, [cell.strip() for cell in line.split("\t")]) for number, line in enumerate(lines, start=1)]
    header: list[str] = next((cells for _, cells in rows if any(cells)), [])
    if header and all(len(name) > 1 and name[0] == name[-1] == '"' for name in header):
        return [(number, [_unquote(cell) for cell in cells]) for number, cells in rows]
    return rows


def _unquote(cell: str) -> str:
    return cell[1:-1].strip() if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell


def _split_commas(lines: Sequence[str], path: Path) -> list[tuple[int, list[str]]]:
    """Split lines at commas outside quotes; a quote must end in the line in which it begins."""
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            (cells,) = list(csv.reader([line], strict=True)) or [[]]
        except csv.Error as error:
            raise ConfigError(
                f"{path}, line {number}: has a quote that does not end in the line ({error}), so that where the row "
                "ends is not known; take the quote or the line break out, or save the table tab-separated"
            ) from error
        rows.append((number, [cell.strip() for cell in cells]))
    return rows


def _without_blank_end(
    header: list[str], body: list[tuple[int, list[str]]]
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Take blank cells off the end of all rows, where the header too has none; spreadsheets leave such columns."""
    width = len(header)
    while width > 1 and not header[width - 1] and not any(any(cells[width - 1 :]) for _, cells in body):
        width -= 1
    cut = [(number, cells[:width] if not any(cells[width:]) else cells) for number, cells in body]
    return header[:width], cut


def _require_columns(header: Sequence[str], key: str | None, path: Path) -> dict[str, int]:
    """Return the place of each column by its name, columns of row numbers left out."""
    if key is not None and key not in header:
        hint = ""
        if near := [name for name in header if plain(name) == plain(key)]:
            hint = f" (rename {near[0]!r})"
        elif len(header) == 1:
            separator = next(
                (name for sign, name in {",": "commas", ";": "semicolons"}.items() if sign in header[0]), ""
            )
            hint = f" (is it separated by {separator}? tabs are expected)" if separator else ""
        raise ConfigError(f"{path}: has no column {key!r}{hint}; its columns are {', '.join(header)}")
    named = [(name, place) for place, name in enumerate(header) if key is None or not _INDEX.fullmatch(name)]
    if twice := [name for name, count in Counter(name for name, _ in named).items() if count > 1]:
        raise ConfigError(
            f"{path}: has {', '.join(map(repr, twice))} more than once in its header, and which column is meant cannot "
            "be known; rename or remove one"
        )
    return dict(named)


def plain(text: str) -> str:
    """Return a text without case, blanks and punctuation: what is alike is meant to be the same perhaps."""
    return re.sub(r"[\W_]+", "", text).casefold()


class _Rule:
    """Who says that a cell is missing: nobody (None), or the one whose spelling it is."""

    def __init__(
        self, further: Iterable[str | float], sidecar: Mapping[str, Any], keep: Mapping[str, Collection[str]]
    ) -> None:
        self._further = {str(value).strip(): "cohort.missing_values" for value in further}
        self._sidecar = sidecar
        self._keep = keep

    def of(self, column: str) -> "_ColumnRule":
        about = self._sidecar.get(column)
        coded = dict.fromkeys(_coded_missing(about), "sidecar") if isinstance(about, Mapping) else {}
        values = set(self._keep.get(column, ()))
        values |= set(_levels(about)) - coded.keys() if isinstance(about, Mapping) else set()
        known = {spelling: rule for spelling, rule in MISSING.items() if spelling not in values}
        return _ColumnRule({**known, **coded, **self._further})


@dataclass(frozen=True)
class _ColumnRule:
    spellings: Mapping[str, str]

    @cached_property
    def _numbers(self) -> dict[float, str]:
        return {float(text): rule for text, rule in self.spellings.items() if is_number(text)}

    def __call__(self, cell: str) -> str | None:
        if (rule := self.spellings.get(cell)) is not None:
            return rule
        return self._numbers.get(float(cell)) if self._numbers and is_number(cell) else None


def _mark_missing(rows: Sequence[dict[str, str]], columns: Sequence[str], path: str, rule: _Rule) -> list[Missing]:
    """Write ``n/a`` for what is missing, and count it."""
    found = []
    for column in columns:
        missing = rule.of(column)
        counts: Counter[tuple[str, str]] = Counter()
        for row in rows:
            if (who := missing(row[column])) is not None:
                counts[row[column], who] += 1
                row[column] = NOT_AVAILABLE
        found += [Missing(path, column, spelling, who, count) for (spelling, who), count in counts.items()]
    return found


def _levels(about: Mapping[str, Any]) -> dict[str, str]:
    """Levels of a column and what each means."""
    levels = about.get("Levels")
    if not isinstance(levels, Mapping):
        return {}
    return {
        str(value).strip(): str(meaning.get("Description", "") if isinstance(meaning, Mapping) else meaning)
        for value, meaning in levels.items()
    }


def _coded_missing(about: Mapping[str, Any]) -> list[str]:
    """Values that the sidecar of a table calls missing: by a key such as MissingValues, or by what a level means."""
    coded = [value for value, meaning in _levels(about).items() if _MEANS_MISSING.match(meaning)]
    for name, values in about.items():
        if plain(str(name)) in _MISSING_KEYS:
            coded += [str(value).strip() for value in (values if isinstance(values, list) else [values])]
    return coded


def _read_sidecar(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        about = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is not valid JSON ({error}); correct it") from error
    if not isinstance(about, dict):
        raise ConfigError(f"{path}: holds no JSON object; a description of each column by its name is expected")
    return about
