"""The recorder as a callback of PyTorch Lightning."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from gradspec.capture._lookup import Place, look_up
from gradspec.capture.errors import AttachedTwiceError, CaptureError, UnsupportedError
from gradspec.capture.recorder import SpectraRecorder

try:
    from pytorch_lightning import Callback, LightningModule, Trainer
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "gradspec.capture.lightning needs PyTorch Lightning: pip install 'gradspec[lightning]'", name=missing.name
    ) from missing

_SAVED = "gradspec"  # key of a checkpoint, for the numbers of the next steps


class SpectraCallback(Callback):
    """Records gradient spectra while a ``Trainer`` fits.

    A step of the recorder is a step of the optimiser: all batches whose gradients Lightning accumulates, with the loss
    that was backpropagated and the number of the epoch. Steps in which ``training_step`` skips a batch (by returning
    None) are not recorded. Where the last batches of an epoch are fewer than are accumulated, Lightning divides their
    losses by the full number all the same; spectra and loss are those of the mean over the batches that there were. A
    closure that the optimiser calls several times, as LBFGS does, is recorded the first time.

    The recorder is made when training starts, and detached when it ends or fails. A checkpoint brings its file up to
    date; with ``resume=True`` a fit from that checkpoint goes on in the file from there.

    A trainer may have several, each for layers of its own (``layers``, ``exclude``). Their places in a checkpoint go by
    their order among the callbacks.

    Parameters
    ----------
    groups : sequence of str
        Names of the groups.
    group_of : str or int or callable
        Where a batch has the group labels of its samples: a key or an attribute, a position, or what finds them.
    samples_of, weight_of : str or int or callable, optional
        Where it has the number of each sample in the data set, and its weight in the loss.
    **options
        Of `SpectraRecorder`. Where the trainer scales the loss (``precision="16-mixed"``), it is told so without. Of
        several processes the first has `path` and `writer`.

    Raises
    ------
    UnsupportedError
        With ``definition="loss"``; when fitting a module that optimises by hand.
    AttachedTwiceError
        When fitting, if two of one trainer record the same layer.

    Examples
    --------
    >>> callback = SpectraCallback(["control", "patient"], group_of=2, every="auto")
    >>> trainer = Trainer(max_epochs=3, callbacks=[callback])  # doctest: +SKIP
    >>> trainer.fit(module, loader)  # batches of (x, y, group)  # doctest: +SKIP
    >>> callback.recorder.spectra()  # doctest: +SKIP
    """

    def __init__(
        self,
        groups: Sequence[str],
        group_of: Place,
        *,
        samples_of: Place | None = None,
        weight_of: Place | None = None,
        **options: Any,
    ) -> None:
        if options.get("definition") == "loss":
            raise UnsupportedError(
                "definition='loss' needs a backward pass a group, which Lightning does not make by itself; use "
                "SpectraRecorder in a loop of your own"
            )
        self._groups = groups
        self._places = {"group": group_of, "samples": samples_of, "weight": weight_of}
        self._options = options
        self._recorder: SpectraRecorder | None = None
        self._open: _OpenStep | None = None
        self._next_index: int | None = None

    @property
    def recorder(self) -> SpectraRecorder:
        """The recorder of the latest fit, for its spectra and its report.

        Raises
        ------
        CaptureError
            Before training has started.
        """
        if self._recorder is None:
            raise CaptureError("there is no recorder before training has started")
        return self._recorder

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a module that optimises by hand."""
        if stage == "fit" and not pl_module.automatic_optimization:
            raise UnsupportedError(
                f"{type(pl_module).__name__} optimises by hand (automatic_optimization is False), where a callback "
                "cannot know which backward belongs to which batch; make a SpectraRecorder in on_train_start, and open "
                "its step in training_step"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the recorder: the model is on its device now, and lazy layers have met data."""
        options = {"scaler": _scaler(trainer), **self._options}
        if options.get("resume") is True and self._next_index is not None:
            options["resume"] = self._next_index
        if not trainer.is_global_zero:
            options |= {"path": None, "writer": None}
        try:
            self._recorder = SpectraRecorder(pl_module, self._groups, **options)
        except AttachedTwiceError as error:
            raise AttachedTwiceError(
                f"{error}. Where that is another SpectraCallback of this trainer, give each layers of its own. "
                "For two groupings of the same layers, record once with samples_of and keep_grams=True, "
                "and ask callback.recorder.regroup(labels) for the other"
            ) from error

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Open the batch, and a step with the first one: where Lightning sets the gradients to zero."""
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self._discard()
            self._open = _OpenStep(self.recorder, trainer.current_epoch, trainer.accumulate_grad_batches)
        if self._open is not None:
            places = {name: place for name, place in self._places.items() if place is not None}
            self._open.open_batch(**{name: look_up(batch, place) for name, place in places.items()})

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Note the loss, which has been divided by the number of batches, and scaled."""
        if self._open is not None and self._open.step.recorded:
            self._open.losses.append(loss.detach())

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the batch."""
        if self._open is not None:
            self._open.close_batch()

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Close the step, unless its last batch was skipped."""
        if self._open is None or self._open.in_batch:
            return
        self._open.close(_scaler(trainer))
        self._next_index = self._open.step.index + 1
        self._open = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Give up a step of which a batch was skipped."""
        if self._open is not None and self._open.in_batch:
            self._discard()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give up a step that the epoch breaks off."""
        self._discard()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the model as it was."""
        self.recorder.detach()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave the model as it was, and keep what was recorded."""
        self._discard()
        if self._recorder is not None:
            self._recorder.detach()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Bring the file of the recorder up to date, and save the number of the next step."""
        if self._recorder is not None:
            self._recorder.flush()
        checkpoint.setdefault(_SAVED, {})[self._place_in(trainer)] = self._next_index

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Take up the number of the next step."""
        self._next_index = checkpoint.get(_SAVED, {}).get(self._place_in(trainer))

    def _place_in(self, trainer: Trainer) -> int:
        """Find its place among its kind. A `state_key` would have to tell apart what only layers and functions do."""
        return [callback for callback in trainer.callbacks if isinstance(callback, SpectraCallback)].index(self)  # type: ignore[attr-defined]

    def _discard(self) -> None:
        if self._open is not None:
            self._open.discard()
            self._open = None


class _OpenStep:
    """A step of the recorder that several hooks open and close.

    Attributes
    ----------
    step : Step
        What the recorder gave.
    losses : list of Tensor
        What was backpropagated of each batch.
    """

    def __init__(self, recorder: SpectraRecorder, epoch: int, n_batches: int) -> None:
        self._blocks = ExitStack()
        self._batch: ExitStack | None = None
        self._n_batches = n_batches
        self._n_closed = 0
        self.step = self._blocks.enter_context(recorder.accumulate(epoch=epoch))
        self.losses: list[Tensor] = []

    @property
    def in_batch(self) -> bool:
        """Whether a batch is open, which backward closes."""
        return self._batch is not None

    def open_batch(self, group: Tensor, **more: Tensor) -> None:
        """Open a batch of the step."""
        self._batch = self._blocks.enter_context(ExitStack())
        self._batch.enter_context(self.step.batch(group, **more))

    def close_batch(self) -> None:
        """Close it, where one is open."""
        if self._batch is not None:
            self._batch.close()
            self._batch = None
            self._n_closed += 1

    def close(self, scaler: "torch.amp.GradScaler | None") -> None:
        """Have the step recorded, with its loss before it was scaled."""
        self.step._share = self._n_closed / self._n_batches
        if self.losses:
            loss_scale = 1.0 if scaler is None else scaler.get_scale()
            self.step.record(loss=torch.stack(self.losses).sum() / loss_scale / self.step._share)
        self._blocks.close()

    def discard(self) -> None:
        """Have the step forgotten."""
        reason = CaptureError("the step was broken off")
        self._blocks.__exit__(CaptureError, reason, None)


def _scaler(trainer: Trainer) -> "torch.amp.GradScaler | None":
    """What scales the loss in mixed precision."""
    return getattr(trainer.precision_plugin, "scaler", None)
