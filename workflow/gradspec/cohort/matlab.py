"""Read a numeric array from a MATLAB file (levels 4 and 5), by scipy, which damaged files must not reach.

Scipy looks the type of the numbers up in a table, and a number beyond its end ends the process. So the types that a
file of level 5 states are read here first (MathWorks, "MAT-File Format", sections 1-2 to 1-19).
"""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np

from gradspec.cohort.limits import require_memory
from gradspec.errors import ParticipantError

_NUMBERS = ("double", "single", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
_CLASSES = range(6, 16)  # of arrays of these numbers
_STORED_AS = {*range(1, 8), 9, 12, 13}  # int8 … single, double, int64, uint64
_COMPRESSED = 15
_COMPLEX = 0x0800
_LONGEST_NAME = 63
_HEADER = 128


def read_matlab(path: Path, variable: str | None, key: str, fault: Callable[[str], ParticipantError]) -> np.ndarray:
    """Read one numeric array; the other contents of the file are never unpacked.

    Parameters
    ----------
    path : Path
        The file.
    variable : str or None
        Name of the array; None takes the only one of more than one number.
    key : str
        Key of the config that sets `variable`, for messages.
    fault : callable
        Makes the error of an array that doesn't fit into memory.

    Raises
    ------
    ValueError
        If the file is none of these, damaged, or has no such array.
    """
    from scipy.io import loadmat, whosmat

    try:
        shapes = {name: shape for name, shape, kind in whosmat(path) if kind in _NUMBERS and len(shape) == 2}
    except NotImplementedError as error:
        raise ValueError("it is a MATLAB 7.3 file; save it with the option -v7") from error
    except Exception as error:
        raise ValueError(f"it is no MATLAB file, or damaged ({error})") from error
    if variable is None:
        shapes = {name: shape for name, shape in shapes.items() if np.prod(shape, dtype=float) > 1}
        if len(shapes) != 1:
            raise ValueError(f"it holds {len(shapes)} arrays ({', '.join(shapes) or 'none'}); name one in {key}")
        (variable,) = shapes
    elif variable not in shapes:
        raise ValueError(f"it has no array {variable!r}, set by {key}; its arrays are {', '.join(shapes) or 'none'}")
    require_memory(shapes[variable], 8, fault)
    with path.open("rb") as file:
        try:
            _check_types(file)
        except (struct.error, zlib.error) as error:
            raise ValueError(f"it is damaged ({error})") from error
    return np.asarray(loadmat(path, variable_names=[variable])[variable])


def _check_types(file: BinaryIO) -> None:
    """Refuse a file of level 5 whose arrays of numbers are complex, or stored as a type that is none of numbers."""
    header = file.read(_HEADER)
    if 0 in header[:4]:  # level 4, which scipy reads without a table
        return
    order = "<" if header[126:128] == b"IM" else ">"
    while len(tag := file.read(8)) == 8:
        kind, size = struct.unpack(f"{order}II", tag)
        end = file.tell() + size
        element: BinaryIO = file
        if kind == _COMPRESSED:
            # the tags of matrix, flags, dimensions, name and numbers, and what the first four announce
            element = BytesIO(zlib.decompressobj().decompress(file.read(size), 5 * 8 + 8 + 8 + _LONGEST_NAME + 1))
            element.seek(8)
        _check_array(element, order)
        file.seek(end)


def _check_array(element: BinaryIO, order: str) -> None:
    _, flags = _read_subelement(element, order)
    (flag,) = struct.unpack(f"{order}I", flags[:4])
    if flag & 0xFF not in _CLASSES:
        return
    if flag & _COMPLEX:
        raise ValueError("it holds complex numbers; real numbers are expected")
    for _ in ("dimensions", "name"):
        _read_subelement(element, order)
    stored_as, _ = _read_subelement(element, order, only_tag=True)
    if stored_as not in _STORED_AS:
        raise ValueError(f"it is damaged (numbers of type {stored_as}, which no array of numbers is stored as)")


def _read_subelement(element: BinaryIO, order: str, only_tag: bool = False) -> tuple[int, bytes]:
    """Type and contents of what comes next; up to four bytes of contents stand in the tag itself."""
    kind, size = struct.unpack(f"{order}II", element.read(8))
    if kind >> 16:
        element.seek(-4, 1)
        return kind & 0xFFFF, element.read(4)
    return kind, b"" if only_tag else element.read(-(-size // 8) * 8)
