r"""Components of one run, guided by a template: group-information-guided ICA (GIG-ICA), also known as MOO-ICAR.

Du & Fan 2013, NeuroImage 69:157-197. Each component of the whitened run :math:`Y` (see `gradspec.ica.whitening`) is a
unit vector :math:`w` that makes its map :math:`w^\top Y` both independent of the others and like its reference map.
With the references :math:`R` scaled to mean 0 and variance 1 over the :math:`m` voxels and :math:`b = Y R^\top / m`,

.. math:: O(w) = \frac{2a}{\pi} \arctan(c J) + (1 - a) F, \qquad J = \gamma^2, \quad
    \gamma = E[\log \cosh w^\top Y] - E[\log \cosh \nu], \quad F = w^\top b,

where :math:`J` is the negentropy of the map (Hyvärinen 1999), :math:`\nu` a standard normal variable, :math:`F` the
correlation with the reference, :math:`a = 1/2`, and :math:`c = \tan(\pi F_0 / 2) / J_0` puts both on one scale at the
start :math:`w_0 = b / \lVert b \rVert`. The ascent :math:`w^+ \propto w + \lambda\, g / \lVert g \rVert` along

.. math:: g = \frac{2a}{\pi} \frac{c}{1 + c^2 J^2}\, 2 \gamma\, E[Y \tanh(w^\top Y)] + (1 - a)\, b

halves its step from :math:`\lambda = 1` until :math:`O` has grown by :math:`0.02\, \lambda \lVert g \rVert`.

Nothing of other participants enters, so a template from other people leaks nothing from a test participant.

The components share nothing but the run, so all are moved at once: :math:`w^\top Y = (M^\top w)^\top X` with
:math:`M = \Lambda^{-1/2} E^\top` is one product of matrices for all of them, and :math:`E[Y \tanh]` another. Voxels
pass in blocks that stay in the cache, and no whitened copy of the run is made.

Order and sign of the components are those of the template.
"""

import logging
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from gradspec.errors import ParticipantError
from gradspec.ica.whitening import whitening_of

logger = logging.getLogger(__name__)

_NORMAL_LOG_COSH = 0.3745672075  # E[log cosh] of a standard normal variable
_WEIGHT = 0.5  # a: of independence; the rest is the reference's
_SUFFICIENT = 0.02  # growth of O, relative to step × slope, that accepts a step
_TOLERANCE = 1e-5  # squared length of a step that ends the ascent
_MOST_EVALUATIONS = 100
_BLOCK = 4096  # voxels at a time
_FACTORS = 32  # of log(1 + e), gathered into one logarithm; each is at most 2, so that float32 holds their product


@dataclass(frozen=True)
class GuidedComponents:
    r"""Components of one run in the order and sign of the template.

    Attributes
    ----------
    maps : array, (component, voxel)
        Maps of mean 0 and variance 1 over voxels.
    timecourses : array, (time, component)
        Projection of the run on the maps, :math:`X S^\top / m`.
    similarity : array, (component,)
        Correlation of each map with its reference.
    converged : array, (component,)
        Whether the ascent ended before the limit of evaluations.
    """

    maps: Float[np.ndarray, "component voxel"]
    timecourses: Float[np.ndarray, "time component"]
    similarity: Float[np.ndarray, " component"]
    converged: Bool[np.ndarray, " component"]


