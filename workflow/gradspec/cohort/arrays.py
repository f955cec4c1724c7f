"""Read a numeric array, and what names its rows and columns, from a file of any format that people keep theirs in."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gradspec.cohort.hdf5 import read_hdf5, shapes_in_hdf5
from gradspec.cohort.limits import require_image_size, require_memory
from gradspec.cohort.matlab import read_matlab, shapes_in_matlab
from gradspec.cohort.text import parse_table
from gradspec.errors import ParticipantError

_BLANKS = {"": True, ".1d": True, ".txt": True, ".tsv": False, ".csv": False}
"""Text formats by suffix, and whether any blanks separate their cells; FSL names its time courses without a suffix."""
_HDF5 = (".h5", ".hdf5")
_NAMES = ("names", "names2", "labels", "regions", "roi_names", "roi_labels")
"""Variables of a MATLAB file that name the rows or columns of an array beside them."""
_KNOWN = ".1D, .txt, .tsv, .csv, .npy, .mat, .h5, .hdf5 and CIFTI (.ptseries.nii, .dtseries.nii, .pconn.nii) are"

Fault = Callable[[str], ParticipantError]


@dataclass(frozen=True)
class ArrayFile:
    """What a file holds.

    Attributes
    ----------
    values : ndarray of shape (row, column)
        Float64; of a stack, three axes or more. NaN where the file says that a value is missing.
    columns, rows : tuple of str
        Names of the columns and labels of the rows, different ones each; empty where the file gives none.
    notes : tuple of str
        What was left out.
    time_axis : int or None
        Axis along which time runs, where the format says so.
    repetition_time : float or None
        Time between volumes in seconds, where the format says so.
    """

    values: np.ndarray
    columns: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    time_axis: int | None = None
    repetition_time: float | None = None


def read_array(
    path: str | Path,
    participant: str | None,
    variable: str | None,
    key: str,
    *,
    header: str | bool = "auto",
    stack: bool = False,
) -> ArrayFile:
    """Read the array of a file.

    Parameters
    ----------
    path : path
        ``.1D``, ``.txt`` or a name without suffix (blanks, commas or semicolons), ``.tsv`` or ``.csv``, with names of
        the columns and labels of the rows or without; ``.npy``; ``.mat`` of every level; ``.h5``; CIFTI.
    participant : str or None
        Whose file it is, for messages.
    variable : str or None
        Name of the array in a MATLAB or HDF5 file, with dots for fields of structures; None takes the only one.
    key : str
        Key of the config that sets `variable`, for messages; ``header`` beside it sets `header`.
    header : {"auto", True, False}
        Whether the first line of a text file names the columns.
    stack : bool
        Whether more than two axes are welcome.

    Returns
    -------
    ArrayFile
        A one-dimensional array has become a row.

    Raises
    ------
    ParticipantError
        If the file is missing, empty, of an unknown format, not numeric, or has too many dimensions.
    """
    path = Path(path)

    def fault(reason: str) -> ParticipantError:
        return ParticipantError(reason, participant=participant, file=path)

    if not path.is_file():
        raise fault("is missing; correct the path in the participants table, or take the row out")
    if path.stat().st_size == 0:
        raise fault("is empty; export it again")
    try:
        found = _read(path, variable, key, header, fault)
    except ParticipantError:
        raise
    except Exception as error:  # parsers meet damaged bytes with errors of every kind
        raise fault(f"cannot be read: {error}") from error
    values = found.values
    if values.dtype.kind not in "iufb":
        kind = "complex numbers" if values.dtype.kind == "c" else f"values of type {values.dtype}"
        raise fault(f"holds {kind}; real numbers are expected")
    if values.ndim > 2 and not stack:
        values = values.reshape([size for size in values.shape if size != 1])
    if values.ndim == 0 or (values.ndim > 2 and not stack):
        raise fault(f"holds an array of shape {found.values.shape}; two dimensions are expected")
    if values.size == 0:
        raise fault("holds no numbers; export it again")
    require_memory(values.shape, 8, fault)
    return ArrayFile(
        np.atleast_2d(values).astype(np.float64, copy=False),
        unique_names(found.columns),
        found.rows,
        found.notes,
        found.time_axis,
        found.repetition_time,
    )


def unique_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Number the names that stand more than once: ``Vis``, ``Vis (2)``."""
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(unique)


def _read(path: Path, variable: str | None, key: str, header: str | bool, fault: Fault) -> ArrayFile:
    suffix = path.suffix.lower()
    if suffix in _BLANKS:
        header_key = f"{key.rpartition('.')[0]}.header"
        table = parse_table(path.read_bytes(), blanks=_BLANKS[suffix], header=header, key=header_key)
        # AFNI's format has a column a series (its program 1dplot and others take it for granted)
        return ArrayFile(table.values, table.columns, table.rows, table.notes, 0 if suffix == ".1d" else None)
    if suffix == ".npy":
        values = np.lib.format.open_memmap(path, mode="r")  # type: ignore[no-untyped-call] # no pickles, no more than is there
        return ArrayFile(values)
    if suffix == ".mat":
        return _read_variable(path, shapes_in_matlab, read_matlab, variable, key, fault)
    if suffix in _HDF5:
        return _read_variable(path, shapes_in_hdf5, read_hdf5, variable, key, fault)
    if suffix == ".nii":
        return _read_cifti(path, fault)
    raise ValueError(f"the format {suffix!r} is not known; {_KNOWN}")


