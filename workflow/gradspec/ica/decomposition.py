r"""Independent component analysis of whitened data: the infomax contrast, solved to second order.

For whitened data :math:`Z` (components × voxels) and sources :math:`Y = W Z` the loss is

.. math:: \mathcal L(W) = -\log|\det W| + \sum_i E[\log\cosh y_i],

the likelihood of super-Gaussian sources that infomax climbs (Bell & Sejnowski 1995; Cardoso 1997). Its relative
gradient is :math:`G = E[\tanh(Y) Y^\top] - I`. A few steps of symmetric FastICA (Hyvärinen 1999) with the same
nonlinearity lead near the solution; a quasi-Newton solver finishes: L-BFGS, preconditioned by the Hessian of
independent sources, which falls apart into blocks :math:`[[h_{ij}, 1], [1, h_{ji}]]`, :math:`h_{ij} = E[(1-\tanh^2 y_i)
y_j^2]` (Picard: Ablin, Cardoso & Gramfort 2018, IEEE Trans. Signal Process. 66:4040, eqs. 8-14 and algorithm 2).
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Square = Float[np.ndarray, "component component"]

_SMALLEST_CURVATURE = 0.01  # eigenvalues of the Hessian blocks are lifted to this
_MEMORY = 7
_BACKTRACKS = 10
_FASTICA_TOLERANCE = 1e-3
_FASTICA_STEPS = 50


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
        Largest entry of the relative gradient at the end.
    n_iterations : int
        Number of quasi-Newton steps.
    """

    unmixing: Square
    converged: bool
    gradient: float
    n_iterations: int


def infomax(
    whitened: Float[np.ndarray, "component voxel"],
    rng: np.random.Generator,
    *,
    tolerance: float = 1e-4,
    max_iterations: int = 300,
) -> Solution:
    """Find independent components from a random start.

    Parameters
    ----------
    whitened : array, (component, voxel)
        Whitened data, zero mean and unit covariance over voxels; float32 halves the time.
    rng : Generator
        Source of the random start.
    tolerance : float
        Largest entry of the relative gradient at which the solution is accepted.
    max_iterations : int
        Most quasi-Newton steps.

    Returns
    -------
    Solution
        The unmixing, and whether it was found.
    """
    n_components = len(whitened)
    start, _ = np.linalg.qr(rng.standard_normal((n_components, n_components)))
    return _quasi_newton(whitened, _fastica(whitened, start), tolerance, max_iterations)


def relative_gradient(sources: Float[np.ndarray, "component voxel"]) -> Square:
    r"""Return :math:`E[\tanh(Y) Y^\top] - I`, zero at a solution."""
    return _gradient(np.tanh(sources), sources)


def _fastica(whitened: Float[np.ndarray, "component voxel"], unmixing: Square) -> Square:
    """Approach the solution by symmetric FastICA, logcosh contrast (Hyvärinen 1999, eqs. 20 and 45)."""
    n_voxels = whitened.shape[1]
    for _ in range(_FASTICA_STEPS):
        score = np.tanh(unmixing.astype(whitened.dtype) @ whitened)
        slope = 1 - np.einsum("cv,cv->c", score, score, dtype=np.float64) / n_voxels
        left, _, right = np.linalg.svd((score @ whitened.T) / n_voxels - slope[:, None] * unmixing)
        previous, unmixing = unmixing, left @ right
        if np.abs(np.abs(np.einsum("cd,cd->c", unmixing, previous)) - 1).max() < _FASTICA_TOLERANCE:
            break
    return unmixing


def _quasi_newton(
    whitened: Float[np.ndarray, "component voxel"], unmixing: Square, tolerance: float, max_iterations: int
) -> Solution:
    """Minimise the loss from a point near its minimum."""
    memory: deque[tuple[Square, Square, float]] = deque(maxlen=_MEMORY)
    sources = unmixing.astype(whitened.dtype) @ whitened
    loss = _loss(unmixing, sources)
    step = np.zeros_like(unmixing)
    gradient = np.zeros_like(unmixing)
    for iteration in range(max_iterations + 1):
        score = np.tanh(sources)
        previous, gradient = gradient, _gradient(score, sources)
        largest = float(np.abs(gradient).max())
        if largest < tolerance or iteration == max_iterations:
            break
        if iteration:
            change = gradient - previous
            curvature = float(np.vdot(step, change))
            if curvature > 0:
                memory.append((step, change, curvature))
        curvatures = _curvatures(score, sources)
        found = _line_search(whitened, unmixing, loss, _direction(gradient, curvatures, memory))
        if found is None and memory:  # the memory misleads: go on without
            memory.clear()
            found = _line_search(whitened, unmixing, loss, _direction(gradient, curvatures, memory))
        if found is None:
            break
        step, unmixing, sources, loss = found
    return Solution(unmixing, largest < tolerance, largest, iteration)


def _line_search(
    whitened: Float[np.ndarray, "component voxel"], unmixing: Square, loss: float, direction: Square
) -> tuple[Square, Square, Float[np.ndarray, "component voxel"], float] | None:
    """Halve the step until the loss falls; return step, unmixing, sources and loss there, or None."""
    for halving in range(_BACKTRACKS):
        step = direction * 0.5**halving
        candidate = unmixing + step @ unmixing
        sources = candidate.astype(whitened.dtype) @ whitened
        reached = _loss(candidate, sources)
        # Near the minimum the fall of the loss is smaller than its rounding in float32.
        if reached < loss + 1e-7 * abs(loss):
            return step, candidate, sources, reached
    return None


def _loss(unmixing: Square, sources: Float[np.ndarray, "component voxel"]) -> float:
    size = np.abs(sources)
    log_cosh = size.sum(dtype=np.float64) + np.log1p(np.exp(-2 * size)).sum(dtype=np.float64)
    return float(log_cosh / sources.shape[1] - len(sources) * np.log(2) - np.linalg.slogdet(unmixing)[1])


def _gradient(score: Float[np.ndarray, "component voxel"], sources: Float[np.ndarray, "component voxel"]) -> Square:
    return np.asarray((score @ sources.T).astype(np.float64) / sources.shape[1] - np.eye(len(sources)))


def _curvatures(score: Float[np.ndarray, "component voxel"], sources: Float[np.ndarray, "component voxel"]) -> Square:
    """Return the h_ij, lifted so that every 2 × 2 block is positive definite."""
    n_components, n_voxels = sources.shape
    h = ((1 - np.square(score)) @ np.square(sources).T).astype(np.float64) / n_voxels
    smallest = (h + h.T - np.sqrt(np.square(h - h.T) + 4)) / 2
    lift = np.maximum(_SMALLEST_CURVATURE - smallest, 0)
    lift[np.diag_indices(n_components)] = 0  # the diagonal is h_ii + 1, positive as it is
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