def gig_ica(
    signal: Float[np.ndarray, "time voxel"], template: Float[np.ndarray, "component voxel"]
) -> GuidedComponents:
    """Estimate the components of a run under the guidance of a template.

    Parameters
    ----------
    signal : array, (time, voxel)
        Prepared run (`gradspec.ica.images.prepare`): each volume centred over voxels, arbitrary units.
    template : array, (component, voxel)
        Reference maps, each with variance; from another group of people where nothing may leak.

    Returns
    -------
    GuidedComponents
        Maps (z), time courses, and how each component went.

    Raises
    ------
    ParticipantError
        If the run has fewer independent volumes than the template has maps, or has nothing in common with one of them.
    """
    n_voxels = signal.shape[1]
    whitening = whitening_of(signal, len(template))
    reference = (template - template.mean(axis=1, keepdims=True)).astype(signal.dtype)
    spread = np.sqrt(np.einsum("cv,cv->c", reference, reference) / n_voxels)
    closeness = whitening.matrix @ (signal @ reference.T).astype(np.float64) / (n_voxels * spread)
    length = np.linalg.norm(closeness, axis=0)
    if not (length > 1e-6).all():
        unrelated = ", ".join(str(k + 1) for k in np.flatnonzero(~(length > 1e-6)))
        raise ParticipantError(
            f"volume(s) {unrelated} of the template have nothing in common with the run (correlation 0); check that "
            "both are in one space, and that the run covers these regions"
        )
    weights, maps, converged = _ascend(signal, whitening.matrix, closeness)
    if not converged.all():
        logger.info("GIG-ICA: %d of %d components reached the limit of evaluations", (~converged).sum(), len(converged))
    # X S'/m = X X' M' W / m = E Λ^½ W: no need to go through the voxels again.
    return GuidedComponents(maps, whitening.dewhitening @ weights, (weights * closeness).sum(axis=0), converged)


@dataclass(frozen=True)
class _Step:
    """A step of some components along their headings; weights and maps are linear, so that it needs no look at the run.

    Attributes
    ----------
    active : array, (moving,)
        Which components move.
    headings : array, (component, voxel)
        Map of the direction of each component.
    size, length : array, (moving,)
        How far along the direction, and the length of the vector that this leads to, which is scaled back to 1.
    """

    active: Int[np.ndarray, " moving"]
    headings: Float[np.ndarray, "component voxel"]
    size: Float[np.ndarray, " moving"]
    length: Float[np.ndarray, " moving"]

    def moved(self, maps: Float[np.ndarray, "component voxel"], block: slice) -> Float[np.ndarray, "moving block"]:
        """Return a block of the maps after the step."""
        # all of them, as at first, need no copy
        rows = slice(None) if len(self.active) == len(maps) else self.active
        moved = self.headings[rows, block] * self.size[:, None].astype(maps.dtype)
        moved += maps[rows, block]
        moved /= self.length[:, None].astype(maps.dtype)
        return np.asarray(moved)

    def only(self, chosen: Bool[np.ndarray, " moving"]) -> "_Step":
        """Return the step of a part of the components."""
        return _Step(self.active[chosen], self.headings, self.size[chosen], self.length[chosen])


def _ascend(
    signal: Float[np.ndarray, "time voxel"],
    whitening: Float[np.ndarray, "direction time"],
    closeness: Float[np.ndarray, "direction component"],
) -> tuple[
    Float[np.ndarray, "direction component"], Float[np.ndarray, "component voxel"], Bool[np.ndarray, " component"]
]:
    """Climb O from the references, each component with a step of its own, until none moves any more."""
    weights = closeness / np.linalg.norm(closeness, axis=0)
    maps = _project(signal, whitening, weights)
    gamma = _gamma(maps)
    scale = np.tan(np.pi * np.clip((weights * closeness).sum(axis=0), 0, 1 - 1e-9) / 2) / np.square(gamma)
    objective = _objective(gamma, weights, closeness, scale)
    gradient = _gradient(gamma, _slope(signal, whitening, maps), closeness, scale)
    steepness = np.linalg.norm(gradient, axis=0)
    headings = _project(signal, whitening, gradient / steepness)
    step = np.ones(weights.shape[1])
    evaluations = np.ones(weights.shape[1], dtype=np.int64)
    active: Int[np.ndarray, " moving"] = np.arange(weights.shape[1])
    converged = np.zeros(weights.shape[1], dtype=bool)
    while len(active):
        trial = weights[:, active] + step[active] * gradient[:, active] / steepness[active]
        length = np.linalg.norm(trial, axis=0)
        trial /= length
        towards = _Step(active, headings, step[active], length)
        gamma = _gamma(maps, towards)
        reached = _objective(gamma, trial, closeness[:, active], scale[active])
        evaluations[active] += 1
        done = np.square(trial - weights[:, active]).sum(axis=0) < _TOLERANCE
        better = reached - objective[active] >= _SUFFICIENT * step[active] * steepness[active]
        taken = active[better]
        weights[:, taken], objective[taken] = trial[:, better], reached[better]
        maps[taken] = towards.only(better).moved(maps, slice(None))
        step[active[~better]] /= 2
        converged[active[done]] = True
        going = ~done & (evaluations[active] < _MOST_EVALUATIONS)
        if (climbs := better & going).any():
            on = active[climbs]
            slope = _slope(signal, whitening, maps[on])
            gradient[:, on] = _gradient(gamma[climbs], slope, closeness[:, on], scale[on])
            steepness[on] = np.linalg.norm(gradient[:, on], axis=0)
            headings[on] = _project(signal, whitening, gradient[:, on] / steepness[on])
        active = active[going]
    return weights, maps, converged


