r"""What a step has captured of one weight: rows of small layers, per-group gradients of large ones.

Used several times in a step (a shared module, several batches before the optimiser steps) a layer has
:math:`G_g = \sum_u \Delta_{g,u}^T H_{g,u}`: its rows are stacked, or its gradients summed, before any spectrum is
taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from operator import add
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from gradspec.capture._groups import Groups
from gradspec.capture._layer import Weight, total
from gradspec.capture._logits import LogitRows, Readout
from gradspec.capture._solve import small_gram, triangle_of_long

if TYPE_CHECKING:
    from gradspec.capture._step import StepCapture

SAMPLE_SIDE = "sample side"
PARAMETER_SIDE = "parameter side"
# Rows of a use that are kept as rows whichever the side: taking a few apart by group costs more than their product,
# unless it is done for several steps at once.
FEW_ROWS = 64

# Rows of every sample of a batch: as many, or so many of each.
Positions = int | Int[np.ndarray, " sample"]


@dataclass(frozen=True)
class RowUse:
    """Rows of one use of a layer, sample by sample; or the transpose of the triangle of H in place of H."""

    h: Float[Tensor, "row n"]
    delta: Float[Tensor, "row m"]
    groups: Groups
    batch: int
    label: int | None
    h_is_triangle: bool = False


class WeightCapture:
    """What a step has captured for one weight, m outputs by n inputs.

    Attributes
    ----------
    uses : list of RowUse
        The uses on the sample side.
    row_labels : list of list of int
        Label of each row of those uses.
    row_counts : list of int
        Rows of each label, the rest last, whichever the side; empty before the first.
    positions : dict
        Rows of each sample of a batch, by batch.
    gradients : dict
        Gradient (m, n) of each label that has samples, summed over the uses on the parameter side.
    samples : dict
        Where every sample is captured apart, the gradient (m, n) of each, by batch and place in it.
    logits : list of Tensor or None
        Its outputs in every use, where they are the logits of a softmax.
    moments : dict
        For ``activation`` and ``delta`` on the parameter side: rows of each label, to be reduced by `Moments`.
    """

    def __init__(self, weight: Weight, step: "StepCapture") -> None:
        self.weight = weight
        self.step = step
        self.uses: list[RowUse] = []
        self.row_labels: list[list[int]] = []
        self.row_counts: list[int] = []
        self.positions: dict[int, Positions] = {}
        self.gradients: dict[int, Float[Tensor, "m n"]] = {}
        self.samples: dict[tuple[int, int], Float[Tensor, "m n"]] = {}
        self.logits: list[Tensor | None] = []
        self.sample_labels: dict[tuple[int, int], int] = {}
        m, n = weight.shape
        widths = {"activation": n, "delta": m}
        self.moments = {kind: Moments(widths[kind]) for kind in step.kinds if kind in widths and kind in weight.kinds}

    @property
    def empty(self) -> bool:
        return not self.row_counts

    def add_rows(self, h: Float[Tensor, "row n"], delta: Float[Tensor, "row m"], positions: int) -> None:
        """Add one use of the layer on the sample side, by its rows in the order of the samples."""
        step = self.step
        # Copies, so that a buffer which is reused before the step ends does no harm.
        self.uses.append(RowUse(h.clone(), delta.clone(), step.rows, step.batch, step.label))
        self.row_labels.append(step.row_labels(positions))
        self._count(positions)

    def add_gradient(self, part: int, gradient: Float[Tensor, "m n"]) -> None:
        """Add the gradient, dense or with sparse rows, of one part of the batch in one use on the parameter side."""
        step = self.step
        self._add_gradient(step.rows, step.batch, step.label, part, gradient)

    def count_rows(self, part: int, positions: Positions) -> None:
        """Count one use of the layer with so many rows per sample, told once for each part."""
        if part == self.step.rows.filled[0]:
            self._count(positions)

    def add_moments(self, kind: str, rows: Sequence[Float[Tensor, "row width"]]) -> None:
        """Add the rows of H or Δ of one use on the parameter side, a part of the batch each."""
        if kind in self.moments:
            self._add_moments(kind, rows, self.step.rows, self.step.label)

    def ranks(self, kind: str = "gradient") -> list[int]:
        """Most non-zero singular values that each group, then pooled, can have."""
        m, n = self.weight.shape
        width = {"gradient": min(m, n), "activation": n, "delta": m}[kind]
        counts = self.row_counts
        return [min(width, count) for count in (*counts[:-1], sum(counts))]

    @property
    def is_readout(self) -> bool:
        """Whether its outputs are the logits of a softmax in every use, so that a dimension is missing."""
        readout = self.readout({})
        if readout is not None:
            readout.settle()
        return readout is not None and readout.adds_up_to_zero

    def readout(self, spectra: dict[str, Float64[np.ndarray, "group index"]]) -> Readout | None:
        """What is to be looked at where all uses are read-outs, once the spectra are there."""
        if not self.logits or any(each is None for each in self.logits) or self.weight.shape[0] == 1:
            return None
        logits = [each for each in self.logits if each is not None]
        rows = [(labels, use.delta) for use, labels in zip(self.uses, self.row_labels, strict=True)]
        of_labels = [*self.gradients.items(), *((self.sample_labels[key], g) for key, g in self.samples.items())]
        gradients = [LogitRows.of([label] * len(each.mT), each.mT, torch.float32) for label, each in of_labels]
        return Readout(gradients, rows, logits, [of_kind for kind, of_kind in spectra.items() if kind != "activation"])

    @property
    def is_on_sample_side(self) -> bool:
        """Whether there are no more rows in the whole step than the weight has inputs or outputs."""
        return not (self.gradients or self.samples) and sum(self.row_counts) <= min(self.weight.shape)

    def settle(self, parameter_side: bool = False) -> str:
        """Choose the side by the rows of the whole step, unless asked for one, and bring all uses to it.

        A few rows stay rows, whose groups are told apart when they are solved.
        """
        if not parameter_side and self.is_on_sample_side:
            return SAMPLE_SIDE
        if parameter_side or not self.has_few_rows:
            self._move_to_parameter_side()
        if not self.gradients:
            for key, gradient in self.samples.items():
                self._sum(self.sample_labels[key], gradient)
        return PARAMETER_SIDE

    @property
    def has_few_rows(self) -> bool:
        """Whether all there is are rows, so few that their groups are best told apart with those of other steps."""
        return (
            not (self.gradients or self.samples or self.moments)
            and sum(self.row_counts) <= FEW_ROWS
            and all(use.groups.division == "groups" for use in self.uses)
        )

    def rows(self) -> tuple[Float64[Tensor, "row n"], Float64[Tensor, "row m"]]:
        """H and Δ of all uses on the sample side, stacked."""
        h, delta = [use.h.double() for use in self.uses], [use.delta.double() for use in self.uses]
        return (h[0], delta[0]) if len(self.uses) == 1 else (torch.cat(h), torch.cat(delta))

    def triangles(self) -> list[Float64[Tensor, "row row"]]:
        """The triangles of H and Δ on the sample side."""
        h, delta = self.rows()
        return [h.mT if self.uses[0].h_is_triangle else triangle_of_long(h), triangle_of_long(delta)]

    def condense(self) -> int:
        """Let a triangle stand for the inputs of a single use on the sample side; gives the bytes that are captured.

        For all spectra, rows are as good as others that have the same products with each other.
        """
        if self.is_on_sample_side and len(self.uses) == 1 and not self.step.stays_on_device:
            h = triangle_of_long(self.uses[0].h.double())
            if isfinite(float(h.sum())):
                self.uses[0] = replace(self.uses[0], h=h.mT, h_is_triangle=True)
        tensors = [rows for use in self.uses for rows in (use.h, use.delta)]
        tensors += [*self.gradients.values(), *self.samples.values()]
        tensors += [tensor for moments in self.moments.values() for tensor in moments.tensors()]
        return sum(tensor._values().nbytes if tensor.is_sparse else tensor.nbytes for tensor in tensors)

    def to_host(self) -> None:
        """Copy what is on an accelerator to the host."""
        self.gradients = {label: gradient.cpu() for label, gradient in self.gradients.items()}
        self.samples = {key: gradient.cpu() for key, gradient in self.samples.items()}
        self.uses = [replace(use, h=use.h.cpu(), delta=use.delta.cpu()) for use in self.uses]
        for moments in self.moments.values():
            moments.to_host()

    def group_gradients(self, in_double: bool = True) -> list[Float[Tensor, "row n"] | None]:
        """Gradients of each declared group, None where it is empty, then their sum with the rest.

        Of a gradient that is kept sparse, the rows that are not zero, which have the same singular values. In double
        precision, or in that of the network.
        """
        by_label = {label: gradient.double() if in_double else gradient for label, gradient in self.gradients.items()}
        gradients = [*(by_label.get(group) for group in range(self.step.n_groups)), total(list(by_label.values()))]
        return [_nonzero_rows(gradient) for gradient in gradients]

    def _count(self, positions: Positions) -> None:
        step = self.step
        times = step.rows.times
        of_samples = positions * times if isinstance(positions, int) else positions.reshape(-1, times).sum(1)
        self.positions[step.batch] = self.positions.get(step.batch, 0) + of_samples
        if isinstance(positions, int):
            counts = [count * positions for count in step.rows.counts]
        else:
            n_labels = len(step.rows.counts)
            counts = np.bincount(step.rows.labels, positions, minlength=n_labels).astype(int).tolist()
        if step.label is not None:
            counts = [sum(counts) if label == step.label else 0 for label in range(len(counts))]
        self.row_counts = [*map(add, self.row_counts, counts)] if self.row_counts else counts

    def _add_gradient(
        self, groups: Groups, batch: int, label: int | None, part: int, gradient: Float[Tensor, "m n"]
    ) -> None:
        if groups.division == "samples":
            self.sample_labels[batch, part] = groups.part_labels[part]
            previous = self.samples.get((batch, part))
            self.samples[batch, part] = gradient if previous is None else _sum_of(previous, gradient)
        else:
            self._sum(groups.part_labels[part] if label is None else label, gradient)

    def _sum(self, label: int, gradient: Float[Tensor, "m n"]) -> None:
        previous = self.gradients.get(label)
        self.gradients[label] = gradient if previous is None else _sum_of(previous, gradient)

    def _add_moments(
        self, kind: str, rows: Sequence[Float[Tensor, "row width"]], groups: Groups, label: int | None
    ) -> None:
        labels = groups.part_labels if label is None else [label] * len(groups.parts)
        for part in groups.filled:
            self.moments[kind].add(labels[part], rows[part])
        self.moments[kind].fold()

    def _move_to_parameter_side(self) -> None:
        for use in self.uses:
            h_parts, delta_parts = (split_rows(use.groups, rows.double()) for rows in (use.h, use.delta))
            for part in use.groups.filled:
                self._add_gradient(use.groups, use.batch, use.label, part, delta_parts[part].mT @ h_parts[part])
            for kind, parts in (("activation", h_parts), ("delta", delta_parts)):
                if kind in self.moments:
                    self._add_moments(kind, parts, use.groups, use.label)
        self.uses.clear()
        self.row_labels.clear()


class Moments:
    """Rows of each label, folded into their Gram matrix once they are more than their width."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.rows: dict[int, list[Float64[Tensor, "row width"]]] = {}
        self.grams: dict[int, Float64[Tensor, "width width"]] = {}

    def add(self, label: int, rows: Float[Tensor, "row width"]) -> None:
        """Add rows of a label."""
        self.rows.setdefault(label, []).append(_float64_copy(rows))

    def tensors(self) -> list[Tensor]:
        """All that is held."""
        return [*(part for parts in self.rows.values() for part in parts), *self.grams.values()]

    def fold(self) -> None:
        """Fold the rows where they have become many."""
        if not self.grams and sum(map(len, self.tensors())) <= self.width:
            return
        for label, parts in self.rows.items():
            grams = [part.mT @ part for part in parts]
            self.grams[label] = total([self.grams[label], *grams] if label in self.grams else grams)
        self.rows.clear()

    def to_host(self) -> None:
        """Copy what is on an accelerator to the host."""
        self.rows = {label: [part.cpu() for part in parts] for label, parts in self.rows.items()}
        self.grams = {label: gram.cpu() for label, gram in self.grams.items()}

    def gram_matrices(self, n_groups: int) -> list[Float64[Tensor, "side side"] | None]:
        """Gram matrix, on either side, of the rows of each declared group, None where it is empty; last, of all."""
        if self.grams:
            return [*(self.grams.get(group) for group in range(n_groups)), total(list(self.grams.values()))]
        rows = {label: torch.cat(parts) for label, parts in self.rows.items()}
        of_groups = [small_gram(rows[group]) if group in rows else None for group in range(n_groups)]
        return [*of_groups, small_gram(torch.cat(list(rows.values())))]


def split_rows(groups: Groups, rows: Float[Tensor, "row width"]) -> list[Float[Tensor, "part_row width"]]:
    """Rows of each part of the batch, from rows in the order of the samples."""
    by_sample = rows.reshape(groups.size, -1, rows.shape[-1])
    return [groups.pick(by_sample, part).reshape(-1, rows.shape[-1]) for part in range(len(groups.parts))]


def _sum_of(first: Tensor, second: Tensor) -> Tensor:
    """Sum of gradients, sparse while both are."""
    return second + first if first.is_sparse else first + second


def _nonzero_rows(gradient: Tensor | None) -> Float64[Tensor, "row n"] | None:
    if gradient is None or not gradient.is_sparse:
        return gradient
    rows = gradient.coalesce().values()
    return rows if len(rows) else gradient.new_zeros(1, gradient.shape[1], layout=torch.strided)


def _float64_copy(tensor: Tensor) -> Float64[Tensor, "..."]:
    return tensor.to(torch.float64, copy=True)
