"""A matrix of connectivity by itself: its names, its halves, the regions it lacks, and whether it is r or z."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from gradspec.cohort.arrays import ArrayFile
from gradspec.cohort.text import is_run
from gradspec.errors import ParticipantError

_CLOSE = 1e-5  # to one, and of the halves to each other
_Z_OF_ONE = (7.0, 19.0)  # where rounding keeps a correlation from one, of single and of double precision

BEYOND_ONE = "values beyond 1"
"""Why a matrix is known to hold Fisher z without its diagonal."""

Fault = Callable[[str], ParticipantError]


@dataclass(frozen=True)
class Matrix:
    """A symmetric matrix.

    Attributes
    ----------
    values : ndarray of shape (component, component)
        As the file has them, with a diagonal of zeros, and zeros for regions without coverage.
    names : tuple of str
        Names of the components; empty where the file gives none.
    kind : {"r", "z", ""}
        Correlations or Fisher z, where the matrix itself says so.
    why : str
        How it says so.
    lost : tuple of str
        Regions without coverage.
    notes : tuple of str
        What was left out or filled in.
    """

    values: Float[np.ndarray, "component component"]
    names: tuple[str, ...]
    kind: str
    why: str
    lost: tuple[str, ...]
    notes: tuple[str, ...]


def without_labels(found: ArrayFile) -> ArrayFile:
    """Make a table square: leave out a column that counts the rows, and columns of which there are no rows."""
    n_rows, n_columns = found.values.shape
    if found.rows:
        found = replace(found, notes=())  # the labels of the rows are used, as names
    if n_columns == n_rows + 1 and not found.rows and n_rows > 1 and is_run(found.values[:, 0]):
        name = found.columns[0] if found.columns else "1"
        notes = (*found.notes, f"column {name!r} left out: it counts the rows")
        return replace(found, values=found.values[:, 1:], columns=found.columns[1:], notes=notes)
    if n_columns > n_rows > 1 and found.rows and found.rows == found.columns[:n_rows]:
        notes = (*found.notes, f"{n_columns - n_rows} columns left out: they have no rows")
        return replace(found, values=found.values[:, :n_rows], columns=found.rows, notes=notes)
    return found


def examine_matrix(found: ArrayFile, fault: Fault) -> Matrix:
    """Check a square matrix.

    Parameters
    ----------
    found : ArrayFile
        A square array.
    fault : callable
        Makes the error of a reason.

    Returns
    -------
    Matrix

    Raises
    ------
    ParticipantError
        If rows and columns are named differently, values are missing, or the matrix is not symmetric.
    """
    names, notes = _names(found, fault), list(found.notes)
    diagonal, matrix = np.diag(found.values).copy(), found.values.copy()
    np.fill_diagonal(matrix, 0.0)  # some programs write NaN, or the infinite Fisher z of one, there
    if half := _empty_half(matrix):
        matrix = np.where(np.isnan(matrix), 0.0, matrix)
        matrix = matrix + matrix.T
        notes.append(f"its {half} triangle is empty: taken from the other")
    lost = _lost(matrix)
    if lost.all():
        raise fault("holds only zeros or missing values off the diagonal; export it again")
    matrix[lost, :] = matrix[:, lost] = 0.0
    labels = names or tuple(str(at + 1) for at in range(len(matrix)))
    if not np.isfinite(matrix).all():
        raise fault(
            f"{(~np.isfinite(matrix)).sum()} values off the diagonal are NaN or infinite, of regions that have others; "
            "export it again"
        )
    gap = np.abs(matrix - matrix.T)
    if gap.max() > _CLOSE * np.abs(matrix).max():
        row, column = np.unravel_index(gap.argmax(), gap.shape)
        raise fault(
            f"is not symmetric (largest difference {gap.max():.3g}, between {labels[row]} and {labels[column]}); "
            "undirected connectivity is expected; directed connectivity can be given as features, in cohort.fnc.table"
        )
    matrix = (matrix + matrix.T) / 2
    kind, why = _kind(matrix, diagonal[~lost])
    names_lost = tuple(label for label, is_lost in zip(labels, lost, strict=True) if is_lost)
    return Matrix(matrix, names, kind, why, names_lost, tuple(notes))


def fisher_z(matrix: Matrix, kind: str, fault: Fault) -> Float[np.ndarray, "component component"]:
    """Return Fisher z of a matrix that holds r (or z already).

    Parameters
    ----------
    matrix : Matrix
        What was read.
    kind : {"r", "z"}
        What it holds.
    fault : callable
        Makes the error of a reason.

    Raises
    ------
    ParticipantError
        If correlations are one or beyond.
    """
    if kind == "z":
        return matrix.values
    if np.abs(matrix.values).max() >= 1:
        source = f"by {matrix.why}" if matrix.why else "as cohort.fnc.values says"
        raise fault(
            f"holds correlations, {source}, but a value of 1 or "
            "more off the diagonal: two components are the same, or it is no correlation"
        )
    values: np.ndarray = np.arctanh(matrix.values)
    return values


def split_stack(values: np.ndarray, n_matrices: int) -> Float[np.ndarray, "participant component component"]:
    """Give the matrices of a stack, whichever axis they lie along.

    Parameters
    ----------
    values : ndarray of three axes or more
        Axes of size one, such as the only session, do not count.
    n_matrices : int
        How many matrices are expected.

    Raises
    ------
    ValueError
        If no axis, or more than one, may be that of the matrices.
    """
    shape = values.shape
    if values.ndim > 3:
        values = values.reshape([size for size in shape if size != 1])
    if values.ndim != 3:
        raise ValueError(f"holds an array of shape {shape}; a stack of square matrices is expected, one a participant")
    sizes = np.array(values.shape)
    axes = [at for at in range(3) if sizes[at] == n_matrices and len(set(np.delete(sizes, at))) == 1]
    if len(axes) > 1:
        axes = [at for at in axes if _is_symmetric(np.moveaxis(values, at, 0))]
    if len(axes) != 1:
        raise ValueError(
            f"holds an array of shape {shape}, in which the matrices of {n_matrices} participants (rows of the "
            "participants table) cannot be told; square matrices are expected, one a participant, in the order of that "
            "table"
        )
    return np.moveaxis(values, axes[0], 0)


def _is_symmetric(stack: np.ndarray) -> bool:
    return bool(np.allclose(stack, np.swapaxes(stack, 1, 2), rtol=0, atol=_CLOSE, equal_nan=True))


def _names(found: ArrayFile, fault: Fault) -> tuple[str, ...]:
    """Names of the components, of the columns or of the rows; both must say the same."""
    columns, rows = found.columns, found.rows
    counted = all(name.isdecimal() for name in columns)
    if rows and (counted or not columns) and not all(name.isdecimal() for name in rows):
        return rows
    if rows and not counted and not all(name.isdecimal() for name in rows) and rows != columns:
        at = next(at for at, pair in enumerate(zip(rows, columns, strict=True)) if pair[0] != pair[1])
        raise fault(f"names its row {at + 1} {rows[at]!r}, but its column {columns[at]!r}; both must be in one order")
    return columns


def _empty_half(matrix: Float[np.ndarray, "component component"]) -> str:
    """Name the triangle that is empty, if one is and the other is not."""
    values = np.where(np.isnan(matrix), 0.0, matrix)
    lower, upper = np.tril(values, -1).any(), np.triu(values, 1).any()
    return "" if lower == upper else ("upper" if lower else "lower")


def _lost(matrix: Float[np.ndarray, "component component"]) -> Bool[np.ndarray, " component"]:
    """Say which regions have nothing but zeros or missing values with all others that have something."""
    empty = np.isnan(matrix) | (matrix == 0)
    lost: np.ndarray = empty.all(axis=0) & empty.all(axis=1)
    return lost


def _kind(
    matrix: Float[np.ndarray, "component component"], diagonal: Float[np.ndarray, " component"]
) -> tuple[str, str]:
    """Say what a matrix holds, if it says so itself, and how; of covariances, nothing."""
    given = diagonal[~np.isnan(diagonal)]
    if len(given) and np.allclose(given, 1.0, rtol=0, atol=_CLOSE):
        return "r", "ones on its diagonal"
    finite = given[np.isfinite(given)]
    low, high = _Z_OF_ONE
    if len(given) and np.all(given >= low) and np.all(finite <= high) and (len(finite) == 0 or np.ptp(finite) < 1):
        return "z", "its diagonal, the Fisher z of one"
    if np.abs(matrix).max() > 1 and not given.any():
        return "z", BEYOND_ONE
    return "", ""
