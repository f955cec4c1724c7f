"""What is asked of a model and a step, so that nothing is recorded that is not what it seems."""

import math
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gradspec.capture._discovery import Skipped
from gradspec.capture._layer import Weight
from gradspec.capture._rows_check import RowsCheck
from gradspec.capture._selfcheck import Probes, SelfCheck
from gradspec.capture._snapshot import Snapshot
from gradspec.capture._step import StepCapture
from gradspec.capture.errors import CaptureError, NothingCapturedError, listed

# Of the trained weights; where less is recorded, it is said.
_LEAST_SHARE = 0.5
# From a warning up to the line of the training loop that opens or leaves the step.
_LOOP = 7


class Checks:
    """The checks of one recorder.

    Parameters
    ----------
    model : nn.Module
        The model.
    weights : sequence of Weight
        What is recorded.
    definition : "rows" or "loss"
        What the gradient of a group is.
    check_rows : "first" or "every" or "never"
        In which steps the order of rows is checked.

    Attributes
    ----------
    batch_norm_seen : bool
        Whether batch normalisation was in training mode in a recorded step.
    missed : set of str
        The parameters that a gradient reached by no operation that is recorded.
    spoiled : set of Weight
        What could not be recorded in some step.
    """

    def __init__(
        self,
        model: nn.Module,
        weights: Sequence[Weight],
        definition: Literal["rows", "loss"],
        check_rows: Literal["first", "every", "never"],
    ) -> None:
        probes = Probes(model, weights)
        self._definition = definition
        self._snapshot = Snapshot(model)
        self._self_check: SelfCheck | None = SelfCheck(probes)
        self.missed = self._self_check.missed
        self._rows_check = RowsCheck(model, probes) if check_rows != "never" and definition == "rows" else None
        self._checks_every_step = check_rows == "every"
        self._batch_norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
        self.batch_norm_seen = False
        self.spoiled: set[Weight] = set()

    @property
    def is_on_accelerator(self) -> bool:
        """Whether some parameter is not on the CPU."""
        return self._snapshot.is_on_accelerator

    def before(self) -> None:
        """Look at the model before a step; raise `CaptureError` where it has changed."""
        self._snapshot.check()
        self._note_freed()
        self._note_batch_norm()
        if self._rows_check is not None:
            self._rows_check.prepare()

    def watching(self) -> AbstractContextManager[None]:
        """A block in which the gradients that reach the parameters are seen, while that is needed."""
        return nullcontext() if self._self_check is None else self._self_check.watching()

    def watching_rows(self, capture: StepCapture) -> AbstractContextManager[None]:
        """A block of one batch in which the order of rows is checked, while that is needed."""
        check = self._rows_check
        return nullcontext() if check is None or self.batch_norm_seen else check.watching(capture)

    def after(self, capture: StepCapture) -> None:
        """Look at what a step has captured.

        Raises
        ------
        NothingCapturedError
            Where that is nothing.
        CaptureError
            Where the groups were to have a backward pass each, and had none.
        """
        if self._rows_check is not None and self._rows_check.is_done and not self._checks_every_step:
            self._rows_check = None
        self._check_complete(capture)
        self._note_spoiled(capture)
        if self._self_check is not None:
            self._self_check = self._self_check.check(capture, stacklevel=_LOOP)

    def _check_complete(self, capture: StepCapture) -> None:
        if all(captured.empty for captured in capture.weights.values()):
            if capture.problem is not None:
                raise capture.problem
            seen = set() if self._self_check is None else self._self_check.seen
            where = (
                f"though one reached {listed(sorted(seen))}: the weights were used in other ways than through "
                "operations that are recorded, or their gradients were made by autograd.grad, as adjoint methods do"
                if seen
                else "forward and backward must both run inside the step block"
            )
            silent = [weight.node for weight in capture.weights]
            raise NothingCapturedError(f"nothing was captured in this step of {listed(silent)}; {where}")
        if self._definition == "loss" and not capture.passes:
            raise CaptureError("definition='loss' needs step.backward(losses) in place of loss.backward()")

    def _note_freed(self) -> None:
        freed = self._snapshot.freed()
        if freed:
            warnings.warn(
                f"{listed(freed)} had been frozen when the recorder was made, and is not recorded now that it is "
                "trained; make the recorder while it is trained, and freeze it afterwards",
                stacklevel=_LOOP,
            )

    def _note_batch_norm(self) -> None:
        if self.batch_norm_seen or not any(module.training for module in self._batch_norms):
            return
        self.batch_norm_seen = True
        if self._definition == "rows":
            warnings.warn(
                "batch normalisation in training mode makes samples of different groups meet: recorded is each group's "
                "share of the pooled gradient (definition 'rows'), not the gradient of that group's own loss",
                stacklevel=_LOOP,
            )

    def _note_spoiled(self, capture: StepCapture) -> None:
        """Say once of each weight why it is not recorded in a step."""
        new: dict[str, list[str]] = {}
        for weight, reason in capture.spoiled.items():
            if weight not in self.spoiled:
                self.spoiled.add(weight)
                new.setdefault(reason, []).append(weight.node)
        for reason, nodes in new.items():
            warnings.warn(f"{listed(nodes)} cannot be recorded in this step (NaN): {reason}", stacklevel=_LOOP)


def warn_of_small_share(share: float, skipped: Mapping[str, Skipped]) -> None:
    """Name what is not recorded where that is most of the trained weights."""
    if share >= _LEAST_SHARE:
        return
    largest = sorted(skipped.items(), key=lambda item: -math.prod(item[1].shape))
    names = [f"{name} ({each.reason})" for name, each in largest if len(each.shape) > 1]
    warnings.warn(
        f"only {share:.1%} of the entries of trained weights are recorded; not recorded are {listed(names)}",
        stacklevel=3,
    )