def _project(
    signal: Float[np.ndarray, "time voxel"],
    whitening: Float[np.ndarray, "direction time"],
    weights: Float[np.ndarray, "direction moving"],
) -> Float[np.ndarray, "moving voxel"]:
    """Return the map w'Y of every vector."""
    return np.asarray((weights.T @ whitening).astype(signal.dtype) @ signal)


def _gamma(maps: Float[np.ndarray, "component voxel"], towards: "_Step | None" = None) -> Float[np.ndarray, " moving"]:
    """Return gamma of maps, or of those that a step would lead to."""
    log_cosh = np.zeros(len(maps) if towards is None else len(towards.length))
    ones = np.ones(_BLOCK, dtype=maps.dtype)
    for first in range(0, maps.shape[1], _BLOCK):
        block = slice(first, first + _BLOCK)
        values = maps[:, block].copy() if towards is None else towards.moved(maps, block)
        # log cosh y = |y| + log(1 + exp(-2 |y|)) - log 2
        np.abs(values, out=values)
        log_cosh += values @ ones[: values.shape[1]]
        values *= -2
        np.exp(values, out=values)
        values += 1
        log_cosh += _log_of_product(values)
    return np.asarray(log_cosh / maps.shape[1] - np.log(2) - _NORMAL_LOG_COSH)


def _slope(
    signal: Float[np.ndarray, "time voxel"],
    whitening: Float[np.ndarray, "direction time"],
    maps: Float[np.ndarray, "moving voxel"],
) -> Float[np.ndarray, "direction moving"]:
    """Return E[Y tanh(w'Y)] of every component from its map."""
    return np.asarray(whitening @ (signal @ np.tanh(maps).T).astype(np.float64) / signal.shape[1])


def _log_of_product(
    factors: Float[np.ndarray, "moving block"],
) -> Float[np.ndarray, " moving"]:
    """Return the sum over a block of the logarithms of numbers from 1 to 2, by one logarithm for 32 of them."""
    width = factors.shape[1] // _FACTORS
    rest = np.log(factors[:, _FACTORS * width :]).sum(axis=1)
    products = factors[:, : _FACTORS * width]
    while products.shape[1] > width:
        half = products.shape[1] // 2
        products = products[:, :half] * products[:, half:]
    return np.asarray(np.log(products).sum(axis=1, dtype=np.float64) + rest)


def _objective(
    gamma: Float[np.ndarray, " moving"],
    weights: Float[np.ndarray, "direction moving"],
    closeness: Float[np.ndarray, "direction moving"],
    scale: Float[np.ndarray, " moving"],
) -> Float[np.ndarray, " moving"]:
    independence = 2 / np.pi * np.arctan(scale * np.square(gamma))
    return np.asarray(_WEIGHT * independence + (1 - _WEIGHT) * (weights * closeness).sum(axis=0))


def _gradient(
    gamma: Float[np.ndarray, " moving"],
    slope: Float[np.ndarray, "direction moving"],
    closeness: Float[np.ndarray, "direction moving"],
    scale: Float[np.ndarray, " moving"],
) -> Float[np.ndarray, "direction moving"]:
    steepness = 2 / np.pi * scale / (1 + np.square(scale * np.square(gamma))) * 2 * gamma
    return np.asarray(_WEIGHT * steepness * slope + (1 - _WEIGHT) * closeness)
