r"""GICA back-reconstruction: the share of a run in the decomposition of the group.

Calhoun et al. 2001, Hum. Brain Mapp. 14:140; GICA1 of Erhardt et al. 2011, Hum. Brain Mapp. 32:2075. Runs are reduced
to whitened principal components :math:`Y_i = F_i^+ X_i`, stacked and reduced to :math:`X = G^\top Y`, and decomposed,
:math:`X = A S`. With :math:`G_i` the rows of :math:`G` that belong to a run, its maps are
:math:`S_i = (G_i A)^+ Y_i` and its time courses :math:`R_i = F_i G_i A`.

Neither :math:`G` nor :math:`A` need be kept: the rows of :math:`S` span those of :math:`X`, which are principal
components of the stack, so that regression of the reduced run on the group maps gives them,
:math:`G_i A = Y_i S^\top (S S^\top)^{-1}`. No other run is looked at.

The variant GICA3 is left out. Its time courses :math:`F_i (G_i^\top)^+ A` are those of GICA1 times
:math:`(M_i^\top M_i)^{-1} \sum_j M_j^\top M_j` with :math:`M_i = G_i A`. In noisy data :math:`M_i^\top M_i` goes with
the covariance of the time courses, and its inverse turns a participant's connectivity around.

Order and sign of the components are those of the group.
"""

import numpy as np
from jaxtyping import Float

from gradspec.errors import ParticipantError
from gradspec.ica.whitening import whitening_of


def back_reconstruct(
    signal: Float[np.ndarray, "time voxel"],
    components: Float[np.ndarray, "component voxel"],
    n_directions: int | None = None,
) -> tuple[Float[np.ndarray, "time component"], Float[np.ndarray, "component voxel"]]:
    """Return the time courses and maps of a run.

    Parameters
    ----------
    signal : array, (time, voxel)
        Prepared run.
    components : array, (component, voxel)
        Group maps, each of mean 0.
    n_directions : int, optional
        Principal components kept of the run; half its volumes by default, and never fewer than there are maps.

    Returns
    -------
    timecourses : array, (time, component)
        :math:`R_i`, on the scale of the group maps.
    maps : array, (component, voxel)
        :math:`S_i`, float32.

    Raises
    ------
    ParticipantError
        If the run has fewer independent directions than there are components, or these depend on each other in it.
    """
    n_directions = max(n_directions or len(signal) // 2, len(components))
    whitening = whitening_of(signal, len(components), n_directions)
    gram = (components @ components.T).astype(np.float64)
    reduced = whitening.matrix @ (signal @ components.T.astype(signal.dtype)).astype(np.float64)
    mixing = np.linalg.solve(gram, reduced.T).T
    if np.linalg.matrix_rank(mixing) < len(components):
        raise ParticipantError(
            "back-reconstruction: the components depend on each other in this run (singular covariance); take fewer "
            "components or another ica.method"
        )
    projection = np.linalg.pinv(mixing) @ whitening.matrix
    return whitening.dewhitening @ mixing, projection.astype(signal.dtype) @ signal
