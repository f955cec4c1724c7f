r"""Singular values of weight gradients from small float64 problems: the numerical kernels.

A layer that sees rows :math:`H \in R^{N \times n}` and back-propagates :math:`\Delta \in R^{N \times m}` has the weight
gradient :math:`G = \Delta^T H`. Two ways lead to the singular values of :math:`G_g = \Delta_g^T H_g` for a group g of
its rows, and of all.

- Sample side, :math:`N \le \min(m, n)`: with triangles :math:`R_H^T R_H = H H^T` and :math:`R_\Delta^T R_\Delta =
  \Delta \Delta^T`, whose columns belong to the rows of the layer, :math:`\sigma(G_g) = \sigma(T_\Delta T_H^T)`, where
  :math:`T` is the triangle of the columns of g. One factor a weight serves every group, and any other grouping of the
  same samples. It comes from a QR factorisation, for long rows from their Gram matrix, which costs half as much, where
  its inverse certifies that it holds enough digits: a group whose samples share a class is ill-conditioned, and a Gram
  matrix squares the condition. The product of triangles is not squared again.
- Parameter side, :math:`N > \min(m, n)`: eigenvalues of :math:`G_g G_g^T` or :math:`G_g^T G_g`, whichever is smaller.

Functions take stacks of problems of one size, so that equal shapes of layers, groups and steps are solved together,
and must run under ``torch.no_grad``: ``eigvalsh`` computes vectors too for tensors that require grad.
"""

import os

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

# Narrower Gram matrices are not worth two products.
_HALVED = 32
# Told before numpy came, that it is to compute products on one thread.
NUMPY_HAS_ONE_THREAD = os.environ.get("OPENBLAS_NUM_THREADS", os.environ.get("OMP_NUM_THREADS")) == "1"
# Times as long as they are many, rows have a Gram matrix that is worth trying.
_LONG = 8
# Relative error of a triangle from a Gram matrix.
_ALLOWED = 1e-12
_EPSILON = 2.2e-16


def triangle(rows: Float64[Tensor, "*problem row column"]) -> Float64[Tensor, "*problem side row"]:
    """Factor R of thin QR of the transpose, a column a row; as high as the smaller side.

    Householder's is backward stable column by column: a group of small rows keeps its digits beside large ones, and
    what is rank-deficient comes out as zero.
    """
    factor: Tensor = torch.linalg.qr(rows.mT, mode="r").R
    return factor


def triangle_of_long(rows: Float64[Tensor, "row column"]) -> Float64[Tensor, "row row"]:
    r"""The same of few long rows, by Cholesky's factorisation of their Gram matrix where that is as good.

    With the rows scaled to length one, which changes nothing, a rounding E of their Gram matrix K multiplies the
    triangle by :math:`I + F`, :math:`\|F\| \le \|K^{-1}\| \|E\|` to first order, and so no singular value that follows
    from it by a larger factor. E is below N·eps, and the Frobenius norm bounds the norm of the inverse.
    """
    if rows.shape[1] < _LONG * len(rows) or rows.device.type != "cpu":
        return triangle(rows)  # an accelerator would have to wait for the certificate
    gram = small_gram(rows)
    factor: Tensor = torch.linalg.cholesky_ex(gram).L
    inverse = torch.linalg.solve_triangular(factor, gram.diagonal().sqrt().diag(), upper=False)
    is_as_good = float((inverse @ inverse.mT).norm()) * len(gram) * _EPSILON <= _ALLOWED
    return factor.mT if is_as_good else triangle(rows)


def span_of_triangle(
    triangles: Float64[Tensor, "problem row row"], start: int, end: int
) -> Float64[Tensor, "problem member member"]:
    """Triangles of a span of the rows that others belong to."""
    if (start, end) == (0, triangles.shape[-1]):
        return triangles
    return triangle(triangles[:, :, start:end].mT)


def small_gram(matrix: Float64[Tensor, "row column"]) -> Float64[Tensor, "side side"]:
    """Gram matrix of a matrix on its smaller side, by numpy, which knows that it is symmetric and computes half of it.

    Where numpy may have several threads, which would spin beside those of torch, and on an accelerator, torch computes
    three of its four quarters.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT
    if NUMPY_HAS_ONE_THREAD and wide.device.type == "cpu":
        rows = wide.numpy()
        with np.errstate(invalid="ignore", over="ignore"):
            return torch.from_numpy(rows @ rows.T)
    half = len(wide) // 2
    if half < _HALVED:
        return wide @ wide.mT
    gram = wide.new_empty(len(wide), len(wide))
    torch.mm(wide[:half], wide[:half].mT, out=gram[:half, :half])
    torch.mm(wide[half:], wide.mT, out=gram[half:])
    gram[:half, half:] = gram[half:, :half].mT
    return gram


def root_eigenvalues(gram: Float64[Tensor, "problem side side"]) -> Float64[Tensor, "problem side"]:
    """Singular values, descending, of the matrices whose Gram matrices are given."""
    values: Tensor = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt().flip(-1)
    return values
