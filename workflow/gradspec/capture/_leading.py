r"""Leading singular values of a wide gradient, each with a bound of its error, for a fraction of the cost of all.

With :math:`A = G G^T` of the smaller side m and an orthonormal U from a few steps of block Krylov iteration, A is in
the basis :math:`(U, U_\perp)`

.. math:: \begin{pmatrix} T & R^T \\ R & S \end{pmatrix}, \quad T = U^T A U, \; R^T R = U^T A (I - U U^T) A U.

- *From below*: the eigenvalues :math:`\theta_i` of T are at most those of A (Cauchy).
- *From above*: for any :math:`\mu > a \ge \|S\|`, as many eigenvalues of A exceed :math:`\mu` as of
  :math:`T + R^T R / (\mu - a)` at most do (Sylvester's law of inertia for the Schur complement), so that
  :math:`\lambda_i(A) \le \max(\mu, \lambda_i(T + R^T R / (\mu - a)))`; and :math:`\lambda_i(A) \le \theta_i + a`
  (Weyl). T and R are small and known.
- *What the basis may have missed*: a is the norm of what is orthogonal to U, which no residual shows. It is at most
  :math:`\|G\|_F^2 - \operatorname{tr} T`; and the largest Ritz value :math:`\xi` of s blocks
  :math:`\Omega, S \Omega, \dots` of another Krylov space, from a normal :math:`\Omega` that G knows nothing of, bounds
  it by

.. math:: \|S\| \le \xi \left(1 + \sinh^2 \frac{\operatorname{arsinh}(\|\Omega\| / z)}{2 s - 1}\right)

  unless the part of :math:`\Omega` along the leading eigenvector, whose square is :math:`\chi^2` distributed with as
  many degrees of freedom as :math:`\Omega` has columns, is shorter than z, which is chosen so that this has a
  probability of 1e-10. It follows as Kuczyński and Woźniakowski's bound for one vector does, by Chebyshev polynomials.

Products with G are as exact as it is; what they round is allowed for, in proportion to the Frobenius norm.

References
----------
Kuczyński and Woźniakowski 1992, "Estimating the largest eigenvalue by the power and Lanczos algorithms with a random
start", SIAM J. Matrix Anal. Appl. 13:1094. Parlett 1998, "The Symmetric Eigenvalue Problem", chapters 10 and 11.
Musco and Musco 2015, "Randomized block Krylov methods for stronger and faster approximate singular value
decomposition".
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from gradspec.capture._solve import small_gram

# Blocks of the first basis and of the largest.
_FEWEST_BLOCKS = 3
_MOST_BLOCKS = 6
# Blocks of the space that shows what the basis may have missed, and the probability that it does not.
_WITNESS_BLOCKS = 2
_PROBABILITY = 1e-10
# Seeds of the two starts, which no network is likely to have.
_START, _WITNESS = 20_241_301, 20_241_302
# Error, relative to the largest singular value, above which the basis is made larger.
_WANTED = 1e-3
# Rounding of products with the gradient, in units of its precision and of its Frobenius norm.
_ROUNDING = 16
# Entries of which the Frobenius norm is computed at a time, so that copies in double precision need no new pages.
_ENTRIES = 12_000
# Part of a block that may lie in the blocks before it, in units of the precision, and attempts to have it no larger.
_OVERLAP = 16
_ATTEMPTS = 6
# Up to this side all values take no longer.
_EXACT_IS_CHEAP = 256

SPECTRA = ("exact", "leading", "auto")
BOUND = "gradient_bound"
NORM = "gradient_norm"


@dataclass(frozen=True)
class Leading:
    """Which gradients have leading singular values only, and how many.

    Attributes
    ----------
    spectrum : str
        One of `SPECTRA`.
    count : int
        Singular values that are wanted.
    """

    spectrum: str
    count: int

    def __str__(self) -> str:
        return "exact" if self.spectrum == "exact" else f"{self.spectrum}, {self.count} leading"

    def takes(self, shape: tuple[int, int]) -> bool:
        """Whether gradients of this shape are so wide."""
        cheap = {"exact": math.inf, "leading": 0, "auto": _EXACT_IS_CHEAP}[self.spectrum]
        return min(shape) > cheap and min(shape) >= narrowest(self.count)


def narrowest(count: int) -> int:
    """Smaller side from which on a gradient has room for the bases."""
    return _width(count) * (_FEWEST_BLOCKS + _WITNESS_BLOCKS)


def _width(count: int) -> int:
    """Columns of a block."""
    return count + max(count // 2, 2)


class _NoBasisError(Exception):
    """No block was found that is orthogonal to those before it."""


@dataclass(frozen=True)
class LeadingValues:
    """Leading singular values, descending; how far each may be too small or too large; and the Frobenius norm."""

    values: Float64[Tensor, " index"]
    bounds: Float64[Tensor, " index"]
    norm: Float64[Tensor, ""]


@torch.no_grad()
def leading_values(gradient: Float[Tensor, "m n"], count: int) -> LeadingValues:
    """Leading singular values of a gradient, with bounds that hold but for a probability below 1e-9.

    Parameters
    ----------
    gradient : Tensor
        In single or double precision, its smaller side at least `narrowest`.
    count : int
        Singular values that are wanted.

    Returns
    -------
    LeadingValues
        All NaN where the gradient is not finite. The same gradient gives the same values, whatever came before.
    """
    wide = gradient if gradient.shape[0] <= gradient.shape[1] else gradient.mT
    norm = frobenius_norm(gradient)
    if not math.isfinite(float(norm)):
        unknown = norm.new_full((count,), math.nan)
        return LeadingValues(unknown, unknown, unknown[0])
    # Squares and fourth powers of what is small would underflow in single precision.
    scale = float(norm)
    if scale == 0:
        return LeadingValues(norm.new_zeros(count), norm.new_zeros(count), norm)
    small = scale < 1e-12 and gradient.dtype == torch.float32
    factor = scale if small or scale > 1e12 else 1.0
    wide = wide if factor == 1 else wide / factor
    try:
        values, bounds = _refined(wide, float(norm) / factor, count)
    except _NoBasisError:
        values = torch.linalg.svdvals(wide.double())[:count]
        bounds = torch.full_like(values, _ROUNDING * torch.finfo(torch.float64).eps * float(norm) / factor)
    return LeadingValues(values * factor, bounds * factor, norm)


def frobenius_norm(gradient: Float[Tensor, "m n"]) -> Float64[Tensor, ""]:
    """Frobenius norm, added up in double precision."""
    squares = [
        torch.linalg.vector_norm(rows.double()).square()
        for rows in torch.split(gradient, max(_ENTRIES // gradient.shape[1], 1))
    ]
    return torch.stack(squares).sum().sqrt()


def _refined(
    wide: Float[Tensor, "m n"], norm: float, count: int
) -> tuple[Float64[Tensor, " index"], Float64[Tensor, " index"]]:
    width = _width(count)
    rounding = _ROUNDING * torch.finfo(wide.dtype).eps * norm
    space = _Space(wide, _product(wide, _normal(wide.shape[1], width, wide.dtype, wide.device, _START)))
    most_blocks = min(_MOST_BLOCKS, len(wide) // width - _WITNESS_BLOCKS)
    while True:
        space.grow()
        if len(space.blocks) < _FEWEST_BLOCKS:
            continue
        below, above = _bounds(space, norm, count)
        bounds = above - below + rounding
        enough = float(bounds.max()) <= _WANTED * float(below[0])
        if enough or len(space.blocks) == most_blocks:
            return below, bounds


class _Space:
    """A block Krylov space of A = G Gᵀ, orthonormal, orthogonal to another basis, and the products of G with it.

    Attributes
    ----------
    blocks, images : list of Tensor
        The blocks U_j (m, width), and GᵀU_j (n, width).
    rest : Tensor
        What of the product of A with the last block is orthogonal to all.
    """

    def __init__(self, wide: Float[Tensor, "m n"], start: Tensor, beside: Float[Tensor, "m p"] | None = None) -> None:
        self._wide = wide
        self._beside = [] if beside is None else [beside]
        self.blocks: list[Float[Tensor, "m width"]] = []
        self.images: list[Float[Tensor, "n width"]] = []
        self._start = start
        self._rest: Float[Tensor, "m width"] | None = None

    @property
    def rest(self) -> Float[Tensor, "m width"]:
        if self._rest is None:
            self._rest = self._without(_product(self._wide, self.images[-1]))
        return self._rest

    def grow(self) -> None:
        """Add a block."""
        block = self._orthonormal(self.rest if self.blocks else self._start)
        self.blocks.append(block)
        self.images.append(_product(self._wide.mT, block))
        self._rest = None

    def basis(self) -> Float[Tensor, "m size"]:
        return torch.cat(self.blocks, 1)

    def gram(self) -> Float64[Tensor, "size size"]:
        """UᵀAU, in double precision of the products."""
        images = torch.cat(self.images, 1).double()
        return small_gram(images)

    def _orthonormal(self, block: Float[Tensor, "m width"]) -> Float[Tensor, "m width"]:
        """Orthonormal columns that span a block and are orthogonal to all before it.

        What is left of a block of low rank is rounding, which QR completes by columns that lie anywhere.
        """
        block = torch.linalg.qr(block).Q
        if not self._known:
            return block
        known = torch.cat(self._known, 1)
        allowed = _OVERLAP * torch.finfo(block.dtype).eps
        for _ in range(_ATTEMPTS):
            block = torch.linalg.qr(block - known @ (known.mT @ block)).Q
            if float(torch.linalg.vector_norm(known.mT @ block)) <= allowed * block.shape[1]:
                return block
        raise _NoBasisError

    def _without(self, block: Float[Tensor, "m width"]) -> Float[Tensor, "m width"]:
        """What of a block is orthogonal to all."""
        known = torch.cat(self._known, 1)
        for _ in range(2):
            block = block - known @ (known.mT @ block)
        return block

    @property
    def _known(self) -> list[Tensor]:
        return [*self._beside, *self.blocks]


def _product(matrix: Float[Tensor, "row column"], block: Float[Tensor, "column width"]) -> Float[Tensor, "row width"]:
    """Product with a block of few columns, by the matrix as it lies in memory; transposed takes half as long again."""
    is_transposed = matrix.stride(0) == 1
    return (block.mT @ matrix.mT).mT if is_transposed else matrix @ block


def _bounds(space: _Space, norm: float, count: int) -> tuple[Float64[Tensor, " index"], Float64[Tensor, " index"]]:
    """The leading singular values from below, and from above."""
    gram, rest = space.gram(), space.rest.double()
    theta = torch.linalg.eigvalsh(gram).flip(0)[:count].clamp(min=0)
    missed = min(_missed(space), max(norm**2 - float(gram.trace()), 0.0))
    # A sum of squares is rounded in proportion to itself.
    missed += float(torch.finfo(torch.float64).eps) * len(gram) * norm**2
    coupling = torch.zeros_like(gram)
    coupling[-rest.shape[1] :, -rest.shape[1] :] = rest.mT @ rest
    above = theta + missed
    for index in _cuts(count):
        gap = float(theta[index - 1]) - missed
        if gap > 0:
            shifted = torch.linalg.eigvalsh(gram + coupling / gap).flip(0)
            above[:index] = torch.minimum(above[:index], shifted[:index])
    return theta.sqrt(), torch.maximum(above, theta).sqrt()


def _missed(space: _Space) -> float:
    """Upper bound of the squared norm of what is orthogonal to a space, but for a small probability."""
    basis = space.basis()
    width = space.blocks[0].shape[1]
    start = _normal(len(basis), width, basis.dtype, basis.device, _WITNESS)
    start = start - basis @ (basis.mT @ start)
    longest = float(torch.linalg.eigvalsh((start.mT @ start).double())[-1].clamp(min=0).sqrt())
    witness = _Space(space._wide, start, basis)
    for _ in range(_WITNESS_BLOCKS):
        witness.grow()
    largest = float(torch.linalg.eigvalsh(witness.gram())[-1].clamp(min=0))
    share = math.asinh(longest / _shortest(width)) / (2 * _WITNESS_BLOCKS - 1)
    return largest * (1 + math.sinh(share) ** 2)


def _shortest(width: int) -> float:
    """Length that a normal vector of so many entries falls below with `_PROBABILITY` at most."""
    half = width / 2
    return math.sqrt(2) * math.exp((math.log(_PROBABILITY) + math.lgamma(half + 1)) / width)


def _cuts(count: int) -> list[int]:
    """Numbers of values that are bounded together, by the last of them."""
    cuts = [4**power for power in range(count.bit_length()) if 4**power < count]
    return [*cuts, count]


@lru_cache(maxsize=64)
def _normal(rows: int, width: int, dtype: torch.dtype, device: torch.device, seed: int) -> Float[Tensor, "row width"]:
    """Normal numbers that no gradient depends on; the same every time, so that a step is what its gradient makes it."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, width, generator=generator, dtype=torch.float64).to(device, dtype)
