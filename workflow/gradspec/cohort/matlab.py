"""Read MATLAB files of every level: numbers, cells, structures and texts, from what may be damaged.

Files of level 5 (``-v6``, ``-v7``) are read here (MathWorks, "MAT-File Format", sections 1-2 to 1-19), since no damage
may end the process, as it may with the compiled reader of scipy. Level 4 goes through scipy, level 7.3 is HDF5.
"""

import math
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gradspec.cohort.hdf5 import is_hdf5, read_hdf5, shapes_in_hdf5
from gradspec.cohort.limits import require_memory
from gradspec.errors import ParticipantError

_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE, _FUNCTION, _OPAQUE = 1, 2, 3, 4, 5, 16, 17
_CLASSES = dict(
    zip(range(6, 16), ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"), strict=True)
)  # of arrays of numbers
_STORED_AS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {16: "utf-8", 17: "utf-16", 18: "utf-32"}
_MATRIX, _COMPRESSED = 14, 15
_COMPLEX = 0x0800
_HEADER = 128
_START = 5 * 8 + 2 * 8 + 8 * 32 + 64  # bytes that hold what announces an array: flags, up to 32 sizes, a name

Fault = Callable[[str], ParticipantError]


def read_matlab(path: Path, fault: Fault, only: str | None = None) -> dict[str, Any]:
    """Read the variables of a file.

    Parameters
    ----------
    path : Path
        The file.
    fault : callable
        Makes the error of an array that doesn't fit into memory.
    only : str, optional
        Name of the one variable to read; the others are never unpacked.

    Returns
    -------
    dict
        Arrays by name; a structure is a dict (an array of structures a list of dicts), a cell array a list (column by
        column), a text a str. What is none of these is None.

    Raises
    ------
    ValueError
        If the file is no MATLAB file, or damaged.
    """
    if is_hdf5(path):
        return read_hdf5(path, fault, only)
    if _is_level_4(path):
        return _read_level_4(path, fault, only)
    content: dict[str, Any] = {}
    with path.open("rb") as file:
        for variable in _variables(file):
            if only in (None, variable.name):
                content[variable.name] = variable.read(fault)
    return content


def shapes_in_matlab(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays of numbers at the top of a file, of which nothing is unpacked.

    Raises
    ------
    ValueError
        If the file is no MATLAB file, or damaged.
    """
    if is_hdf5(path):
        return shapes_in_hdf5(path)
    if _is_level_4(path):
        from scipy.io import whosmat

        return {name: tuple(shape) for name, shape, kind in whosmat(path) if kind not in ("char", "cell", "struct")}
    with path.open("rb") as file:
        return {
            variable.name: variable.shape
            for variable in _variables(file)
            if variable.kind in _CLASSES or variable.kind == _SPARSE  # which is refused with advice
        }


def _is_level_4(path: Path) -> bool:
    with path.open("rb") as file:
        return 0 in file.read(4)


def _read_level_4(path: Path, fault: Fault, only: str | None) -> dict[str, Any]:
    from scipy.io import loadmat, whosmat

    try:
        for name, shape, _ in whosmat(path):
            if only in (None, name):
                require_memory(shape, 8, fault)
        content = loadmat(path, variable_names=None if only is None else [only])
    except ParticipantError:
        raise
    except Exception as error:
        raise ValueError(f"it is no MATLAB file, or damaged ({error})") from error
    return {name: np.asarray(value) for name, value in content.items() if not name.startswith("__")}


@dataclass(frozen=True)
class _Variable:
    """A variable of a file of level 5: what announces it, and where the whole of it lies."""

    name: str
    kind: int
    shape: tuple[int, ...]
    file: BinaryIO
    place: int
    size: int
    compressed: bool
    order: str

    def read(self, fault: Fault) -> Any:
        if self.kind in _CLASSES:
            require_memory(self.shape, 8, fault)
        self.file.seek(self.place)
        content = self.file.read(self.size)
        if self.compressed:
            content = _unpack(content, fault)
            content = content[8:]  # the tag of the array within
        try:
            return _Parser(content, self.order).matrix(fault)[1]
        except (struct.error, IndexError, UnicodeDecodeError) as error:
            raise ValueError(f"it is damaged ({error})") from error


def _unpack(content: bytes, fault: Fault) -> bytes:
    """Decompress; what goes on beyond the memory of this machine is refused before it fills it."""
    unpacker, blocks, size = zlib.decompressobj(), [], 0
    try:
        while content:
            blocks.append(unpacker.decompress(content, 1 << 24))
            size += len(blocks[-1])
            require_memory((size,), 1, fault)
            content = unpacker.unconsumed_tail
    except zlib.error as error:
        raise ValueError(f"it is damaged ({error})") from error
    return b"".join(blocks)


def _variables(file: BinaryIO) -> Iterator[_Variable]:
    """Give the variables of a file of level 5, in its order; no more than their names and shapes is unpacked."""
    header = file.read(_HEADER)
    if len(header) < _HEADER or header[126:128] not in (b"IM", b"MI"):
        raise ValueError("it is no MATLAB file, or damaged (its header is not one)")
    order = "<" if header[126:128] == b"IM" else ">"
    while len(tag := file.read(8)) == 8:
        kind, size = struct.unpack(f"{order}II", tag)
        place = file.tell()
        start = file.read(min(size, _START + 8))
        if kind == _COMPRESSED:
            try:
                start = zlib.decompressobj().decompress(start, _START + 8)[8:]
            except zlib.error as error:
                raise ValueError(f"it is damaged ({error})") from error
        elif kind != _MATRIX:
            raise ValueError(f"it is damaged (an element of type {kind}, where an array is expected)")
        try:
            cls, shape, name, _ = _Parser(start, order).announcement()
        except (struct.error, IndexError, UnicodeDecodeError) as error:
            raise ValueError(f"it is damaged ({error})") from error
        yield _Variable(name, cls, shape, file, place, size, kind == _COMPRESSED, order)
        file.seek(place + size)


class _Parser:
    """What an array of level 5 holds, from the bytes after its tag."""

    def __init__(self, content: bytes, order: str) -> None:
        self._file = BytesIO(content)
        self._order = order

    def element(self) -> tuple[int, bytes]:
        """Type and contents of what comes next; up to four bytes of contents stand in the tag itself."""
        kind, size = struct.unpack(f"{self._order}II", self._file.read(8))
        if kind >> 16:
            self._file.seek(-4, 1)
            return kind & 0xFFFF, self._file.read(4)[: kind >> 16]
        content = self._file.read(size)
        if len(content) < size:
            raise IndexError(f"an element of {size} bytes ends after {len(content)}")
        self._file.seek(-size % 8, 1)
        return kind, content

    def announcement(self) -> tuple[int, tuple[int, ...], str, bool]:
        """Class, shape and name of an array, and whether it is complex."""
        flags = self.element()[1]
        (flag,) = struct.unpack(f"{self._order}I", flags[:4])
        if flag & 0xFF == _OPAQUE:
            return _OPAQUE, (), self.element()[1].decode("ascii", "replace"), False
        sizes = self.element()[1]
        shape = struct.unpack(f"{self._order}{len(sizes) // 4}i", sizes)
        return flag & 0xFF, shape, self.element()[1].decode("ascii", "replace"), bool(flag & _COMPLEX)

    def matrix(self, fault: Fault) -> tuple[str, Any]:
        """Name and value of an array."""
        if not self._file.getbuffer().nbytes:
            return "", np.empty((0, 0))
        kind, shape, name, is_complex = self.announcement()
        count = math.prod(shape)
        if kind in _CLASSES:
            numbers = self._numbers(count).astype(_CLASSES[kind])
            return name, (numbers + 1j * self._numbers(count) if is_complex else numbers).reshape(shape, order="F")
        if kind == _CHAR:
            return name, self._text(shape)
        if kind == _CELL:
            return name, [self._inner(fault) for _ in range(self._possible(count))]
        if kind in (_STRUCT, _OBJECT):
            return name, self._struct(kind, count, fault)
        if kind == _SPARSE:
            if not name:  # within a cell or a structure
                return name, None
            raise ValueError(f"its variable {name} is sparse; save full({name})")
        return name, None

    def _possible(self, count: int) -> int:
        """Refuse more members than there are bytes for."""
        if not 0 <= count <= len(self._file.getbuffer()):
            raise IndexError(f"{count} members cannot be in so short an array")
        return count

    def _inner(self, fault: Fault) -> Any:
        kind, content = self.element()
        if kind != _MATRIX:
            raise ValueError(f"it is damaged (an element of type {kind}, where an array is expected)")
        return _Parser(content, self._order).matrix(fault)[1]

    def _numbers(self, count: int) -> np.ndarray:
        kind, content = self.element()
        if kind not in _STORED_AS:
            raise ValueError(f"it is damaged (numbers of type {kind}, which no array of numbers is stored as)")
        numbers = np.frombuffer(content, self._order + _STORED_AS[kind])
        if len(numbers) != count:
            raise IndexError(f"{len(numbers)} numbers, where the shape has {count}")
        return numbers

    def _text(self, shape: tuple[int, ...]) -> str | list[str]:
        kind, content = self.element()
        if kind in _TEXTS:
            endian = "" if kind == 16 else ("-le" if self._order == "<" else "-be")
            letters = list(content.decode(_TEXTS[kind] + endian, "replace"))
        else:
            codes = np.frombuffer(content, self._order + _STORED_AS.get(kind, "u1"))
            letters = [chr(int(code)) if 0 <= code < 0x110000 else "?" for code in codes]
        if not letters or len(shape) != 2 or len(letters) != math.prod(shape):
            return "".join(letters)
        rows = ["".join(letters[row :: shape[0]]).rstrip() for row in range(shape[0])]
        return rows[0] if len(rows) == 1 else rows

    def _struct(self, kind: int, count: int, fault: Fault) -> Any:
        if kind == _OBJECT:
            self.element()  # its class
        (length,) = struct.unpack(f"{self._order}i", self.element()[1][:4])
        joined = self.element()[1]
        if length <= 0:
            raise IndexError("names of fields have no length")
        fields = [
            joined[at : at + length].split(b"\0")[0].decode("ascii", "replace") for at in range(0, len(joined), length)
        ]
        members = [
            {field: self._inner(fault) for field in fields} for _ in range(self._possible(count) if fields else 0)
        ]
        return members[0] if len(members) == 1 else members
