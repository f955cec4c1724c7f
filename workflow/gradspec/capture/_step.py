r"""What one step has captured so far: rows of small layers, per-group gradients of large ones.

Used several times in a step (a shared module, several backward passes) a layer has :math:`G_g = \sum_u \Delta_{g,u}^T
H_{g,u}`: its rows are stacked, or its gradients summed, before any spectrum is taken.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from gradspec.capture._groups import Groups
from gradspec.capture._layer import Weight, total
from gradspec.capture._solve import small_gram

SAMPLE_SIDE = "sample side"
PARAMETER_SIDE = "parameter side"


class WeightCapture:
    """What a step has captured for one weight, m outputs by n inputs.

    Attributes
    ----------
    h, delta : list of Tensor
        Rows (rows, n) and (rows, m) in float64, sample by sample, of the uses on the sample side.
    positions : list of int
        Rows a sample in each use, whichever the side.
    gradients : dict
        Gradient (m, n) of each part of the batch that has samples, summed over the uses on the parameter side.
    moments : dict
        For ``activation`` and ``delta`` on the parameter side: rows of each part, to be reduced by `Moments`.
    """

    def __init__(self, weight: Weight, groups: Groups, kinds: Sequence[str]) -> None:
        self.weight = weight
        self.groups = groups
        self.h: list[Float64[Tensor, "row n"]] = []
        self.delta: list[Float64[Tensor, "row m"]] = []
        self.positions: list[int] = []
        self.gradients: dict[int, Float[Tensor, "m n"]] = {}
        m, n = weight.shape
        widths = {"activation": n, "delta": m}
        self.moments = {
            kind: Moments(groups, widths[kind]) for kind in kinds if kind in widths and kind in weight.kinds
        }

    @property
    def empty(self) -> bool:
        return not self.positions

    def add_rows(self, h: Float[Tensor, "row n"], delta: Float[Tensor, "row m"], positions: int) -> None:
        """Add one use of the layer on the sample side, by its rows in the order of the samples."""
        # The cast copies, so that a buffer which is reused before the step ends does no harm.
        self.h.append(_float64_copy(h))
        self.delta.append(_float64_copy(delta))
        self.positions.append(positions)

    def add_gradient(self, part: int, gradient: Float[Tensor, "m n"]) -> None:
        """Add the gradient of one part of the batch in one use of the layer on the parameter side."""
        previous = self.gradients.get(part)
        self.gradients[part] = gradient if previous is None else previous + gradient

    def count_rows(self, part: int, positions: int) -> None:
        """Count one use of the layer with so many rows a sample, told once for each part."""
        if part == self.groups.filled[0]:
            self.positions.append(positions)

    def add_moments(self, kind: str, rows: Sequence[Float[Tensor, "row width"]]) -> None:
        """Add the rows of H or Δ of one use on the parameter side, a part of the batch each."""
        if kind in self.moments:
            self.moments[kind].add(rows)

    def ranks(self, kind: str = "gradient") -> list[int]:
        """Most non-zero singular values that each group, then pooled, can have."""
        m, n = self.weight.shape
        width = {"gradient": min(m, n), "activation": n, "delta": m}[kind]
        return [min(width, int(count) * sum(self.positions)) for count in self.groups.counts]

    def settle(self) -> str:
        """Choose the side by the rows of the whole step, and bring all uses to it."""
        rows = self.groups.size * sum(self.positions)
        if not self.gradients and rows <= min(self.weight.shape):
            return SAMPLE_SIDE
        if self.h:
            self._move_to_parameter_side()
        return PARAMETER_SIDE

    def _move_to_parameter_side(self) -> None:
        for h, delta in zip(self.h, self.delta, strict=True):
            h_parts, delta_parts = ([*split_rows(self.groups, rows)] for rows in (h, delta))
            for part, (x, d) in enumerate(zip(h_parts, delta_parts, strict=True)):
                self.add_gradient(part, d.mT @ x)
            self.add_moments("activation", h_parts)
            self.add_moments("delta", delta_parts)
        self.h.clear()
        self.delta.clear()

    def group_gradients(self) -> list[Float64[Tensor, "m n"] | None]:
        """Gradients of each declared group, None where it is empty, then their sum with the rest."""
        parts = {part: gradient.double() for part, gradient in self.gradients.items()}
        return [*(parts.get(group) for group in range(self.groups.n_groups)), total(list(parts.values()))]

    def rows(self) -> tuple[Float64[Tensor, "row n"], Float64[Tensor, "row m"]]:
        """H and Δ of all uses on the sample side, stacked."""
        return _stacked(self.h), _stacked(self.delta)


class Moments:
    """Rows of each part of a batch, folded into their Gram matrix once they are more than their width."""

    def __init__(self, groups: Groups, width: int) -> None:
        self.groups = groups
        self.width = width
        self.rows: list[Float64[Tensor, "row width"]] = [torch.zeros(0)] * len(groups.parts)
        self.grams: list[Float64[Tensor, "width width"]] | None = None

    def add(self, parts: Sequence[Float[Tensor, "row width"]]) -> None:
        new = [part.double() for part in parts]
        if self.grams is None:
            new = [
                torch.cat([old, part]) if len(old) else part.clone() for old, part in zip(self.rows, new, strict=True)
            ]
            if sum(map(len, new)) <= self.width:
                self.rows = new
                return
            self.rows.clear()
            self.grams = [part.mT @ part for part in new]
        else:
            self.grams = _sums(self.grams, [part.mT @ part for part in new])

    def gram_matrices(self) -> list[Float64[Tensor, "side side"]]:
        """Gram matrix, on either side, of the rows of each declared group, then of all."""
        n_groups = self.groups.n_groups
        if self.grams is None:
            return [small_gram(rows) for rows in [*self.rows[:n_groups], torch.cat(self.rows)]]
        return [*self.grams[:n_groups], sum(self.grams[1:], start=self.grams[0])]


class StepCapture:
    """Everything that one step captures.

    Parameters
    ----------
    weights : sequence of Weight
        What is to be captured.
    groups : Groups
        The division of the batch.
    kinds : sequence of str
        What is wanted of each weight.
    """

    def __init__(self, weights: Sequence[Weight], groups: Groups, kinds: Sequence[str]) -> None:
        self.groups = groups
        self.kinds = tuple(kinds)
        self.weights = {weight: WeightCapture(weight, groups, kinds) for weight in weights}

    def __getitem__(self, weight: Weight) -> WeightCapture:
        return self.weights[weight]


def split_rows(groups: Groups, rows: Float[Tensor, "row width"]) -> list[Float[Tensor, "part_row width"]]:
    """Rows of each part of the batch, from rows in the order of the samples."""
    by_sample = rows.reshape(groups.size, -1, rows.shape[-1])
    return [groups.pick(by_sample, part).reshape(-1, rows.shape[-1]) for part in range(len(groups.parts))]


def _stacked(uses: Sequence[Float64[Tensor, "row width"]]) -> Float64[Tensor, "row width"]:
    return uses[0] if len(uses) == 1 else torch.cat(list(uses))


def _float64_copy(tensor: Tensor) -> Float64[Tensor, "..."]:
    return tensor.to(torch.float64, copy=True)


def _sums(first: Sequence[Tensor], second: Sequence[Tensor]) -> list[Tensor]:
    return [a + b for a, b in zip(first, second, strict=True)]