def _read_variable(
    path: Path,
    shapes_in: Callable[[Path], Mapping[str, tuple[int, ...]]],
    read: Callable[[Path, Fault, str | None], Mapping[str, Any]],
    variable: str | None,
    key: str,
    fault: Fault,
) -> ArrayFile:
    """Read the array that is named, or the only one, of a file that holds several things by name."""
    shapes = {name: shape for name, shape in shapes_in(path).items() if math.prod(shape) not in (0, 1)}
    if variable is None and len(shapes) == 1:
        (variable,) = shapes
    if variable in shapes:
        found: dict[str, Any] = {variable: read(path, fault, variable)[variable]}
    elif variable is None and shapes:
        raise ValueError(f"it holds {len(shapes)} arrays ({_listed(shapes)}); name one in {key}")
    else:
        found = dict(_arrays_in(read(path, fault, variable.partition(".")[0] if variable else None)))
        if variable is None and len(found) == 1:
            (variable,) = found
        if variable is None:
            raise ValueError(f"it holds {len(found)} arrays ({_listed(found)}); name one in {key}")
        if variable not in found:
            raise ValueError(
                f"it has no array {variable!r}, set by {key}; its arrays are {_listed({**shapes, **found})}"
            )
    values = found[variable]
    named = (
        [read(path, fault, name).get(name) for name in _NAMES]
        if np.ndim(values) == 2 or isinstance(values, _Cells)
        else []
    )
    if isinstance(values, _Cells):
        names = _names_of(values.n_cells, named) or tuple(str(at + 1) for at in range(values.n_cells))
        notes = [
            f"cell {names[at]!r} left out: it has several columns"
            for at in range(values.n_cells)
            if at not in values.kept
        ]
        kept = tuple(names[at] for at in values.kept) if any(named) else ()
        return ArrayFile(values.columns, kept, (), tuple(notes))
    return ArrayFile(np.asarray(values), _names_of(np.shape(values)[-1], named), _names_of(len(values), named))


@dataclass(frozen=True)
class _Cells:
    """A cell array of columns of equal length, side by side: which cells they are, and of how many."""

    columns: np.ndarray
    kept: tuple[int, ...]
    n_cells: int


def _side_by_side(cells: list[Any]) -> _Cells | None:
    """Put the columns of a cell array together; what has several (in CONN, components of tissues) is no region."""
    if len(cells) < 2 or not all(isinstance(cell, np.ndarray) and cell.ndim == 2 for cell in cells):
        return None
    kept = tuple(at for at, cell in enumerate(cells) if cell.shape[1] == 1)
    if len(kept) < 2 or len(cells[kept[0]]) < 2 or len({len(cell) for cell in cells}) > 1:
        return None
    return _Cells(np.column_stack([cells[at] for at in kept]), kept, len(cells))


def _names_of(size: int, variables: list[Any]) -> tuple[str, ...]:
    """Take the first cell array of as many texts."""
    texts = [names for names in variables if isinstance(names, list) and all(isinstance(name, str) for name in names)]
    return next((tuple(names) for names in texts if len(names) == size), ())


def _listed(names: Mapping[str, object], most: int = 10) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(list(names)[:most]) or "none") + more


def _arrays_in(content: Any, name: str = "") -> Iterator[tuple[str, np.ndarray | _Cells]]:
    """Give the arrays of numbers within structures and cells; a cell array of columns of equal length is one array."""
    if isinstance(content, np.ndarray):
        if content.size > 1 and content.dtype.kind in "iufbc":
            yield name, content
    elif isinstance(content, Mapping):
        for field, value in content.items():
            yield from _arrays_in(value, f"{name}.{field}" if name else field)
    elif isinstance(content, list):
        if (columns := _side_by_side(content)) is not None:
            yield name, columns
            return
        for number, value in enumerate(content, start=1):
            yield from _arrays_in(value, f"{name}.{number}" if name else str(number))


def _read_cifti(path: Path, fault: Fault) -> ArrayFile:
    import nibabel as nib
    from nibabel.cifti2.cifti2_axes import BrainModelAxis, ParcelsAxis, ScalarAxis, SeriesAxis

    image = nib.load(path)
    if not isinstance(image, nib.Cifti2Image):
        raise fault(
            "is an image of voxels, not a table of time courses; give the folder of images to cohort.source bids or "
            "fmriprep"
        )
    require_image_size(path, image.dataobj.offset, image.shape, image.dataobj.dtype.itemsize, fault)
    axes = [image.header.get_axis(at) for at in range(image.ndim)]
    names: list[tuple[str, ...]] = []
    time_axis = repetition_time = None
    for at, axis in enumerate(axes):
        names.append(())
        if isinstance(axis, SeriesAxis):
            time_axis = at
            repetition_time = float(axis.step) if axis.unit == "SECOND" else None
        elif isinstance(axis, ParcelsAxis | ScalarAxis):
            names[at] = tuple(map(str, axis.name))
        elif isinstance(axis, BrainModelAxis):
            names[at] = tuple(
                f"{where.removeprefix('CIFTI_STRUCTURE_')}-{k}" for k, where in enumerate(axis.name, start=1)
            )
    values = np.asarray(image.dataobj)
    if values.ndim != 2:
        raise fault(f"holds an array of shape {values.shape}; two dimensions are expected")
    return ArrayFile(values, names[1], names[0], (), time_axis, repetition_time)
