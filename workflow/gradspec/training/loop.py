"""The training loop: plain PyTorch, with a recorder around every step."""

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gradspec.progress import track
from gradspec.training.tasks import CLASSIFICATION, Task

if TYPE_CHECKING:
    from gradspec.capture import SpectraRecorder

Batches = Iterable[Int[np.ndarray, "batch"]]


def fit(
    model: nn.Module,
    inputs: Float[Tensor, "sample ..."],
    groups: Int[Tensor, "sample"],
    *,
    epochs: Iterable[int],
    draw_batches: Callable[[int], Batches],
    optimizer: torch.optim.Optimizer,
    recorder: "SpectraRecorder",
    after_epoch: Callable[[int], bool],
    amp: bool = False,
    task: Task = CLASSIFICATION,
) -> None:
    """Train a network on the mean loss of its task, and record each step.

    Parameters
    ----------
    model : Module
        Trained in place.
    inputs, groups : Tensor
        Scaled samples and their group, which is also the class to learn; samples that are not on the device of the
        model are brought there batch by batch.
    epochs : iterable of int
        Numbers of the epochs.
    draw_batches : callable
        Gives the batches of an epoch: arrays of sample indices.
    optimizer : Optimizer
        Of the parameters of the model.
    recorder : SpectraRecorder
        Takes the spectra of each group's gradient while they are computed.
    after_epoch : callable
        Called with the epoch when it is done; training ends early where it says True.
    amp : bool
        Compute forward and backward in bfloat16 where PyTorch holds that safe; it needs no scaling of the loss.
    task : Task
        Gives the loss of each sample; by default the cross-entropy of its group.
    """
    model.train()
    device = next(model.parameters()).device
    for epoch in track(epochs, "epochs"):
        for batch in draw_batches(epoch):
            samples = torch.from_numpy(batch)
            group = groups[samples.to(groups.device)].to(device)
            batch_inputs = inputs[samples.to(inputs.device)].to(device)
            optimizer.zero_grad()
            with recorder.step(group, epoch=epoch, samples=samples) as step:
                with torch.autocast(device.type, torch.bfloat16, enabled=amp):
                    losses = task.losses(model(batch_inputs), batch_inputs, group)
                loss = losses.mean()
                loss.backward()  # type: ignore[no-untyped-call]
                step.record(loss=loss.item(), group_loss=_mean_by_group(losses.detach(), group))
            optimizer.step()
        if after_epoch(epoch):
            return


def _mean_by_group(losses: Float[Tensor, "batch"], group: Int[Tensor, "batch"]) -> list[float]:
    return [losses[group == label].mean().item() if (group == label).any() else math.nan for label in (0, 1)]
