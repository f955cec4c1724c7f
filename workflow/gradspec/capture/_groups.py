"""Which samples of a batch belong to which group, and how rows of a tensor are picked by group."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
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
    labels : list of int
        Group of each sample; the rest has the label ``n_groups``.
    counts : list of int
        Samples of each label, the rest included.
    part_labels : list of int
        The label that the samples of each part have; that of the first where there are several.
    filled : list of int
        The parts that have samples.
    times : int
        Rows of a sample that follow one another in place of it.

    Raises
    ------
    GroupError
        When `ids` is not a one-dimensional integer tensor with values in -1 … len(names) - 1.
    """

    def __init__(self, ids: Int[Tensor, " sample"], names: Sequence[str], division: Division = "groups") -> None:
        _check(ids)
        # Lists: once a step, a few numbers are not worth the functions of numpy, which the caches have lost since.
        given: list[int] = ids.tolist()
        _check_range(given, names)
        self.size = len(given)
        self.times = 1
        self.n_groups = len(names)
        self.labels = [label if label >= 0 else self.n_groups for label in given]
        self.counts = count(self.labels, self.n_groups + 1)
        self.division = division
        self.part_labels: list[int]
        self.filled: list[int]
        if division == "whole":
            self.part_labels, self.filled = [self.labels[0]], [0]
        elif division == "samples":
            self.part_labels, self.filled = self.labels, list(range(self.size))
        else:
            self.part_labels = list(range(self.n_groups + 1 if self.counts[-1] else self.n_groups))
            self.filled = [label for label in self.part_labels if self.counts[label]]

    @cached_property
    def parts(self) -> list[Index]:
        """Indices of the samples of each part. Samples that stand together are a slice, which picks without a copy."""
        if self.division == "whole":
            return [slice(0, self.size)]
        if self.division == "samples":
            return [slice(start, start + self.times) for start in range(0, self.size, self.times)]
        ends = list(accumulate(self.counts))
        spans = [slice(ends[label] - self.counts[label], ends[label]) for label in self.part_labels]
        order = self._order
        return [span if order is None else _as_slice(order[span]) for span in spans]

    def repeated(self, times: int) -> "Groups":
        """The division of a batch in which so many rows of each sample follow one another in place of each sample."""
        groups = copy(self)
        for cached in ("parts", "_order", "_inverse"):
            vars(groups).pop(cached, None)
        groups.size, groups.times = self.size * times, times
        groups.labels = [label for label in self.labels for _ in range(times)]
        groups.counts = [count * times for count in self.counts]
        return groups

    @cached_property
    def _order(self) -> list[int] | None:
        """The samples part by part, None where they stand so."""
        return None if self.division != "groups" else stable_order(self.labels)

    @cached_property
    def _inverse(self) -> Int[Tensor, " sample"] | None:
        """Where each sample stands part by part, None where they stand so."""
        return None if self._order is None else torch.tensor(self._order).argsort()

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

    def check_batch(self, shape: Sequence[int], dim: int, layer: object) -> None:
        """Raise `RowsError` unless dimension `dim` of what a layer sees is the batch."""
        if dim < len(shape) and shape[dim] == self.size:
            return
        raise RowsError(
            f"{layer} saw a tensor of shape {tuple(shape)}, whose dimension {dim} should be the batch of {self.size} "
            f"samples that the group labels describe. Pass the labels of the samples of this batch to step(); where "
            f"samples and positions were flattened into one dimension, sample by sample, say rows='sample-major'."
        )


def count(labels: Sequence[int], n_labels: int) -> list[int]:
    """How often each label occurs."""
    counts = [0] * n_labels
    for label in labels:
        counts[label] += 1
    return counts


def stable_order(labels: Sequence[int]) -> list[int] | None:
    """Positions sorted by label; None where they are."""
    order = sorted(range(len(labels)), key=labels.__getitem__)
    return None if order == list(range(len(labels))) else order


def _as_slice(index: list[int]) -> Index:
    """`index` (ascending) as a slice where its entries stand together."""
    if not index:
        return slice(0, 0)
    together = index[-1] - index[0] + 1 == len(index)
    return slice(index[0], index[-1] + 1) if together else torch.tensor(index)


def _check(ids: Tensor, what: str = "group labels") -> None:
    if not isinstance(ids, Tensor):
        raise GroupError(f"{what} must be an integer tensor with one entry a sample, not {type(ids).__name__}")
    if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise GroupError(f"{what} must be integers (labels: positions in the list of groups, or -1), not {ids.dtype}")
    if ids.ndim != 1 or len(ids) == 0:
        raise GroupError(f"{what} must have one entry a sample of the batch, not shape {tuple(ids.shape)}")


def _check_range(ids: Sequence[int], names: Sequence[str]) -> None:
    low, high = min(ids), max(ids)
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
        _check_range(ids.tolist(), names)


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
        self._weights: Float64[np.ndarray, " sample"] | None = None
        if weight is not None:
            if tuple(weight.shape) != (size,) or not bool((weight >= 0).all()):
                raise GroupError(f"weights must be {size} non-negative numbers, one a label")
            self._weights = weight.detach().cpu().double().numpy()

    @property
    def weights(self) -> Float64[np.ndarray, " sample"]:
        """Weight of each sample in the loss."""
        return np.ones(self.groups.size) if self._weights is None else self._weights

    def weight_sums(self) -> list[float]:
        """Sum of the weights of each label."""
        counts = self.groups.counts
        if self._weights is None:
            return [float(count) for count in counts]
        sums: list[float] = np.bincount(self.groups.labels, self._weights, minlength=len(counts)).tolist()
        return sums


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
    def of(cls, row_labels: Sequence[int], n_groups: int) -> "RowOrder":
        """Order of rows whose labels are given; the rest has the label `n_groups`."""
        order = stable_order(row_labels)
        ends = accumulate(count(row_labels, n_groups + 1)[:n_groups], initial=0)
        return cls(None if order is None else torch.tensor(order), (*pairwise(ends), (0, len(row_labels))))
