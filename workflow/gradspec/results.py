"""A folder of results in Python: its tables in pandas, its spectra in xarray, and its configuration.

``with gradspec.open_results("results") as results:`` and then ``results.tables["stats/group_differences"]``,
``results.spectra["mlp"]``, ``results.config``. Nothing is read before it is asked for, and nothing is ever written.
"""

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from gradspec.errors import ConfigError
from gradspec.files import PathLike, read_json
from gradspec.spectra.file import open_spectra

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_Value = TypeVar("_Value")

_NOT_RESULTS = {"bids", "logs", "benchmarks"}
"""Folders whose tables are input, or tell of jobs."""

_TEXT = {
    *("participant_id", "group", "reference", "comparison", "session", "task", "run", "site", "grouping"),
    *("model", "layer", "kind", "feature", "component", "label", "name", "stage", "reason", "note"),
}
"""Columns of names, which stay text even if every name is a number."""

_NUMBER = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?([eE][+-]?\d+)?|inf|nan)")
"""Not 0051, which is a name."""

_RUN = re.compile(r"repeat-(\d+)_fold-(\d+)")


def open_results(path: PathLike) -> "Results":
    """Open a folder of results, which may be unfinished, or copied from elsewhere.

    Parameters
    ----------
    path : path
        The folder that ``results:`` in the configuration names.

    Returns
    -------
    Results
        To be closed by the caller, best in a ``with`` block.

    Raises
    ------
    ConfigError
        If there is no such folder, or it holds no results.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise ConfigError(f"{folder}: there is no such folder; give the one that `results:` in the configuration names")
    if not any((folder / name).exists() for name in ("config.json", "cohort", "training", "spectra")):
        raise ConfigError(
            f"{folder}: has none of config.json, cohort/, training/ and spectra/, so it is no folder of results; give "
            "the one that `results:` in the configuration names"
        )
    return Results(folder)


class Results:
    """What `open_results` returns.

    Attributes
    ----------
    path : Path
        The folder.
    tables : mapping of str to DataFrame
        Every table by its path without ``.tsv``, as in ``stats/group_differences``; the last part will do where only
        one has that name. Columns of names are text, ``n/a`` is missing, and ``table.attrs["columns"]`` is the sidecar:
        descriptions, units and levels.
    spectra : mapping of str to DataTree
        Merged spectra of each network, dimensions (run_index, step, group, index); values are read when they are used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: dict[Path, xr.DataTree] = {}
        self.tables: Mapping[str, pd.DataFrame] = _Lazy(f"{path}: table", self._find_tables, self._read_table)
        self.spectra: Mapping[str, xr.DataTree] = _Lazy(
            f"{path}: spectra of a network",
            self._find_spectra,
            lambda name: self._tree(path / "spectra" / f"{name}.nc"),
        )

    @property
    def config(self) -> dict[str, Any]:
        """The complete configuration, which a run writes at its end."""
        file = self.path / "config.json"
        try:
            config: dict[str, Any] = read_json(file)
            config["training"]["models"]  # what is not ours lacks it
        except FileNotFoundError:
            raise ConfigError(f"{file}: is not there; a run writes it at its end, so finish it") from None
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{file}: not a configuration of gradspec ({error!r})") from error
        return config

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the networks; of those with results where the run has not ended."""
        if (self.path / "config.json").is_file():
            return tuple(self.config["training"]["models"])
        trained = {run.parent.name for run in self.path.glob("training/*/repeat-*_fold-*")}
        return tuple(sorted(trained | {file.stem for file in self.path.glob("spectra/*.nc")}))

    def runs(self, model: str) -> list[tuple[int, int]]:
        """List the runs of a network that have spectra, as (repeat, fold).

        Raises
        ------
        ConfigError
            If there is no such network.
        """
        if model not in self.models:
            raise ConfigError(f"{self.path}: no network {model!r}; there are {', '.join(self.models)}")
        folders = (self.path / "training" / model).glob("repeat-*_fold-*/spectra.nc")
        found = [match for file in folders if (match := _RUN.fullmatch(file.parent.name))]
        return sorted((int(match[1]), int(match[2])) for match in found)

    def run(self, model: str, repeat: int, fold: int) -> "xr.DataTree":
        """Open the spectra of one run, dimensions (step, group, index); closed with these results.

        Raises
        ------
        ConfigError
            If there is no such network, or the run has no spectra.
        """
        if (repeat, fold) not in (runs := self.runs(model)):
            said = ", ".join(f"({one}, {other})" for one, other in runs) or "none"
            raise ConfigError(
                f"{self.path}: {model} has no run of repeat {repeat}, fold {fold}; (repeat, fold) with spectra: {said}"
            )
        return self._tree(self.path / "training" / model / f"repeat-{repeat}_fold-{fold}" / "spectra.nc")

    def close(self) -> None:
        """Close every file of spectra; what is asked for later is opened again."""
        while self._open:
            self._open.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        folders: dict[str, list[str]] = {}
        for name in sorted(self.tables, key=lambda name: name.count("/")):
            folder, _, rest = name.partition("/")
            folders.setdefault(folder, []).append(rest)
        lines = [f"<gradspec results in {self.path}>", f"models: {', '.join(self.models)}"]
        lines += [f"spectra: {', '.join(self.spectra) or 'none yet'}", "tables:" if folders else "tables: none yet"]
        lines += [
            f"  {folder}/ {', '.join(names[:6])}{f' and {len(names) - 6} more' if len(names) > 6 else ''}"
            for folder, names in sorted(folders.items())
        ]
        return "\n".join(lines)

    def _tree(self, file: Path) -> "xr.DataTree":
        if file not in self._open:
            self._open[file] = open_spectra(file)
        return self._open[file]

    def _find_spectra(self) -> list[str]:
        return [model for model in self.models if (self.path / "spectra" / f"{model}.nc").is_file()]

    def _find_tables(self) -> list[str]:
        places = (file.relative_to(self.path) for file in self.path.rglob("*.tsv"))
        return sorted(
            place.with_suffix("").as_posix()
            for place in places
            if place.parts[0] not in _NOT_RESULTS and not any(part.startswith(".") for part in place.parts)
        )

    def _read_table(self, name: str) -> "pd.DataFrame":
        return _read_table(self.path / f"{name}.tsv")


class _Lazy(Mapping[str, _Value], Generic[_Value]):
    """A mapping whose names are looked up, and whose values are read, when they are asked for."""

    def __init__(self, what: str, find: Callable[[], Sequence[str]], read: Callable[[str], _Value]) -> None:
        self._what, self._find, self._read = what, find, read

    def __getitem__(self, name: str) -> _Value:
        names = self._find()
        if name in names:
            return self._read(name)
        alike = [each for each in names if each.rpartition("/")[2] == name]
        if len(alike) == 1:
            return self._read(alike[0])
        if alike:
            raise ConfigError(f"{self._what} {name!r} is any of {', '.join(alike[:6])}; write which")
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or names[:12]
        said = (
            f"there are {', '.join(near)}{', …' if len(near) < len(names) else ''}" if names else "there are none yet"
        )
        raise ConfigError(f"{self._what} {name!r} is not there; {said}")

    def __contains__(self, name: object) -> bool:
        names = self._find()
        return name in names or [each.rpartition("/")[2] for each in names].count(str(name)) == 1

    def __iter__(self) -> Iterator[str]:
        return iter(self._find())

    def __len__(self) -> int:
        return len(self._find())

    def __repr__(self) -> str:
        return "\n".join(self) or "none yet"

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)


def _read_table(path: Path) -> "pd.DataFrame":
    """Read a table as text, then every column that is not of names and holds nothing but numbers as such."""
    import pandas as pd

    sidecar = path.with_suffix(".json")
    try:
        columns = read_json(sidecar) if sidecar.is_file() else {}
        table = pd.read_csv(path, sep="\t", dtype=str, na_values=["n/a"], keep_default_na=False, encoding="utf-8-sig")
    except (json.JSONDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the table or its sidecar cannot be read ({error})") from error
    for name in table.columns:
        described = columns.get(name, {}) if isinstance(columns, dict) else {}
        if name not in _TEXT and "Levels" not in described:
            table[name] = _as_numbers(table[name])
    table.attrs["columns"] = columns
    return table


def _as_numbers(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return whole numbers, numbers or truth values where all values are that, and text otherwise."""
    values = column.dropna()
    if values.isin(["True", "False"]).all() and len(values):
        truth = column.map({"True": True, "False": False})
        return truth.astype("boolean" if column.hasnans else bool)
    if not all(_NUMBER.fullmatch(value) for value in values):
        return column
    whole = len(values) == len(column) and all(re.fullmatch(r"[+-]?\d{1,18}", value) for value in values)
    return column.astype(int if whole and len(column) else float)
