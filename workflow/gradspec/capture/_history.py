"""The spectra of all recorded steps, and what the training loop said about each."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from gradspec.capture._layer import Weight
from gradspec.capture._spectra import WeightSpectra
from gradspec.capture.errors import CaptureError


@dataclass
class Step:
    """One step, to which the training loop may add what it knows.

    Attributes
    ----------
    index : int
        Number of the step since the recorder was made, counting those that are not recorded.
    recorded : bool
        Whether spectra are recorded in this step.
    epoch : int, optional
        Number of the epoch.
    loss : float, optional
        Loss of the batch.
    group_loss : list of float, optional
        Loss of each declared group, or of each group and pooled.
    """

    index: int
    recorded: bool
    epoch: int | None = None
    loss: float | None = None
    group_loss: list[float] | None = None

    def record(
        self,
        *,
        epoch: int | None = None,
        loss: float | Tensor | None = None,
        group_loss: Sequence[float | Tensor] | None = None,
    ) -> None:
        """Note the epoch, the loss, or the loss of each group; tensors of one element serve as numbers.

        Parameters
        ----------
        epoch : int, optional
            Number of the epoch.
        loss : float, optional
            Loss of the batch.
        group_loss : sequence of float, optional
            Loss of each declared group, NaN for an empty one; a last value for pooled may follow, else it is `loss`.
        """
        if epoch is not None:
            self.epoch = int(epoch)
        if loss is not None:
            self.loss = _number(loss)
        if group_loss is not None:
            self.group_loss = [_number(value) for value in group_loss]


@dataclass
class History:
    """What was recorded, step by step.

    Attributes
    ----------
    groups : list of str
        Names of the declared groups, then ``pooled``.
    """

    groups: list[str]
    steps: list[Step] = field(default_factory=list)
    counts: list[np.ndarray] = field(default_factory=list)
    solved: list[dict[Weight, WeightSpectra]] = field(default_factory=list)

    def add(self, step: Step, counts: np.ndarray, solved: dict[Weight, WeightSpectra]) -> None:
        """Add a step; raise `CaptureError` when its losses do not fit the groups."""
        if step.group_loss is not None and len(step.group_loss) not in (len(self.groups) - 1, len(self.groups)):
            raise CaptureError(f"group_loss has {len(step.group_loss)} values, but the groups are {self.groups}")
        self.steps.append(step)
        self.counts.append(counts)
        self.solved.append(solved)

    def route(self, weight: Weight) -> str:
        """The route of a weight, or the routes where it changed with the batch; empty before the first step."""
        return ", ".join(sorted({step[weight].route for step in self.solved}))


def _number(value: float | Tensor) -> float:
    return float(value.detach()) if isinstance(value, Tensor) else float(value)
