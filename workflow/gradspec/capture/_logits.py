r"""Gradients of a softmax's logits, whose rows add up to zero: what follows for ranks, and whether rounding shows it.

With :math:`\ell = -\log p_y`, :math:`p = \operatorname{softmax}(z)`, the gradient :math:`\delta = p - e_y` of the
logits adds up to zero, so that the weight gradient of the read-out that made them has one dimension less. Where the
softmax is saturated, :math:`p_y - 1` is a difference of nearly equal numbers: in single precision it is off by 6 % at a
margin of 16 between the logits and zero from 17, while the other entries are exact, so that :math:`\delta` is rounding
in its largest entry. How far the rows are from adding up to zero tells.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt
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
    """Gradients of logits, or what has the same sums: rows, the label of each, and the precision they were made in."""

    labels: list[int]
    rows: Float64[np.ndarray, "row m"]
    allowed: float


@dataclass
class Readout:
    """A weight whose outputs are the logits of a softmax.

    Attributes
    ----------
    gradients : list of LogitRows
        What was captured of it.
    logits : list of Tensor
        The logits.
    spectra : list of array
        Its spectra (group, index) that have one dimension less.
    """

    gradients: list[LogitRows]
    logits: list[Float[Tensor, "sample m"]]
    spectra: list[Float64[np.ndarray, "group index"]]

    @property
    def adds_up_to_zero(self) -> bool:
        """Whether every row does, but for rounding."""
        return all(_add_up_to_zero(each.rows) for each in self.gradients)

    def settle(self) -> list[LogitRows]:
        """Leave the dimension out; gives the gradients that may be rounding."""
        if self.adds_up_to_zero:
            n_outputs = self.gradients[0].rows.shape[1]
            for spectrum in self.spectra:
                spectrum[:, max(n_outputs - 1, 1) :] = np.nan
        return self.gradients if any(map(_may_be_saturated, self.logits)) else []


def watch_logits(watched: list[LogitRows], labels: list[int], logits: Tensor, dim: int) -> Tensor:
    """The logits of a softmax along a dimension, whose gradient adds to `watched` on its way back.

    Where they are outputs of a linear layer that is recorded, the gradient is captured anyway: the layer is told.
    """
    if not logits.requires_grad or logits.ndim < 2:
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
        rows = delta.detach().movedim(dim, -1).reshape(len(labels), -1, delta.shape[dim]).double().cpu()
        of_rows = [label for label in labels for _ in range(rows.shape[1])]
        watched.append(LogitRows(of_rows, rows.flatten(0, 1).numpy(), allowed_in(delta.dtype)))

    alias.register_hook(hook)  # type: ignore[no-untyped-call]
    return alias


def saturated(gradients: Sequence[LogitRows], n_groups: int) -> list[int]:
    """The groups, by position, whose gradient is rounding; ``n_groups`` stands for pooled."""
    found = []
    for group in range(n_groups + 1) if gradients else ():
        sums = norms = allowed = 0.0
        for each in gradients:
            rows = each.rows if group == n_groups else each.rows[np.array(each.labels) == group]
            sums += float(np.square(rows.sum(1)).sum())
            norms += float(np.square(rows).sum())
            allowed = max(allowed, each.allowed)
        if norms and sqrt(sums / norms) > allowed:
            found.append(group)
    return found


def allowed_in(dtype: torch.dtype) -> float:
    """How far rows in a precision may be from adding up to zero."""
    return _ALLOWED_IN_LOW_PRECISION if dtype in (torch.bfloat16, torch.float16) else _ALLOWED


def _may_be_saturated(logits: Tensor) -> bool:
    """Whether some are so far apart that a probability is nearly one."""
    low, high = logits.aminmax()
    return not float(high) - float(low) < _MARGINS.get(logits.dtype, 0.0)


def _add_up_to_zero(rows: Float64[np.ndarray, "row m"]) -> bool:
    sums = rows.sum(1)
    return float(sums @ sums) <= _ZERO**2 * float(np.vdot(rows, rows))
