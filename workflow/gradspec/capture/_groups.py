"""Which samples of a batch belong to which group, and how rows of a tensor are picked by group."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float64, Int, Shaped
from torch import Tensor

from gradspec.capture.errors import GroupError, RowsError

Index = slice | Tensor
Division = Literal["groups", "samples", "whole"]


class Groups:
    """The samples of one batch, divided into parts that are captured apart.

    The parts are the declared groups and the rest, unless something else is asked for.

    Parameters
    ----------
    ids : Tensor
        Integer, one entry a sample: the position of its group in `names`, or -1 for a sample that counts only in the
        pooled spectrum.
    names : sequence of str
        The declared groups.
    division : "groups" or "samples" or "whole"
        Whether the parts are the groups and the rest, or every sample is a part, or all samples are a single one.

    Attributes
    ----------
    division : str
        As given.
    labels : array of int
        Group of each sample; the rest has the label ``n_groups``.
    counts : array of int
        Samples of each label, the rest included.
    parts : list of slice or Tensor
        Indices of the samples of each part. Samples that stand together are a slice, which picks rows without a copy.
    part_labels : list of int
        The label that the samples of each part have; that of the first where there are several.
    filled : list of int
        The parts that have samples.

    Raises
    ------
    GroupError
        When `ids` is not a one-dimensional integer tensor with values in -1 … len(names) - 1.
    """

    def __init__(self, ids: Int[Tensor, " sample"], names: Sequence[str], division: Division = "groups") -> None:
        _check(ids)
        # numpy, which is faster than torch at many operations on few numbers
        labels: Int[np.ndarray, " sample"] = ids.detach().to("cpu", torch.int64).numpy().copy()
        _check_range(labels, names)
        self.size = len(labels)
        self.n_groups = len(names)
        labels[labels < 0] = self.n_groups
        self.labels = labels
        self.division = division
        self.counts = np.bincount(labels, minlength=self.n_groups + 1)
        self.parts: list[Index]
        self.part_labels: list[int]
        self.filled: list[int]
        order = self._divide(division)
        self._inverse = None if order is None else torch.from_numpy(order.argsort())

    def _divide(self, division: Division) -> Int[np.ndarray, " sample"] | None:
        """Make the parts; gives the samples part by part, None where they stand so."""
        if division == "whole":
            self.parts, self.part_labels, self.filled = [slice(0, self.size)], [int(self.labels[0])], [0]
            return None
        if division == "samples":
            self.parts = [slice(sample, sample + 1) for sample in range(self.size)]
            self.part_labels, self.filled = self.labels.tolist(), list(range(self.size))
            return None
        counts = self.counts.tolist()
        self.part_labels = list(range(self.n_groups + 1 if counts[-1] else self.n_groups))
        self.filled = [label for label in self.part_labels if counts[label]]
        ends = list(accumulate(counts))
        is_sorted = bool((self.labels[1:] >= self.labels[:-1]).all())
        order = None if is_sorted else self.labels.argsort(kind="stable")
        spans = [(ends[label] - counts[label], ends[label]) for label in self.part_labels]
        self.parts = [slice(*span) if order is None else _as_slice(order[slice(*span)]) for span in spans]
        return order

    def pick(self, tensor: Shaped[Tensor, "..."], part: int, dim: int = 0) -> Shaped[Tensor, "..."]:
        """Entries of `tensor` along its batch dimension `dim` that belong to a part."""
        index = self.parts[part]
        if isinstance(index, slice):
            return tensor.narrow(dim, index.start, index.stop - index.start)
        return tensor.index_select(dim, index.to(tensor.device))

    def join(self, tensors: Sequence[Shaped[Tensor, "..."]], dim: int) -> Shaped[Tensor, "..."]:
        """The whole batch, in its order, from the tensors of its parts that are not empty: the inverse of `pick`."""
        if len(tensors) == 1:
            return tensors[0]
        joined = torch.cat(list(tensors), dim)
        if self._inverse is None:
            return joined
        return joined.index_select(dim, self._inverse.to(joined.device))

    def check_batch(self, shape: Sequence[int], dim: int, layer: str) -> None:
        """Raise `RowsError` unless dimension `dim` of what a layer sees is the batch."""
        if dim < len(shape) and shape[dim] == self.size:
            return
        raise RowsError(
            f"{layer} saw a tensor of shape {tuple(shape)}, whose dimension {dim} should be the batch of {self.size} "
            f"samples that the group labels describe. Pass the labels of the samples of this batch to step(); where "
            f"samples and positions were flattened into one dimension, give the layer (sample, position, feature)."
        )


def _as_slice(index: Int[np.ndarray, " member"]) -> Index:
    """`index` (ascending) as a slice where its entries stand together."""
    if len(index) == 0:
        return slice(0, 0)
    first, last = int(index[0]), int(index[-1])
    return slice(first, last + 1) if last - first + 1 == len(index) else torch.from_numpy(index)


def _check(ids: Tensor, what: str = "group labels") -> None:
    if not isinstance(ids, Tensor):
        raise GroupError(f"{what} must be an integer tensor with one entry a sample, not {type(ids).__name__}")
    if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise GroupError(f"{what} must be integers (labels: positions in the list of groups, or -1), not {ids.dtype}")
    if ids.ndim != 1 or len(ids) == 0:
        raise GroupError(f"{what} must have one entry a sample of the batch, not shape {tuple(ids.shape)}")


def _check_range(ids: Int[np.ndarray, " sample"], names: Sequence[str]) -> None:
    low, high = int(ids.min()), int(ids.max())
    if low < -1 or high >= len(names):
        raise GroupError(
            f"group ids must lie in -1 … {len(names) - 1} (groups {list(names)}; -1 counts only in pooled), "
            f"found {low} … {high}"
        )


def check_labels(ids: Int[Tensor, " sample"], names: Sequence[str]) -> None:
    """Check the labels of a step that is not recorded, without waiting for an accelerator that they may be on.

    Raises
    ------
    GroupError
        As `Groups` does, but for values on an accelerator.
    """
    _check(ids)
    if ids.device.type == "cpu":
        _check_range(ids.detach().numpy(), names)


class Batch:
    """A batch as the training loop describes it.

    Parameters
    ----------
    ids, names, division
        As in `Groups`.
    samples : Tensor, optional
        Number of each sample in the data set.
    weight : Tensor, optional
        Weight of each sample in the loss; 1 if not given.

    Raises
    ------
    GroupError
        When one of them has a wrong type, shape or value.
    """

    def __init__(
        self,
        ids: Int[Tensor, " sample"],
        names: Sequence[str],
        samples: Int[Tensor, " sample"] | None = None,
        weight: Float[Tensor, " sample"] | None = None,
        division: Division = "groups",
    ) -> None:
        self.groups = Groups(ids, names, division)
        self.samples: Int[np.ndarray, " sample"] | None = None
        size = self.groups.size
        if samples is not None:
            _check(samples, "sample numbers")
            self.samples = samples.detach().cpu().numpy().astype(np.int64)
            if len(self.samples) != size or self.samples.min() < 0:
                raise GroupError(f"sample numbers must be {size} non-negative integers, one a label")
        self.weights: Float64[np.ndarray, " sample"] = np.ones(size)
        if weight is not None:
            if tuple(weight.shape) != (size,) or not bool((weight >= 0).all()):
                raise GroupError(f"weights must be {size} non-negative numbers, one a label")
            self.weights = weight.detach().cpu().double().numpy()


@dataclass(frozen=True)
class RowOrder:
    """Rows sorted by the label of their sample.

    Attributes
    ----------
    order : Tensor or None
        Index of the rows in that order; None where they are in it already.
    spans : tuple of (int, int)
        Where the rows of each declared group then start and end; last, where all do.
    """

    order: Int[Tensor, " row"] | None
    spans: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, row_labels: Int[np.ndarray, " row"], n_groups: int) -> "RowOrder":
        """Order of rows whose labels are given; the rest has the label `n_groups`."""
        order = None
        if (row_labels[1:] < row_labels[:-1]).any():
            order = torch.from_numpy(row_labels.argsort(kind="stable"))
        ends = np.bincount(row_labels, minlength=n_groups + 1)[:n_groups].cumsum().tolist()
        return cls(order, (*pairwise([0, *ends]), (0, len(row_labels))))
