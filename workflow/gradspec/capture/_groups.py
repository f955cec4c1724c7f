"""Which samples of a batch belong to which group, and how rows of a tensor are picked by group."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from gradspec.capture.errors import GroupError, RowsError

Index = slice | Tensor


class Groups:
    """The samples of one batch, divided into the declared groups and the rest.

    Parameters
    ----------
    ids : Tensor
        Integer, one entry a sample: the position of its group in `names`, or -1 for a sample that counts only in the
        pooled spectrum.
    names : sequence of str
        The declared groups.

    Attributes
    ----------
    counts : array of int
        Samples in each declared group, then in the whole batch (pooled).
    parts : list of slice or Tensor
        Indices of the samples of each declared group, then of the rest when there is one. A group whose samples stand
        together is a slice, which picks rows without a copy.
    filled : list of int
        The parts that have samples.

    Raises
    ------
    GroupError
        When `ids` is not a one-dimensional integer tensor with values in -1 … len(names) - 1.
    """

    def __init__(self, ids: Int[Tensor, " sample"], names: Sequence[str]) -> None:
        _check(ids)
        # numpy, which is faster than torch at many operations on few numbers
        self.ids: Int[np.ndarray, " sample"] = ids.detach().to("cpu", torch.int64).numpy().copy()
        _check_range(self.ids, names)
        self.size = len(self.ids)
        self.n_groups = len(names)
        labels = [*range(len(names)), -1]
        members = [np.flatnonzero(self.ids == label) for label in labels]
        self.counts = np.array([*(len(member) for member in members[:-1]), self.size])
        if len(members[-1]) == 0:
            members.pop()
        order = np.concatenate(members)
        is_sorted = bool((np.diff(order) > 0).all())
        self._inverse = None if is_sorted else torch.from_numpy(order.argsort())
        self.parts: list[Index] = [_as_slice(member) for member in members]
        self.filled = [part for part, member in enumerate(members) if len(member)]

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

    def sort_rows(self, positions: Sequence[int]) -> tuple[Int[Tensor, " row"], list[slice]]:
        """Order of the rows by group, where a sample has several, and where each declared group then is; last, all.

        Parameters
        ----------
        positions : sequence of int
            Rows a sample in each of the blocks that are stacked: a block holds the rows of sample 0, then of sample
            1, and so on.
        """
        row_ids = np.concatenate([self.ids.repeat(count) for count in positions])
        order = np.where(row_ids < 0, self.n_groups, row_ids).argsort(kind="stable")
        ends = np.cumsum(self.counts[:-1] * sum(positions)).tolist()
        spans = [slice(start, end) for start, end in pairwise([0, *ends])]
        return torch.from_numpy(order), [*spans, slice(0, len(row_ids))]

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


def _check(ids: Tensor) -> None:
    if not isinstance(ids, Tensor):
        raise GroupError(f"group labels must be an integer tensor with one entry a sample, not {type(ids).__name__}")
    if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise GroupError(f"group labels must be integers (positions in the list of groups, or -1), not {ids.dtype}")
    if ids.ndim != 1 or len(ids) == 0:
        raise GroupError(f"group labels must have one entry a sample of the batch, not shape {tuple(ids.shape)}")


def _check_range(ids: Int[np.ndarray, " sample"], names: Sequence[str]) -> None:
    low, high = int(ids.min()), int(ids.max())
    if low < -1 or high >= len(names):
        raise GroupError(
            f"group ids must lie in -1 … {len(names) - 1} (groups {list(names)}; -1 counts only in pooled), "
            f"found {low} … {high}"
        )
