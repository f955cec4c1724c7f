r"""Singular values of weight gradients from small float64 problems.

A layer that sees rows :math:`H \in R^{N \times n}` and back-propagates :math:`\Delta \in R^{N \times m}` has the weight
gradient :math:`G = \Delta^T H`. Three ways lead to its singular values.

- Sample side, :math:`N \le \min(m, n)`: with :math:`K_H = H H^T = L L^T` and :math:`K_\Delta = \Delta \Delta^T`, the
  non-zero eigenvalues of :math:`G^T G = H^T K_\Delta H` are those of :math:`L^T K_\Delta L`, an :math:`N \times N`
  problem. A group of samples is a block of both Gram matrices.
- QR, where rounding of the former could show: with thin factorisations :math:`H^T = Q_H R_H` and
  :math:`\Delta^T = Q_\Delta R_\Delta`, :math:`\sigma(G) = \sigma(R_\Delta R_H^T)`.
- Parameter side, :math:`N > \min(m, n)`: eigenvalues of :math:`G G^T` or :math:`G^T G`, whichever is smaller.

Every function takes a stack of problems of one size, so that equal shapes of several layers and groups are solved
together, and must run under ``torch.no_grad``: ``eigvalsh`` computes vectors too for tensors that require grad.
"""

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

EPS = torch.finfo(torch.float64).eps

# Relative to the largest singular value; what the sample side promises for every singular value.
TOLERANCE = 1e-12


def gram_singular_values(
    k_h: Float64[Tensor, "problem row row"], k_delta: Float64[Tensor, "problem row row"]
) -> tuple[Float64[Tensor, "problem row"], Bool[Tensor, " problem"]]:
    r"""Singular values of :math:`\Delta^T H` from the Gram matrices of its rows.

    An error of :math:`\epsilon \|K_H\| \|K_\Delta\|` in the eigenvalues :math:`\sigma^2` is one of
    :math:`\epsilon \|K_H\| \|K_\Delta\| / 2\sigma` in a singular value. A problem is certified when that stays under
    the tolerance for its smallest one; the others (rank-deficient, or with strong cancellation) are left to QR.

    Returns
    -------
    singular values, descending, and which problems are certified.
    """
    scale = k_h.diagonal(dim1=-2, dim2=-1).mean(-1)
    jitter = torch.diag_embed((1e-15 * scale)[:, None].expand(k_h.shape[:2]))
    factor, info = torch.linalg.cholesky_ex(k_h + jitter)
    eigenvalues = torch.linalg.eigvalsh(factor.mT @ k_delta @ factor)
    values = eigenvalues.clamp(min=0).sqrt().flip(-1)
    error = EPS * torch.linalg.matrix_norm(k_h) * torch.linalg.matrix_norm(k_delta)
    certified = (info == 0) & (error <= TOLERANCE * values[:, 0] * values[:, -1])
    return values, certified


def qr_singular_values(
    h: Float64[Tensor, "problem row input"], delta: Float64[Tensor, "problem row output"]
) -> Float64[Tensor, "problem row"]:
    r"""Singular values of :math:`\Delta^T H` from thin QR of its factors, for no more rows than inputs or outputs."""
    r_h = torch.linalg.qr(h.mT, mode="r").R
    r_delta = torch.linalg.qr(delta.mT, mode="r").R
    values: Tensor = torch.linalg.svdvals(r_delta @ r_h.mT)
    return values


def small_gram(matrix: Float64[Tensor, "*problem row column"]) -> Float64[Tensor, "*problem side side"]:
    """Gram matrix of each matrix on its smaller side."""
    rows, columns = matrix.shape[-2:]
    return matrix @ matrix.mT if rows <= columns else matrix.mT @ matrix


def root_eigenvalues(gram: Float64[Tensor, "problem side side"]) -> Float64[Tensor, "problem side"]:
    """Singular values, descending, of the matrices whose Gram matrices are given."""
    values: Tensor = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt().flip(-1)
    return values
