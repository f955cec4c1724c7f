"""Read HDF5 files: those of MATLAB 7.3, with its cells, structures and texts, and any other that holds arrays.

MATLAB stores an array with its axes in reverse order, and says by the attribute ``MATLAB_class`` of each object what it
was. Cells, and the fields of arrays of structures, are arrays of references into the group ``#refs#``. Nothing outside
the file is followed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradspec.cohort.limits import require_memory
from gradspec.errors import ParticipantError

if TYPE_CHECKING:
    import h5py

_DEEPEST = 12  # structures within cells within structures …
_MOST_MEMBERS = 100_000  # cells and fields of a file, all together

Fault = Callable[[str], ParticipantError]


def is_hdf5(path: Path) -> bool:
    """Say whether a file is HDF5, whatever its name; MATLAB puts 512 bytes of its own before."""
    with path.open("rb") as file:
        start = file.read(520)
    return any(start[at : at + 8] == b"\x89HDF\r\n\x1a\n" for at in (0, 512))


def read_hdf5(path: Path, fault: Fault, only: str | None = None) -> dict[str, Any]:
    """Read the variables of a file.

    Parameters
    ----------
    path : Path
        The file.
    fault : callable
        Makes the error of an array that doesn't fit into memory.
    only : str, optional
        Name of the one variable to read.

    Returns
    -------
    dict
        Arrays by name, in the axes that MATLAB shows; a structure (or a group) is a dict, a cell array a list, a text a
        str. What is none of these is None.
    """
    import h5py

    with h5py.File(path, "r") as file:
        names = [name for name in file if not name.startswith("#") and only in (None, name)]
        reader = _Reader(fault)
        return {name: reader.value(_inside(file, name)) for name in names}


def shapes_in_hdf5(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays of numbers at the top of a file, in the axes that MATLAB shows."""
    import h5py

    with h5py.File(path, "r") as file:
        found = {name: _inside(file, name) for name in file if not name.startswith("#")}
        return {
            name: _shape(item)
            for name, item in found.items()
            if isinstance(item, h5py.Dataset)
            and item.dtype.kind in "iufb"
            and _class(item) != "char"
            and not item.attrs.get("MATLAB_empty", 0)
        }


def _inside(group: "h5py.Group", name: str) -> "h5py.Dataset | h5py.Group | None":
    """Return a member of a group, unless it leads out of the file."""
    import h5py

    if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
        return None
    item = group[name]
    if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
        return None
    return item


def _class(item: "h5py.Dataset | h5py.Group") -> str:
    stated = item.attrs.get("MATLAB_class", b"")
    return stated.decode("ascii", "replace") if isinstance(stated, bytes) else str(stated)


def _shape(item: "h5py.Dataset") -> tuple[int, ...]:
    return tuple(item.shape[::-1] if _class(item) else item.shape)


class _Reader:
    """Reads what lies in a file, as deep and as much as an honest one holds: groups may go in circles."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._left = _MOST_MEMBERS

    def value(self, item: "h5py.Dataset | h5py.Group | None", depth: int = 0) -> Any:
        import h5py

        self._left -= 1
        if item is None or depth > _DEEPEST:
            return None
        if self._left < 0:
            raise ValueError(f"it has more than {_MOST_MEMBERS} cells and fields, or they go in circles")
        if isinstance(item, h5py.Dataset):
            return self._dataset(item, depth)
        if "MATLAB_sparse" in item.attrs:
            return None
        return {name: self.value(_inside(item, name), depth + 1) for name in item}

    def _dataset(self, item: "h5py.Dataset", depth: int) -> Any:
        import h5py

        if item.shape is None:
            return None
        require_memory(item.shape, max(item.dtype.itemsize, 8), self._fault)
        if item.attrs.get("MATLAB_empty", 0):
            return "" if _class(item) == "char" else np.empty((0, 0))
        if h5py.check_ref_dtype(item.dtype) is h5py.Reference:
            return [self.value(_referred(item, reference), depth + 1) for reference in item[()].ravel()]
        if h5py.check_string_dtype(item.dtype):
            text = item.asstr()[()]
            return text if isinstance(text, str) else [str(each) for each in np.ravel(text)]
        return _numbers_or_text(np.asarray(item[()]), _class(item))


def _numbers_or_text(values: np.ndarray, kind: str) -> Any:
    if kind == "char" and values.dtype.kind == "u":
        rows = ["".join(map(chr, row)).rstrip() for row in np.atleast_2d(values.T)]
        return rows[0] if len(rows) == 1 else rows
    if values.dtype.kind == "V":  # MATLAB's complex numbers are pairs
        return values["real"].T + 1j * values["imag"].T if values.dtype.names == ("real", "imag") else None
    if values.dtype.kind not in "iufb":
        return None
    return values.T if kind else values


def _referred(item: "h5py.Dataset", reference: "h5py.Reference") -> "h5py.Dataset | h5py.Group | None":
    if not reference:
        return None
    target = item.file[reference]
    return _inside(target.parent, target.name.rpartition("/")[2]) if target.name else None
