"""Files that are there whole or not at all, tables with their sidecars, and names that are safe.

Everything is written to a temporary name beside its destination and moved into place.
"""

import csv
import glob
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradspec.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

PathLike = str | os.PathLike[str]

_TEXT = ("participant_id", "group", "reference", "comparison", "session", "task", "run")
_LABEL = re.compile(r"[A-Za-z0-9]+")


@contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """Give a temporary path with the suffixes of `path`; move it into place if the block succeeds.

    Parameters
    ----------
    path : path
        Where the file (or folder) shall be in the end. Missing parent folders are made.

    Yields
    ------
    Path
        A name in a fresh hidden folder beside `path`; the block writes a file or makes a folder there.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=_partial_prefix(target), dir=target.parent))
    try:
        partial = folder / target.name
        yield partial
        if partial.is_dir() and target.is_dir():
            shutil.rmtree(target)
        partial.replace(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_partial(path: PathLike) -> None:
    """Remove what writers that were killed without warning left; none may be at work.

    Parameters
    ----------
    path : path
        A file or folder. What its own writers left beside it goes, and what others left below it.
    """
    target = Path(path)
    beside = target.parent.glob(f"{glob.escape(_partial_prefix(target))}*")
    for left in sorted([*beside, *target.rglob(".partial-*")]):
        shutil.rmtree(left, ignore_errors=True)


@contextmanager
def scratch_folder(target: PathLike) -> Iterator[Path]:
    """Give a fresh folder for what is needed while `target` is made, and remove it at the end.

    It lies in the system's folder for temporary files (TMPDIR). Its name is known by `target`: what a job that was
    killed without warning left there is removed by the next that makes the same file on the same machine.

    Parameters
    ----------
    target : path
        What is made; only one process may be making it.

    Yields
    ------
    Path
    """
    path = Path(target).absolute()
    prefix = f"gradspec-{path.name}-{hashlib.sha256(str(path).encode()).hexdigest()[:12]}-"
    for left in Path(tempfile.gettempdir()).glob(f"{glob.escape(prefix)}*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _partial_prefix(target: Path) -> str:
    return f".partial-{target.name}-"


def write_json(data: Any, path: PathLike) -> None:
    """Write `data` as indented JSON; NaN is refused, since JSON has none."""
    write_text(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n", path)


def write_text(text: str, path: PathLike) -> None:
    """Write `text` in UTF-8."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def read_json(path: PathLike) -> Any:
    """Read a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_table(table: "pd.DataFrame", path: PathLike, columns: Mapping[str, str | Mapping[str, Any]]) -> None:
    """Write a tab-separated table and the JSON sidecar that describes its columns, in the manner of BIDS.

    Nothing is quoted, as BIDS wants it: tabs and line breaks within cells become blanks.

    Parameters
    ----------
    table : DataFrame
        The rows. Missing values are written as ``n/a``.
    path : path
        The ``.tsv`` file; its sidecar gets the same name with ``.json``.
    columns : mapping
        For every column of `table` a description, or a mapping with ``Description`` and, for instance, ``Units``
        or ``Levels``.

    Raises
    ------
    ValueError
        If a column has no description.
    """
    undescribed = [name for name in table.columns if name not in columns]
    if undescribed:
        raise ValueError(f"{path}: no description of column(s) {', '.join(map(str, undescribed))}")
    sidecar = {
        name: {"Description": text} if isinstance(text := columns[name], str) else dict(text) for name in table.columns
    }
    with atomic_path(path) as partial:
        _on_lines(table).to_csv(
            partial,
            sep="\t",
            index=False,
            na_rep="n/a",
            float_format="%.10g",
            lineterminator="\n",
            quoting=csv.QUOTE_NONE,
        )
    write_json(sidecar, Path(path).with_suffix(".json"))


def _on_lines(table: "pd.DataFrame") -> "pd.DataFrame":
    """Make every row a line."""
    text = {name: column for name, column in table.items() if column.dtype.kind == "O"}
    return table.assign(**{str(name): column.map(_on_one_line) for name, column in text.items()})


def _on_one_line(cell: Any) -> Any:
    return re.sub(r"[\t\r\n]+", " ", cell) if isinstance(cell, str) else cell


def read_table(path: PathLike) -> "pd.DataFrame":
    """Read a table as `write_table` writes it; ``n/a`` is missing, and names of participants and groups stay text.

    Tables of users are read by `gradspec.cohort.tables.read_rows`.
    """
    import pandas as pd

    try:
        return pd.read_csv(
            path,
            sep="\t",
            na_values=["n/a"],
            keep_default_na=False,
            quoting=csv.QUOTE_NONE,
            dtype=dict.fromkeys(_TEXT, str),
            encoding="utf-8-sig",
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a tab-separated table in UTF-8 ({error})") from error


def write_dataset(dataset: "xr.Dataset | xr.DataTree", path: PathLike) -> None:
    """Write an xarray Dataset or DataTree as compressed NetCDF4, whatever the layout of a file that it came from.

    Raises
    ------
    TypeError
        If an attribute would not come back as it is: NetCDF has numbers, text and arrays of these, and xarray returns a
        list of one text as that text.
    """
    import xarray as xr

    _check_attributes(dataset, path)
    with atomic_path(path) as partial:
        if isinstance(dataset, xr.DataTree):
            dataset = dataset.map_over_datasets(lambda node: node.drop_encoding())
            encoding: dict[str, Any] = {
                node.path: {name: {"zlib": True, "complevel": 4} for name in _numeric(node.to_dataset(inherit=False))}
                for node in dataset.subtree
            }
        else:
            dataset = dataset.drop_encoding()
            encoding = {name: {"zlib": True, "complevel": 4} for name in _numeric(dataset)}
        dataset.to_netcdf(partial, engine="h5netcdf", encoding=encoding)


def _check_attributes(dataset: "xr.Dataset | xr.DataTree", path: PathLike) -> None:
    """Refuse attributes that NetCDF does not keep, by their name; xarray names neither attribute nor group."""
    import xarray as xr

    nodes = dataset.subtree if isinstance(dataset, xr.DataTree) else [dataset]
    for node in nodes:
        place = "" if isinstance(node, xr.Dataset) else node.path.strip("/")
        owners = {place: node.attrs, **{f"{place}/{name}": each.attrs for name, each in node.variables.items()}}
        for owner, attributes in owners.items():
            for name, value in attributes.items():
                lost = isinstance(value, list | tuple) and any(isinstance(entry, str) for entry in value)
                if lost or value is None or isinstance(value, dict):
                    raise TypeError(
                        f"{path}: the attribute {name!r} of {owner.strip('/') or 'the root'} is {value!r}, which "
                        "NetCDF does not keep as it is; write text (names joined by ', ', say) or leave it out"
                    )


def _numeric(dataset: "xr.Dataset") -> list[Any]:
    return [name for name, variable in dataset.data_vars.items() if variable.dtype.kind in "fiu" and variable.ndim]


def bids_label(value: str) -> str:
    """Return `value` if it is a BIDS label (letters and digits), so that it is safe in a file name.

    Raises
    ------
    ConfigError
        If it holds anything else.
    """
    if not _LABEL.fullmatch(value):
        raise ConfigError(
            f"{value!r} is not a BIDS label: only letters and digits are allowed (no '_', '-', '/', spaces or "
            "accents); rename it in the data set and its participants table"
        )
    return value


def participant_id(value: str) -> str:
    """Return a participant id in the form ``sub-<label>``; the prefix is added where it is missing.

    Raises
    ------
    ConfigError
        If the label is not made of letters and digits.
    """
    return f"sub-{bids_label(str(value).removeprefix('sub-'))}"
