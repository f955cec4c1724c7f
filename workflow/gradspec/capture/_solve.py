r"""Singular values of weight gradients from small float64 problems: the numerical kernels.

A layer that sees rows :math:`H \in R^{N \times n}` and back-propagates :math:`\Delta \in R^{N \times m}` has the weight
gradient :math:`G = \Delta^T H`. Two ways lead to the singular values of :math:`G_g = \Delta_g^T H_g` for a group g of
its rows, and of all.

- Sample side, :math:`N \le \min(m, n)`: with triangles :math:`R_H^T R_H = H H^T` and :math:`R_\Delta^T R_\Delta =
  \Delta \Delta^T`, whose columns belong to the rows of the layer, :math:`\sigma(G_g) = \sigma(T_\Delta T_H^T)`, where
  :math:`T` is the triangle of the columns of g. One factor a weight serves every group, and any other grouping of the
  same samples. It comes from the Gram matrix of the rows, which costs a third of a QR factorisation, where Cholesky's
  pivots certify that it holds enough digits: a group whose samples share a class is ill-conditioned, and a Gram matrix
  squares the condition. The product of triangles is not squared again.
- Parameter side, :math:`N > \min(m, n)`: eigenvalues of :math:`G_g G_g^T` or :math:`G_g^T G_g`, whichever is smaller.

Functions take stacks of problems of one size, so that equal shapes of layers, groups and steps are solved together,
and must run under ``torch.no_grad``: ``eigvalsh`` computes vectors too for tensors that require grad.
"""

from functools import cache

import numpy as np
import torch
from jaxtyping import Float64
from threadpoolctl import LibController, ThreadpoolController
from torch import Tensor

# Narrower Gram matrices are not worth two products.
_HALVED = 32
# Error of a triangle from a Gram matrix, relative to its columns.
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
    r"""The same of rows longer than they are many, by Cholesky's factorisation of their Gram matrix where it will do.

    A rounding E of a Gram matrix K changes its square root, and so the triangle up to a rotation that no singular value
    sees, by at most :math:`\|E\| / (2 \sqrt{\lambda_{min}(K)})`. All of it relative to the rows, whose lengths change
    nothing, E is below N·eps; and a pivot, which is the share of a row's square that the rows before it leave, tells
    the size of the smallest eigenvalue.
    """
    if rows.shape[1] <= len(rows):
        return triangle(rows)
    gram = small_gram(rows)
    factor: Tensor = torch.linalg.cholesky_ex(gram).L
    least = (len(gram) * _EPSILON / _ALLOWED) ** 2
    pivots = zip(factor.diagonal().tolist(), gram.diagonal().tolist(), strict=True)
    return factor.mT if all(pivot * pivot >= least * square > 0 for pivot, square in pivots) else triangle(rows)


def span_of_triangle(
    triangles: Float64[Tensor, "problem row row"], start: int, end: int
) -> Float64[Tensor, "problem member member"]:
    """Triangles of a span of the rows that others belong to."""
    if (start, end) == (0, triangles.shape[-1]):
        return triangles
    return triangle(triangles[:, :, start:end].mT)


def small_gram(matrix: Float64[Tensor, "row column"]) -> Float64[Tensor, "side side"]:
    """Gram matrix of a matrix on its smaller side, by numpy, which knows that it is symmetric and computes half of it.

    Where numpy has several threads, which would spin beside those of torch, torch computes three of its four quarters.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT
    if numpy_has_one_thread():
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


def numpy_has_one_thread() -> bool:
    """Whether numpy computes products on one thread, as it does under ``OMP_NUM_THREADS=1``."""
    return all(library.get_num_threads() == 1 for library in _numpy_libraries())


@cache
def _numpy_libraries() -> list[LibController]:
    libraries: list[LibController] = ThreadpoolController().select(user_api="blas").lib_controllers
    return libraries


def root_eigenvalues(gram: Float64[Tensor, "problem side side"]) -> Float64[Tensor, "problem side"]:
    """Singular values, descending, of the matrices whose Gram matrices are given."""
    values: Tensor = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt().flip(-1)
    return values
