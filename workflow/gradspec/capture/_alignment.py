r"""Alignment of the gradients of two groups of samples, from steps that were kept.

Of the gradients A of a group and B of all other groups together, with singular vectors :math:`U_A, V_A` and
:math:`U_B, V_B` of their k largest singular values: the cosine :math:`\langle A, B \rangle / (\|A\| \|B\|)`, the
principal angles :math:`\theta_i = \arccos \sigma_i(U_A^T U_B)` between the spaces of outputs that they change most
(Björck and Golub 1973), of which the overlap :math:`\frac{1}{k} \sum_i \cos^2 \theta_i` and the largest are given, and
the same of the inputs from V. Singular vectors of what is rounding mean nothing: k is at most the rank of either.

On the sample side the triangles hold :math:`\Delta = T_\Delta^T Q_\Delta^T` and :math:`H = T_H^T Q_H^T` of all samples,
so that the gradient of a group is :math:`Q_\Delta (T_\Delta T_H^T)_g Q_H^T`: in bases that all groups share, the small
:math:`(T_\Delta T_H^T)_g` has the same cosines and angles.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int
from torch import Tensor

from gradspec.capture._groups import Groups
from gradspec.capture._history import Step
from gradspec.capture._layer import Weight
from gradspec.capture._regroup import Kept, labels_of, sum_members

ALIGNMENTS = ("gradient_cosine", "output_overlap", "output_angle", "input_overlap", "input_angle")
N_LEADING = 2
"""Largest number of singular vectors that are compared."""

_EPSILON = 2.0**-23  # of the single precision that networks compute in


@dataclass
class AlignedStep:
    """Alignments (group, measure) of each weight in a step, NaN where a group or all others have no samples."""

    step: Step
    weights: dict[Weight, Float64[np.ndarray, "group measure"]]


@torch.no_grad()
def align(
    kept: Iterable[Kept], labels: Int[Tensor, " sample"] | Sequence[Int[Tensor, " sample"]], names: Sequence[str]
) -> Iterator[AlignedStep]:
    """Alignment of each group with the others together, in every kept step.

    Parameters
    ----------
    kept : iterable of Kept
        The steps.
    labels : Tensor or sequence of Tensor
        A label for each sample of the data set, or the labels of each step.
    names : sequence of str
        Names of the groups.

    Yields
    ------
    AlignedStep
        With a last row, pooled, that is NaN.
    """
    for position, step in enumerate(kept):
        groups = Groups(labels_of(step, labels, position), names)
        found = {}
        for weight, of_group in _group_gradients(step, groups):
            table = np.full((len(names) + 1, len(ALIGNMENTS)), np.nan)
            leading: dict[int, Leading] = {}
            present = [label for label, count in enumerate(groups.counts[: len(names)]) if count]
            if len(present) > 1 and bool(of_group.isfinite().all()):
                total = of_group.sum(0)
                for group in present:
                    rest = [other for other in present if other != group]
                    one = leading.setdefault(group, Leading.of(of_group[group], weight.shape))
                    if len(rest) == 1:
                        other = leading.setdefault(rest[0], Leading.of(of_group[rest[0]], weight.shape))
                    else:
                        other = Leading.of(total - of_group[group], weight.shape)
                    table[group] = one.compare(other)
            found[weight] = table
        yield AlignedStep(step.step, found)


@dataclass
class Leading:
    """A matrix with the singular vectors of its largest singular values."""

    matrix: Float64[Tensor, "m n"]
    left: Float64[Tensor, "m k"]
    right: Float64[Tensor, "n k"]

    @classmethod
    def of(cls, matrix: Float64[Tensor, "m n"], shape: tuple[int, ...]) -> "Leading":
        """Take the vectors of at most `N_LEADING` singular values, none of them rounding for a weight of that shape."""
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        k = min(N_LEADING, int((values > _EPSILON * max(shape) * values[0]).sum()))
        return cls(matrix, left[:, :k], right[:k].mT)

    def compare(self, other: "Leading") -> list[float]:
        """Measures of `ALIGNMENTS`; NaN where a gradient is zero."""
        k = min(self.left.shape[1], other.left.shape[1])
        if k == 0:
            return [np.nan] * len(ALIGNMENTS)
        norms = torch.linalg.norm(self.matrix) * torch.linalg.norm(other.matrix)
        measures = [float((self.matrix * other.matrix).sum() / norms)]
        for own, its in ((self.left, other.left), (self.right, other.right)):
            cosines = torch.linalg.svdvals(own[:, :k].mT @ its[:, :k]).clamp(max=1.0)
            measures += [float(cosines.square().mean()), float(torch.rad2deg(cosines[-1].arccos()))]
        return measures


def _group_gradients(step: Kept, groups: Groups) -> Iterator[tuple[Weight, Float64[Tensor, "group m n"]]]:
    """Gradient of each group of every weight, in bases that all groups share."""
    members = np.arange(groups.n_groups)[:, None] == np.array(groups.labels)
    for rows in step.rows:
        of_rows = torch.from_numpy(members[:, rows.row_samples]).double()
        for position, weight in enumerate(rows.weights):
            h, delta = rows.triangles[2 * position], rows.triangles[2 * position + 1]
            yield weight, (delta * of_rows[:, None]) @ h.mT
    for weight, gradients in step.gradients.items():
        yield weight, sum_members(gradients, members)
