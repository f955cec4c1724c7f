r"""Gradients of logits: the rows of a softmax add up to zero, which tells ranks, and whether they are rounding.

With :math:`\ell = -\log p_y`, :math:`p = \operatorname{softmax}(z)`, the gradient :math:`\delta = p - e_y` of the
logits adds up to zero, so that the weight gradient of the read-out that made them has one dimension less. Where the
softmax is saturated, :math:`p_y - 1` is a difference of nearly equal numbers: in single precision it is off by 6 % at a
margin of 16 between the logits and zero from 17, while the other entries are exact, so that :math:`\delta` is rounding
in its largest entry. How far the rows are from adding up to zero tells.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

# Sums of rows, relative to their norm: of what is rounding, of what low precision rounds, of what adds up to zero.
_ALLOWED = 1e-2
_ALLOWED_IN_LOW_PRECISION = 1e-1
_ZERO = 1e-4
# Margins between logits from which on a probability loses its digits, before it rounds to one.
_MARGINS = {dtype: -log(torch.finfo(dtype).eps) - 5 for dtype in (torch.float64, torch.float32)}
# Entries of logits that are kept until they are looked at.
_FEW = 100_000


@dataclass
class LogitRows:
    """Gradients of logits, or rows that have the same sums.

    Attributes
    ----------
    labels : list of int
        Label of each row.
    sums, norms : Tensor
        Square of the sum of each row, and of its norm.
    n_outputs : int
        Length of the rows.
    allowed : float
        How large a sum may be, relative to the norm.
    """

    labels: list[int]
    sums: Float[Tensor, " row"] | Float[np.ndarray, " row"]
    norms: Float[Tensor, " row"] | Float[np.ndarray, " row"]
    n_outputs: int
    allowed: float

    @classmethod
    def of(cls, labels: list[int], rows: Float[Tensor, "row m"], dtype: torch.dtype) -> "LogitRows":
        """From the rows themselves, made in some precision; those of an accelerator stay there."""
        is_low = dtype in (torch.bfloat16, torch.float16)
        allowed = _ALLOWED_IN_LOW_PRECISION if is_low else _ALLOWED
        rows = rows.float() if is_low else rows
        if rows.device.type == "cpu":
            values = rows.numpy()
            sums, norms = values.sum(1, dtype=np.float64), np.einsum("ij,ij->i", values, values, dtype=np.float64)
            return cls(labels, sums * sums, norms, rows.shape[1], allowed)
        sizes = torch.linalg.vector_norm(rows, dim=1)
        return cls(labels, rows.sum(1).double().square(), sizes.double().square(), rows.shape[1], allowed)

    @property
    def adds_up_to_zero(self) -> bool:
        """Whether every row does, but for rounding."""
        return float(self.sums.sum()) <= _ZERO**2 * float(self.norms.sum())


@dataclass
class Readout:
    """A weight whose outputs are the logits of a softmax.

    Attributes
    ----------
    gradients : list of LogitRows
        What was captured of it on the parameter side.
    rows : list of (list of int, Tensor)
        Label and gradient of each of its rows on the sample side, looked at when several steps are.
    logits : list of Tensor
        The logits.
    spectra : list of array
        Its spectra (group, index) that have one dimension less.
    """

    gradients: list[LogitRows]
    rows: list[tuple[list[int], Float[Tensor, "row m"]]]
    logits: list[Float[Tensor, "sample m"]]
    spectra: list[Float64[np.ndarray, "group index"]]

    @property
    def adds_up_to_zero(self) -> bool:
        """Whether every row does, but for rounding."""
        return all(each.adds_up_to_zero for each in self.gradients)

    def settle(self) -> list[LogitRows]:
        """Leave the dimension out; gives the gradients that may be rounding."""
        self.gradients += [LogitRows.of(labels, rows, rows.dtype) for labels, rows in self.rows]
        self.rows = []
        if self.adds_up_to_zero:
            n_outputs = self.gradients[0].n_outputs
            for spectrum in self.spectra:
                spectrum[:, max(n_outputs - 1, 1) :] = np.nan
        return self.gradients if any(map(_may_be_saturated, self.logits)) else []


def watch_logits(watched: list[LogitRows], labels: list[int], logits: Tensor, dim: int) -> Tensor:
    """The logits of a softmax along a dimension, whose gradient adds to `watched` on its way back.

    Where they are outputs of a linear layer that is recorded, the gradient is captured anyway: the layer is told.
    """
    if not logits.requires_grad or logits.ndim < 2 or not logits.numel():
        return logits
    is_few = logits.device.type == "cpu" and logits.numel() <= _FEW
    maker: Any = logits.grad_fn
    if is_few and logits.ndim == 2 and hasattr(maker, "logits"):
        maker.logits = logits.detach()
        return logits
    if len(logits) % len(labels) or (logits.device.type == "cpu" and not _may_be_saturated(logits.detach())):
        return logits
    alias = logits.view_as(logits)  # whose gradient is that of this loss alone

    def hook(delta: Tensor) -> None:
        rows = delta.detach().movedim(dim, -1).flatten(0, -2)
        of_rows = [label for label in labels for _ in range(len(rows) // len(labels))]
        watched.append(LogitRows.of(of_rows, rows, delta.dtype))

    alias.register_hook(hook)  # type: ignore[no-untyped-call]
    return alias


def watch_binary_logits(watched: list[LogitRows], labels: list[int], logits: Tensor, target: Tensor) -> None:
    r"""Note how much of the gradient :math:`\sigma(z) - y` of each row of binary logits is rounding.

    It is a difference of nearly equal numbers where z is large and y is one: off by half a unit in the last place of 1,
    which is as large as it is from a logit of 16 on in single precision. As no sum of a row tells, it is computed again
    in double precision.
    """
    logits, target = (each.detach().reshape(-1) if each.ndim == 0 else each.detach() for each in (logits, target))
    if not logits.numel() or len(logits) % len(labels) or logits.dtype == torch.float64:
        return
    if not _may_be_saturated(logits, around_zero=True):
        return
    made = logits.sigmoid().double() - target
    exact = logits.double().sigmoid() - target
    sums, norms = ((rows.reshape(len(logits), -1) ** 2).sum(1) for rows in (made - exact, exact))
    of_rows = [label for label in labels for _ in range(len(logits) // len(labels))]
    is_low = logits.dtype in (torch.bfloat16, torch.float16)
    allowed = _ALLOWED_IN_LOW_PRECISION if is_low else _ALLOWED
    watched.append(LogitRows(of_rows, sums, norms, logits[0].numel(), allowed))


def saturated(gradients: Sequence[LogitRows], n_groups: int) -> list[int]:
    """The groups, by position, whose gradient is rounding; ``n_groups`` stands for pooled."""
    if not gradients:
        return []
    sums, norms = np.zeros(n_groups + 2), np.zeros(n_groups + 2)  # the rest, then pooled, last
    for each in gradients:
        for total, values in ((sums, each.sums), (norms, each.norms)):
            of_rows = values.cpu().numpy() if isinstance(values, Tensor) else values
            total[:-1] += np.bincount(each.labels, of_rows, minlength=n_groups + 1)
    sums[-1], norms[-1] = sums.sum(), norms.sum()
    allowed = max(each.allowed for each in gradients)
    above = sums > allowed**2 * norms
    return [*np.flatnonzero(above[:n_groups]).tolist(), *([n_groups] if above[-1] else [])]


def _may_be_saturated(logits: Tensor, around_zero: bool = False) -> bool:
    """Whether some are so far apart, or so far above zero, that a probability is nearly one."""
    low, high = logits.aminmax()
    return not float(high) - (0.0 if around_zero else float(low)) < _MARGINS.get(logits.dtype, 0.0)
