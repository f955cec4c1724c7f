"""Packed sequences: the sequences of a group as a packed sequence of their own, and back.

A `PackedSequence` holds the rows of all samples time by time, longest sample first: at time t there are
``batch_sizes[t]`` rows, of the first so many samples in that order. ``sorted_indices`` says which sample of the batch
stands at each place; without it they stand in the batch's own order.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from gradspec.capture._groups import Groups


class PackedParts:
    """The parts of a batch that is packed.

    Parameters
    ----------
    packed : PackedSequence
        The sequences of the batch.
    groups : Groups
        The division of the batch.

    Attributes
    ----------
    rows : list of Tensor
        Rows of ``packed.data`` of each part that has samples, in order.
    places : list of Tensor
        The places of each such part, at which its sequences stand, longest first.
    order : array of int
        The sample at each place of the batch, longest first.
    lengths : array of int
        The length of the sequence at each place.
    """

    def __init__(self, packed: PackedSequence, groups: Groups) -> None:
        self.packed = packed
        sizes = packed.batch_sizes
        starts = sizes.cumsum(0) - sizes
        place = torch.arange(len(packed.data)) - starts.repeat_interleave(sizes)
        self._time = torch.arange(len(sizes)).repeat_interleave(sizes)
        order = torch.arange(groups.size) if packed.sorted_indices is None else packed.sorted_indices.cpu()
        self.order = order.numpy()
        self.lengths = (sizes[:, None] > torch.arange(groups.size)).sum(0).numpy()
        self.rows: list[Int[Tensor, " row"]] = []
        self.places: list[Int[Tensor, " place"]] = []
        for part in groups.filled:
            belongs = torch.zeros(groups.size, dtype=torch.bool)
            belongs[groups.pick(torch.arange(groups.size), part)] = True
            self.places.append(belongs[order].nonzero()[:, 0])
            self.rows.append(belongs[order][place].nonzero()[:, 0])

    def sequences(self) -> list[PackedSequence]:
        """A packed sequence a part, sorted as it is."""
        data = self.packed.data
        return [
            PackedSequence(data.index_select(0, rows.to(data.device)), torch.bincount(self._time[rows]))
            for rows in self.rows
        ]

    def pick_states(self, state: Float[Tensor, "layer place hidden"], position: int) -> Tensor:
        """States of the sequences of the part at a position of the list, from those of all places."""
        return state.index_select(1, self.places[position].to(state.device))

    def join(self, outputs: Sequence[Tensor]) -> Tensor:
        """Rows of the whole batch, ordered as those of `packed`, from those of its parts."""
        return _in_order(outputs, self.rows, dim=0)

    def join_states(self, states: Sequence[Float[Tensor, "layer part_place hidden"]]) -> Tensor:
        """States of all places, longest first, from those of the parts."""
        return _in_order(states, self.places, dim=1)


def _in_order(parts: Sequence[Tensor], places: Sequence[Int[Tensor, " entry"]], dim: int) -> Tensor:
    joined = torch.cat(list(parts), dim)
    return joined.index_select(dim, torch.cat(list(places)).argsort().to(joined.device))
