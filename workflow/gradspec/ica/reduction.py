r"""Principal components of participants and of the group, in memory that does not grow with the cohort.

A run :math:`X` (volumes × voxels :math:`m`, each volume centred) has :math:`C = X X^\top / m = E \Lambda E^\top`, a
small matrix of volumes × volumes. Its whitened components :math:`Y = \Lambda^{-1/2} E^\top X` are stacked over
participants; the principal components of the stack are directions that many participants share (each participant counts
the same, whatever its variance: the multi-set canonical correlation view of group ICA, Correa et al. 2010).

MIGP (Smith et al. 2014, NeuroImage 101:738-749) does not build the stack: a running basis is stacked on the next few
participants, and reduced again to its strongest directions.
"""

import logging
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float

from gradspec.errors import ConfigError, ParticipantError

logger = logging.getLogger(__name__)

_RANK_TOLERANCE = 1e-5  # eigenvalues below this share of the largest are rounding of float32, or were regressed out


def whitened_components(
    signal: Float[np.ndarray, "time voxel"], n_components: int
) -> Float[np.ndarray, "component voxel"]:
    """Reduce a run to its strongest principal components, each of unit variance over voxels.

    Parameters
    ----------
    signal : array, (time, voxel)
        Prepared run, each volume centred.
    n_components : int
        Number of components; where the run has fewer independent directions (confounds were regressed out), all of
        these are kept, and the log says so.

    Returns
    -------
    array, (component, voxel)
        Whitened components, float32, strongest first.

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
    return np.asarray((vectors / np.sqrt(values)).T.astype(signal.dtype) @ signal)


def merge(
    batches: Iterable[Sequence[Float[np.ndarray, "_ voxel"]]], n_keep: int
) -> Float[np.ndarray, "component voxel"]:
    r"""Merge the components of all participants, batch by batch (MIGP).

    Parameters
    ----------
    batches : iterable of sequences of arrays, (component, voxel)
        Whitened components of a few participants at a time.
    n_keep : int
        Number of directions that the running basis keeps. Where it is no less than the number of all components,
        nothing is lost: the result has the principal components of the whole stack.

    Returns
    -------
    array, (component, voxel)
        Basis :math:`U^\top S` of the stack :math:`S`: orthogonal rows, strongest first, with the singular values of the
        stack as their norms.
    """
    basis: np.ndarray | None = None
    for batch in batches:
        stack = np.concatenate([*(() if basis is None else (basis,)), *batch])
        _, vectors = _leading(stack @ stack.T, n_keep)
        basis = vectors.T.astype(stack.dtype) @ stack
    if basis is None:
        raise ValueError("nothing to merge")
    return basis


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
    values, vectors = np.linalg.eigh(np.asarray(gram, dtype=np.float64))
    values, vectors = values[::-1][:n_components], vectors[:, ::-1][:, :n_components]
    real = values > _RANK_TOLERANCE * values[0]
    return values[real], vectors[:, real]
