"""The spectra of all recorded steps, and what the training loop said about each."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gradspec.capture._layer import Weight
from gradspec.capture._logits import LogitRows, saturated
from gradspec.capture._spectra import WeightSpectra
from gradspec.capture.errors import CaptureError

if TYPE_CHECKING:
    from gradspec.capture._regroup import Kept

Batch = Callable[..., AbstractContextManager[None]]
GroupBackward = Callable[[Tensor, str], None]


@dataclass
class Step:
    """One optimisation step, to which the training loop may add what it knows.

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
    _share: float = field(default=1.0, repr=False)  # of the batches by whose number the loss was divided
    _open_batch: Batch | None = field(default=None, repr=False)
    _backward: GroupBackward | None = field(default=None, repr=False)

    def batch(
        self,
        group: Int[Tensor, " sample"],
        *,
        samples: Int[Tensor, " sample"] | None = None,
        weight: Float[Tensor, " sample"] | None = None,
    ) -> AbstractContextManager[None]:
        """Record one of the batches whose gradients are accumulated; forward and backward belong inside.

        Parameters
        ----------
        group, samples, weight
            As in `SpectraRecorder.step`.

        Raises
        ------
        CaptureError
            In a step of a single batch, which is open already; while another batch is open; or after the step.
        """
        if self._open_batch is None:
            if self.recorded:
                raise CaptureError(
                    "this step has its batch, or is over; batches are opened inside the block of recorder.accumulate()"
                )
            return nullcontext()
        return self._open_batch(group, samples=samples, weight=weight)

    def backward(self, losses: Float[Tensor, " sample"], reduction: str = "mean") -> None:
        """Backpropagate the loss, with ``definition="loss"`` of each group apart.

        What reaches the parameters is the gradient of the reduced loss either way.

        Parameters
        ----------
        losses : Tensor
            Loss of each sample.
        reduction : "mean" or "sum"
            How they make the loss.

        Raises
        ------
        CaptureError
            When there isn't one loss a sample, or the reduction is another.
        """
        if reduction not in ("mean", "sum"):
            raise CaptureError(f"reduction must be 'mean' or 'sum', not {reduction!r}")
        if losses.ndim != 1:
            raise CaptureError(
                "backward needs the loss of each sample (reduction='none' in the loss function), not a tensor of "
                f"shape {tuple(losses.shape)}"
            )
        if self._backward is None:
            (losses.mean() if reduction == "mean" else losses.sum()).backward()  # type: ignore[no-untyped-call]
        else:
            self._backward(losses, reduction)

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
class Record:
    """What is known of a recorded step.

    Attributes
    ----------
    counts : list of int
        Samples of each group, then pooled.
    weight_sums : list of float
        Sum of the weights of the samples of each group in the loss, then pooled.
    solved : dict
        The spectra of each weight.
    loss_scale : float
        By which the loss was multiplied before backward.
    kept : Kept, optional
        What `regroup` needs.
    logits : list of LogitRows
        Gradients of logits that tell whether the softmax is saturated.
    unknown : list of int
        Groups, then pooled, whose gradients are rounding.
    """

    step: Step
    counts: list[int]
    weight_sums: list[float]
    solved: dict[Weight, WeightSpectra]
    loss_scale: float = 1.0
    kept: "Kept | None" = None
    logits: list[LogitRows] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)

    def finish(self) -> None:
        """Take out the scale of the loss, and what is rounding, once the spectra are there."""
        gradients = list(self.logits)
        for weight_spectra in self.solved.values():
            if weight_spectra.readout is not None:
                gradients += weight_spectra.readout.settle()
                weight_spectra.readout = None
            weight_spectra.narrow()
        self.unknown = saturated(gradients, len(self.counts) - 1)
        self.logits = []
        for weight_spectra in self.solved.values() if self.unknown else ():
            for kind, spectrum in weight_spectra.spectra.items():
                if kind != "activation":
                    spectrum[self.unknown] = np.nan
        if self.loss_scale != 1:
            for weight_spectra in self.solved.values():
                for kind, spectrum in weight_spectra.spectra.items():
                    if kind != "activation":
                        spectrum /= self.loss_scale

    @property
    def finite(self) -> bool:
        """Whether every spectrum is finite where its group has samples."""
        present = np.array(self.counts) > 0
        return all(
            bool(np.isfinite(spectrum[present, 0]).all())
            for weight in self.solved.values()
            for spectrum in weight.spectra.values()
            if spectrum.shape[1]  # what a step does not use
        )

    def group_loss(self) -> list[float]:
        """Loss of each group, then pooled; NaN where it is not known."""
        losses = self.step.group_loss
        losses = [np.nan] * (len(self.counts) - 1) if losses is None else losses
        pooled = np.nan if self.step.loss is None else self.step.loss
        return losses if len(losses) == len(self.counts) else [*losses, pooled]


@dataclass
class History:
    """What was recorded, step by step.

    Attributes
    ----------
    groups : list of str
        Names of the declared groups, then ``pooled``.
    records : list of Record
        The steps that are in memory.
    routes : dict
        The routes that each weight has taken.
    """

    groups: list[str]
    records: list[Record] = field(default_factory=list)
    routes: dict[Weight, set[str]] = field(default_factory=dict)

    def add(self, records: Iterable[Record]) -> None:
        """Add steps."""
        for record in records:
            self.records.append(record)
            for weight, solved in record.solved.items():
                if solved.route:
                    self.routes.setdefault(weight, set()).add(solved.route)

    def route(self, weight: Weight) -> str:
        """The route of a weight, or the routes where it changed with the batch; empty before the first step."""
        return ", ".join(sorted(self.routes.get(weight, ())))


def check_losses(step: Step, groups: Sequence[str]) -> None:
    """Raise `CaptureError` when the losses do not fit the declared groups."""
    if step.group_loss is not None and len(step.group_loss) not in (len(groups), len(groups) + 1):
        raise CaptureError(f"group_loss has {len(step.group_loss)} values, but the groups are {list(groups)}")


def _number(value: float | Tensor) -> float:
    return float(value.detach()) if isinstance(value, torch.Tensor) else float(value)
