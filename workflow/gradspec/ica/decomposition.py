r"""Independent component analysis of whitened data: the infomax contrast, solved to second order, and its relatives.

For whitened data :math:`Z` (components × voxels) and sources :math:`Y = W Z` the loss is

.. math:: \mathcal L(W) = -\log|\det W| + \sum_i E[\log\cosh y_i],

the likelihood of super-Gaussian sources that infomax climbs (Bell & Sejnowski 1995; Cardoso 1997). Its relative
gradient is :math:`G = E[\tanh(Y) Y^\top] - I`. A few steps of symmetric FastICA (Hyvärinen 1999) with the same
nonlinearity lead near the solution; a quasi-Newton solver goes on, first on a part of the voxels, which gives it
up to sampling error, then on all: L-BFGS, preconditioned by the Hessian of independent sources, which falls
apart into blocks :math:`[[h_{ij}, 1], [1, h_{ji}]]`, :math:`h_{ij} = E[(1-\tanh^2 y_i) y_j^2]` (Picard: Ablin,
Cardoso & Gramfort 2018, IEEE Trans. Signal Process. 66:4040, eqs. 8-14 and algorithm 2).

`fastica` goes on to the solution of FastICA's own equation (W orthogonal); `runica` climbs the same likelihood as
`infomax` by the stochastic rule of EEGLAB and GIFT, for parity with them.
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from gradspec.ica.moments import ArrayMoments, Infomax, Moments, moments_of

logger = logging.getLogger(__name__)

Square = Float[np.ndarray, "component component"]

_SMALLEST_CURVATURE = 0.01  # eigenvalues of the Hessian blocks are lifted to this
_MEMORY = 7
_BACKTRACKS = 10
_ROUNDING = 1e-6  # of the loss, relative
_FASTICA_TOLERANCE = 1e-3
_FASTICA_STEPS = 10
_THINNED_VOXELS = 50  # a component, at least, that the steps far from the solution make do with
_BLOWUP = 1e8  # a weight beyond it: runica starts again, slower


@dataclass(frozen=True)
class Solution:
    """Unmixing that one start of the decomposition ended in.

    Attributes
    ----------
    unmixing : array, (component, component)
        Sources are ``unmixing @ whitened``.
    converged : bool
        Whether the gradient fell below the tolerance.
    gradient : float
        What the tolerance is compared with, at the end: the largest entry of the relative gradient (infomax), the
        largest turn of a component in the last step (fastica), the squared size of the last step (runica).
    n_iterations : int
        Number of steps, or passes over the voxels.
    """

    unmixing: Square
    converged: bool
    gradient: float
    n_iterations: int


def infomax(
    whitened: Float[np.ndarray, "component voxel"] | Moments,
    rng: np.random.Generator,
    *,
    start: Square | None = None,
    tolerance: float = 1e-4,
    max_iterations: int = 300,
) -> Solution:
    """Find independent components from a random start.

    Parameters
    ----------
    whitened : array, (component, voxel), or Moments
        Whitened data, zero mean and unit covariance over voxels; float32 halves the time.
    rng : Generator
        Source of the random start.
    start : array, (component, component), optional
        Unmixing to start from instead.
    tolerance : float
        Largest entry of the relative gradient at which the solution is accepted.
    max_iterations : int
        Most quasi-Newton steps.

    Returns
    -------
    Solution
        The unmixing, and whether it was found.
    """
    moments = _moments(whitened)
    if start is not None:
        return _quasi_newton(moments, start, tolerance, max_iterations)
    start = _random_rotation(moments, rng)
    steps = [step for step in (16, 4) if moments.n_voxels >= step * _THINNED_VOXELS * moments.n_components]
    nearer = _fastica(moments.thinned(max(steps, default=1)), start, _FASTICA_TOLERANCE, _FASTICA_STEPS)
    for step in steps:
        nearer = _quasi_newton(moments.thinned(step), nearer.unmixing, 10 * tolerance, max_iterations)
    return _quasi_newton(moments, nearer.unmixing, tolerance, max_iterations, near=bool(steps) and nearer.converged)


def fastica(
    whitened: Float[np.ndarray, "component voxel"] | Moments,
    rng: np.random.Generator,
    *,
    start: Square | None = None,
    tolerance: float = 1e-5,
    max_iterations: int = 500,
) -> Solution:
    """Find independent components by symmetric FastICA with the logcosh contrast (Hyvärinen 1999, eqs. 20 and 45).

    Parameters
    ----------
    whitened : array, (component, voxel), or Moments
        Whitened data.
    rng : Generator
        Source of the random start.
    start : array, (component, component), optional
        Unmixing to start from instead.
    tolerance : float
        Turn of a component in a step (1 - |cosine|) at which the solution is accepted.
    max_iterations : int
        Most steps.

    Returns
    -------
    Solution
        The unmixing, orthogonal, and whether it was found.
    """
    moments = _moments(whitened)
    return _fastica(moments, _random_rotation(moments, rng) if start is None else start, tolerance, max_iterations)


def runica(
    whitened: Float[np.ndarray, "component voxel"],
    rng: np.random.Generator,
    *,
    start: Square | None = None,
    tolerance: float = 1e-6,
    max_iterations: int = 512,
) -> Solution:
    r"""Find independent components by the infomax rule of EEGLAB's ``runica``, as GIFT calls it.

    On :math:`x = 2 z`, in blocks of :math:`B = \lfloor\sqrt{m/3}\rfloor` voxels in random order, :math:`u = W x + b`,
    :math:`y = \sigma(u)`: :math:`W \leftarrow W + r (B I + (1 - 2y) u^\top) W`, :math:`b \leftarrow b + r \sum (1 -
    2y)`, from the rate :math:`r = 0.015 / \ln K` on, which falls to nine tenths where successive passes turn by more
    than 60°. There is no random start (W = I, as in the original); what is random is the order of the voxels. It runs
    on a processor only: its many small steps, one after the other, leave nothing to a graphics card.

    Parameters
    ----------
    whitened : array, (component, voxel)
        Whitened data.
    rng : Generator
        Source of the order of the voxels.
    start : array, (component, component), optional
        Unmixing to start from.
    tolerance : float
        Squared change of W in a pass at which the solution is accepted.
    max_iterations : int
        Most passes.

    Returns
    -------
    Solution
        The unmixing of `whitened`, and whether it was found.
    """
    n_components, n_voxels = whitened.shape
    data = np.ascontiguousarray(2 * whitened.T.astype(np.float32))
    block = max(int(np.sqrt(n_voxels / 3)), 1)
    rate = 0.015 / np.log(max(n_components, 2))
    first_weights = np.eye(n_components, dtype=np.float32) if start is None else (start / 2).astype(np.float32)
    fresh = pass_ = _Pass(first_weights, np.zeros(n_components, dtype=np.float32), None)
    change = np.inf
    for iteration in range(1, max_iterations + 1):
        order = rng.permutation(n_voxels)
        weights, bias = pass_.weights.copy(), pass_.bias.copy()
        with np.errstate(over="ignore", invalid="ignore"):  # weights that blow up are seen below
            for first in range(0, n_voxels - block + 1, block):
                u = data[order[first : first + block]] @ weights.T + bias
                slope = -np.tanh(u / 2)  # 1 - 2 σ(u)
                update = slope.T @ u
                update[np.diag_indices(n_components)] += block
                weights += np.float32(rate) * (update @ weights)
                bias += np.float32(rate) * slope.sum(axis=0)
        if not np.abs(weights).max() < _BLOWUP:
            rate *= 0.8
            logger.info("runica: the weights blew up; starting again at a rate of %.1e", rate)
            pass_ = fresh
            continue
        delta = (weights - pass_.weights).astype(np.float64).ravel()
        change = float(delta @ delta)
        turned = False
        if iteration > 2 and pass_.delta is not None:
            cosine = delta @ pass_.delta / np.sqrt(change * (pass_.delta @ pass_.delta) + np.finfo(float).tiny)
            turned = np.degrees(np.arccos(np.clip(cosine, -1, 1))) > 60
        if turned:
            rate *= 0.9
        pass_ = _Pass(weights, bias, delta if turned or pass_.delta is None else pass_.delta)
        if iteration > 2 and change < tolerance:
            break
    return Solution(2 * pass_.weights.astype(np.float64), change < tolerance, change, iteration)


@dataclass(frozen=True)
class _Pass:
    """What one pass of runica hands to the next: weights, bias, and the change that turns are measured against."""

    weights: Square
    bias: Float[np.ndarray, " component"]
    delta: Float[np.ndarray, " n"] | None


Solver: TypeAlias = Callable[..., Solution]
ALGORITHMS: dict[str, Solver] = {"infomax": infomax, "fastica": fastica, "runica": runica}


def solve(
    whitened: Float[np.ndarray, "component voxel"],
    rng: np.random.Generator,
    algorithm: str = "infomax",
    device: str = "cpu",
    *,
    bootstrap: bool = False,
) -> Solution:
    """Decompose whitened data once.

    Parameters
    ----------
    whitened : array, (component, voxel)
        Whitened data.
    rng : Generator
        Source of the random start, and of the bootstrap.
    algorithm : {'infomax', 'fastica', 'runica'}
        One of `ALGORITHMS`.
    device : str
        ``cpu``, or a device of torch; see `moments_of`. runica runs on the processor in any case.
    bootstrap : bool
        Whether to decompose as many voxels drawn with replacement, instead of all of them.

    Returns
    -------
    Solution
        Unmixing of `whitened`.
    """
    if bootstrap:
        n_voxels = whitened.shape[1]
        drawn = whitened[:, rng.integers(n_voxels, size=n_voxels)]
        values, vectors = np.linalg.eigh((drawn @ drawn.T).astype(np.float64) / n_voxels)
        again = (vectors / np.sqrt(values)) @ vectors.T  # the sample of voxels is only about white
        found = solve(again.astype(whitened.dtype) @ drawn, rng, algorithm, device)
        return replace(found, unmixing=found.unmixing @ again)
    return ALGORITHMS[algorithm](whitened if algorithm == "runica" else moments_of(whitened, device), rng)


def _moments(whitened: Float[np.ndarray, "component voxel"] | Moments) -> Moments:
    return ArrayMoments(whitened) if isinstance(whitened, np.ndarray) else whitened


def _random_rotation(moments: Moments, rng: np.random.Generator) -> Square:
    return np.asarray(np.linalg.qr(rng.standard_normal((moments.n_components, moments.n_components)))[0])


def relative_gradient(sources: Float[np.ndarray, "component voxel"]) -> Square:
    r"""Return :math:`E[\tanh(Y) Y^\top] - I`, zero at a solution."""
    return np.asarray(np.tanh(sources) @ sources.T / sources.shape[1] - np.eye(len(sources)))


def _fastica(moments: Moments, unmixing: Square, tolerance: float, max_iterations: int) -> Solution:
    """Take steps of symmetric FastICA until none turns a component by more than the tolerance."""
    turn = np.inf
    iteration = 0
    while turn >= tolerance and iteration < max_iterations:
        product, slope = moments.fastica(unmixing)
        left, _, right = np.linalg.svd(product - slope[:, None] * unmixing)
        previous, unmixing = unmixing, left @ right
        turn = float(np.abs(np.abs(np.einsum("cd,cd->c", unmixing, previous)) - 1).max())
        iteration += 1
    return Solution(unmixing, turn < tolerance, turn, iteration)


@dataclass(frozen=True)
class _Point:
    """An unmixing, the step that led there, and what is known about the loss there."""

    unmixing: Square
    step: Square
    loss: float
    gradient: Square
    curvature: Square


def _evaluate(moments: Moments, unmixing: Square, step: Square, curvature: Square | None = None) -> _Point:
    """Sum over the voxels what is to be known at an unmixing; the curvature only where it is not given."""
    found: Infomax = moments.infomax(unmixing, curvature is None)
    loss = found.log_cosh - float(np.linalg.slogdet(unmixing)[1])
    bend = curvature if found.curvature is None else found.curvature
    assert bend is not None
    return _Point(unmixing, step, loss, found.score - np.eye(len(unmixing)), bend)


def _quasi_newton(
    moments: Moments, unmixing: Square, tolerance: float, max_iterations: int, *, near: bool = False
) -> Solution:
    """Minimise the loss from a point near its minimum; so near that the curvature is that of the start, or not."""
    memory: deque[tuple[Square, Square, float]] = deque(maxlen=_MEMORY)
    point = _evaluate(moments, unmixing, np.zeros_like(unmixing))
    kept = point.curvature if near else None
    iteration = 0
    while np.abs(point.gradient).max() >= tolerance and iteration < max_iterations:
        curvature = _lifted(point.curvature)
        reached = _line_search(moments, point, _direction(point.gradient, curvature, memory), kept)
        if reached is None and memory:  # the memory misleads: go on without
            memory.clear()
            reached = _line_search(moments, point, _direction(point.gradient, curvature, memory), kept)
        if reached is None:
            break
        change = reached.gradient - point.gradient
        if (agreement := float(np.vdot(reached.step, change))) > 0:
            memory.append((reached.step, change, agreement))
        point = reached
        iteration += 1
    largest = float(np.abs(point.gradient).max())
    return Solution(point.unmixing, largest < tolerance, largest, iteration)


def _line_search(moments: Moments, point: _Point, direction: Square, curvature: Square | None) -> _Point | None:
    """Halve the step until the loss falls; return the point there, or None."""
    for halving in range(_BACKTRACKS):
        step = direction * 0.5**halving
        reached = _evaluate(moments, point.unmixing + step @ point.unmixing, step, curvature)
        if reached.loss < point.loss:
            return reached
        # Near the minimum the fall of the loss is smaller than its rounding in float32, that of the gradient is not.
        closer = np.linalg.norm(reached.gradient) < np.linalg.norm(point.gradient)
        if closer and reached.loss < point.loss + _ROUNDING * abs(point.loss):
            return reached
    return None


def _lifted(h: Square) -> Square:
    """Return the h_ij, lifted so that every 2 × 2 block is positive definite."""
    smallest = (h + h.T - np.sqrt(np.square(h - h.T) + 4)) / 2
    lift = np.maximum(_SMALLEST_CURVATURE - smallest, 0)
    lift[np.diag_indices(len(h))] = 0  # the diagonal is h_ii + 1, positive as it is
    return np.asarray(h + lift)


def _direction(gradient: Square, h: Square, memory: deque[tuple[Square, Square, float]]) -> Square:
    """Return the L-BFGS direction (two-loop recursion) with the block Hessian as its start."""
    q = gradient.copy()
    weights = []
    for step, change, curvature in reversed(memory):
        weight = np.vdot(step, q) / curvature
        weights.append(weight)
        q -= weight * change
    q = _solve_blocks(q, h)
    for (step, change, curvature), weight in zip(memory, reversed(weights), strict=True):
        q += (weight - np.vdot(change, q) / curvature) * step
    return -q


def _solve_blocks(right: Square, h: Square) -> Square:
    """Solve the 2 × 2 systems of the block Hessian; on the diagonal the block is the number h_ii + 1."""
    diagonal = np.diag_indices(len(h))
    determinant = h * h.T - 1
    determinant[diagonal] = 1
    solved = (h.T * right - right.T) / determinant
    solved[diagonal] = np.diag(right) / (np.diag(h) + 1)
    return np.asarray(solved)
