r"""Singular values of weight gradients from small float64 problems.

A layer that sees rows :math:`H \in R^{N \times n}` and back-propagates :math:`\Delta \in R^{N \times m}` has the weight
gradient :math:`G = \Delta^T H`. Two ways lead to the singular values of :math:`G_g = \Delta_g^T H_g` for a group g of
its rows, and of all.

- Sample side, :math:`N \le \min(m, n)`: with thin factorisations :math:`H^T = Q_H R_H` and
  :math:`\Delta^T = Q_\Delta R_\Delta`, whose columns belong to the rows of the layer,
  :math:`G_g = Q_\Delta R_{\Delta,g} R_{H,g}^T Q_H^T`, so that :math:`\sigma(G_g) = \sigma(R_{\Delta,g} R_{H,g}^T)`:
  one pair of factorisations, of N columns each, serves every group and pooled. Householder's is backward stable column
  by column, hence a group of small rows keeps its digits beside large ones, and what is rank-deficient comes out as
  zero. Gram matrices would square the condition number, and a group whose samples share a class is ill-conditioned.
- Parameter side, :math:`N > \min(m, n)`: eigenvalues of :math:`G_g G_g^T` or :math:`G_g^T G_g`, whichever is smaller.

Functions take stacks of problems of one size, so that equal shapes of several layers and groups are solved together,
and must run under ``torch.no_grad``: ``eigvalsh`` computes vectors too for tensors that require grad.
"""

import torch
from jaxtyping import Float64
from torch import Tensor

# Narrower Gram matrices are not worth two products.
_HALVED = 32


def triangle(rows: Float64[Tensor, "*problem row column"]) -> Float64[Tensor, "*problem side row"]:
    """Factor R of thin QR of the transpose, a column a row; as high as the smaller side."""
    factor: Tensor = torch.linalg.qr(rows.mT, mode="r").R
    return factor


def product_of_triangles(
    r_h: Float64[Tensor, "problem side row"], r_delta: Float64[Tensor, "problem side row"]
) -> Float64[Tensor, "problem side smaller"]:
    r"""A matrix with the singular values of :math:`R_\Delta R_H^T`, with no more columns than there are rows.

    :math:`R_H` is factorised once more, to as many rows as the group has.
    """
    side, rows = r_h.shape[-2:]
    return r_delta @ (triangle(r_h.mT) if rows < side else r_h).mT


def small_gram(matrix: Float64[Tensor, "row column"]) -> Float64[Tensor, "side side"]:
    """Gram matrix of a matrix on its smaller side.

    It is symmetric: of its four quarters, three are computed where they are large.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT
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
