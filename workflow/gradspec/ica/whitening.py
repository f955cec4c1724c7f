r"""Whitening of one run: the matrix that turns its volumes into uncorrelated rows of unit variance over voxels.

A run :math:`X` (volumes × voxels :math:`m`, each volume centred) has :math:`C = X X^\top / m = E \Lambda E^\top`. The
whitened run is :math:`Y = \Lambda^{-1/2} E^\top X`. It is never formed here: what is computed from :math:`Y` goes
through the small matrices :math:`E` and :math:`\Lambda` and the run as it is in memory.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gradspec.errors import ParticipantError

_RANK_TOLERANCE = 1e-5  # eigenvalues below this share of the largest are rounding of float32, or were regressed out


@dataclass(frozen=True)
class Whitening:
    """Eigenvalues and eigenvectors of a run's covariance over voxels.

    Attributes
    ----------
    variances : array, (direction,)
        Variance of each principal direction, largest first.
    directions : array, (time, direction)
        Orthonormal time courses of the directions.
    """

    variances: Float[np.ndarray, " direction"]
    directions: Float[np.ndarray, "time direction"]

    @property
    def matrix(self) -> Float[np.ndarray, "direction time"]:
        r"""Return :math:`\Lambda^{-1/2} E^\top`, which whitens the run."""
        return np.asarray((self.directions / np.sqrt(self.variances)).T)

    @property
    def dewhitening(self) -> Float[np.ndarray, "time direction"]:
        r"""Return :math:`E \Lambda^{1/2}`, which brings whitened rows back to volumes."""
        return np.asarray(self.directions * np.sqrt(self.variances))


def whitening_of(signal: Float[np.ndarray, "time voxel"], needed: int, n_directions: int | None = None) -> Whitening:
    """Find the principal directions of a run.

    Parameters
    ----------
    signal : array, (time, voxel)
        Prepared run, each volume centred.
    needed : int
        Directions that there must be, the number of components that are looked for.
    n_directions : int, optional
        Directions kept, the strongest; all that are not rounding by default.

    Returns
    -------
    Whitening
        In float64.

    Raises
    ------
    ParticipantError
        If the run has fewer independent directions than `needed`.
    """
    covariance = (signal @ signal.T).astype(np.float64) / signal.shape[1]
    values, vectors = np.linalg.eigh(covariance)
    kept = np.flatnonzero(values > _RANK_TOLERANCE * max(values[-1], 0))[::-1][:n_directions]
    if len(kept) < needed:
        raise ParticipantError(
            f"{len(signal)} volumes with {len(kept)} independent directions are too few for {needed} components; take "
            "fewer components, remove fewer confounds, or leave the run out"
        )
    return Whitening(values[kept], vectors[:, kept])
