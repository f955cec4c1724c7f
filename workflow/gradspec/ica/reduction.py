r"""Principal components of participants and of the group, in memory that does not grow with the cohort.

A run :math:`X` (volumes × voxels :math:`m`, each volume centred) has :math:`C = X X^\top / m = E \Lambda E^\top`, a
small matrix of volumes × volumes. Its whitened components :math:`Y = \Lambda^{-1/2} E^\top X` are stacked over
participants; the principal components of the stack are directions that many participants share (each participant counts
the same, whatever its variance: the multi-set canonical correlation view of group ICA, Correa et al. 2010).

MIGP (Smith et al. 2014, NeuroImage 101:738-749) does not build the stack: a running basis is stacked on the next few
participants, and reduced again to its strongest directions. The original works on components that keep their variance,
one participant at a time; `principal_components` gives those as well.
"""

import logging
from collections.abc import Iterable

import numpy as np
from jaxtyping import Float
from scipy.linalg import eigh

from gradspec.errors import ConfigError, ParticipantError

logger = logging.getLogger(__name__)

_RANK_TOLERANCE = 1e-5  # eigenvalues below this share of the largest are rounding of float32, or were regressed out


def principal_components(
    signal: Float[np.ndarray, "time voxel"], n_components: int, *, whiten: bool = True
) -> Float[np.ndarray, "component voxel"]:
    """Reduce a run to its strongest principal components.

    Parameters
    ----------
    signal : array, (time, voxel)
        Prepared run, each volume centred.
    n_components : int
        Number of components; where the run has fewer independent directions (confounds were regressed out), all of
        these are kept, and the log says so.
    whiten : bool
        Whether each component is scaled to unit variance over voxels, or keeps its variance.

    Returns
    -------
    array, (component, voxel)
        Components, in the precision of the signal, strongest first.

    Raises
    ------
    ParticipantError
        If there are fewer volumes than components.
    """
    n_volumes, n_voxels = signal.shape
    if n_volumes < n_components:
        raise ParticipantError(
            f"{n_volumes} volumes cannot give {n_components} principal components; lower ica.n_subject_components to "
            f"at most {n_volumes} or leave the run out"
        )
    values, vectors = _leading(signal @ signal.T / n_voxels, n_components)
    if len(values) < n_components:
        logger.info("a run has only %d independent directions; all are kept", len(values))
    scale = np.sqrt(values) if whiten else np.ones_like(values)
    return np.asarray((vectors / scale).T.astype(signal.dtype) @ signal)


def merge(
    parts: Iterable[Float[np.ndarray, "_ voxel"]], n_keep: int, *, batch: int = 4
) -> Float[np.ndarray, "component voxel"]:
    r"""Merge the components of all participants, a few at a time (MIGP).

    Parameters
    ----------
    parts : iterable of arrays, (component, voxel)
        Components of one participant after the other, or what an earlier merge of some of them gave.
    n_keep : int
        Number of directions that the running basis keeps. Where it is no less than the number of all components,
        nothing is lost: the result has the principal components of the whole stack.
    batch : int
        Parts that are stacked on the running basis before it is reduced again; 1 is MIGP as published.

    Returns
    -------
    array, (component, voxel)
        Basis :math:`U^\top S` of the stack :math:`S`: orthogonal rows, strongest first, with the singular values of the
        stack as their norms.
    """
    running = RunningMerge(n_keep, batch)
    for part in parts:
        running.add(part)
    return running.basis()


class RunningMerge:
    """A merge that is given one part after the other; see `merge`.

    Parameters
    ----------
    n_keep : int
        Number of directions that are kept.
    batch : int
        Parts that are stacked on the running basis before it is reduced again.
    """

    def __init__(self, n_keep: int, batch: int = 4) -> None:
        self._n_keep = n_keep
        self._batch = batch
        self._basis: list[np.ndarray] = []  # none yet, or one
        self._waiting: list[np.ndarray] = []

    def add(self, part: Float[np.ndarray, "_ voxel"]) -> None:
        """Take a further part."""
        self._waiting.append(part)
        if len(self._waiting) == self._batch:
            self._reduce()

    def basis(self) -> Float[np.ndarray, "component voxel"]:
        """Return the merge of all parts so far."""
        if self._waiting:
            self._reduce()
        if not self._basis:
            raise ValueError("nothing to merge")
        return self._basis[0]

    def _reduce(self) -> None:
        self._basis = [_strongest([*self._basis, *self._waiting], self._n_keep)]
        self._waiting = []


def _strongest(stack: list[Float[np.ndarray, "_ voxel"]], n_keep: int) -> Float[np.ndarray, "component voxel"]:
    r"""Return :math:`U^\top S` of a stack.

    Its parts stay where they are: the stack, and the copy that it would take, is never built.
    """
    edges = np.cumsum([0, *map(len, stack)])
    gram = np.zeros((edges[-1], edges[-1]))
    for i, left in enumerate(stack):
        rows = slice(edges[i], edges[i + 1])
        for j, right in enumerate(stack[:i]):
            product = left @ right.T
            gram[rows, edges[j] : edges[j + 1]] = product
            gram[edges[j] : edges[j + 1], rows] = product.T
        gram[rows, rows] = left @ left.T
    _, vectors = _leading(gram, n_keep)
    weights = vectors.T.astype(stack[0].dtype)
    basis = weights[:, : edges[1]] @ stack[0]
    for i, part in enumerate(stack[1:], start=1):
        basis += weights[:, edges[i] : edges[i + 1]] @ part
    return np.asarray(basis)


def whiten_group(
    basis: Float[np.ndarray, "direction voxel"], n_components: int
) -> tuple[Float[np.ndarray, "component voxel"], Float[np.ndarray, " component"]]:
    """Take the strongest directions of the group, scaled to unit variance over voxels.

    Parameters
    ----------
    basis : array, (direction, voxel)
        Merged components of the participants, see `merge`.
    n_components : int
        Number of directions to keep.

    Returns
    -------
    whitened : array, (component, voxel)
        Whitened directions, strongest first.
    variances : array, (component,)
        Their variance in the stack: about the number of participants that share a direction.

    Raises
    ------
    ConfigError
        If the data do not have that many directions; the message says how many there are.
    """
    values, vectors = _leading(basis @ basis.T / basis.shape[1], n_components)
    if len(values) < n_components:
        raise ConfigError(
            f"{n_components} components were asked for, but the data of the group support at most {len(values)}; lower "
            "ica.n_components, or raise ica.n_subject_components"
        )
    return np.asarray((vectors / np.sqrt(values)).T.astype(basis.dtype) @ basis), values


def _leading(
    gram: Float[np.ndarray, "n n"], n_components: int
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "n k"]]:
    """Return the largest eigenvalues, without those that are zero to rounding, and their vectors, largest first."""
    size = len(gram)
    first = max(size - n_components, 0)
    values, vectors = eigh(np.asarray(gram, dtype=np.float64), subset_by_index=(first, size - 1), driver="evr")
    values, vectors = values[::-1], vectors[:, ::-1]
    real = values > _RANK_TOLERANCE * values[0]
    return values[real], vectors[:, real]
