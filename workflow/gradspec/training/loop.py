"""The training loop: plain PyTorch, with a recorder around every step."""

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gradspec.progress import track

if TYPE_CHECKING:
    from gradspec.capture import SpectraRecorder

Batches = Iterable[Int[np.ndarray, "batch"]]


def fit(
    model: nn.Module,
    inputs: Float[Tensor, "sample ..."],
    groups: Int[Tensor, "sample"],
    *,
    epochs: int,
    draw_batches: Callable[[int], Batches],
    learning_rate: float,
    weight_decay: float,
    recorder: "SpectraRecorder",
    after_epoch: Callable[[int], None],
) -> None:
    """Train a network with AdamW on the mean cross-entropy, and record each step.

    Parameters
    ----------
    model : Module
        Trained in place.
    inputs, groups : Tensor
        Scaled samples and their group (which is also the class to learn), on the device of the model.
    epochs : int
        Number of epochs; there is no early stopping.
    draw_batches : callable
        Gives the batches of an epoch (counted from 0): arrays of sample indices.
    learning_rate, weight_decay : float
        Of AdamW (Loshchilov and Hutter 2019); its other parameters are PyTorch's defaults.
    recorder : SpectraRecorder
        Takes the spectra of each group's gradient while they are computed.
    after_epoch : callable
        Called with the epoch when it is done.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
    model.train()
    for epoch in track(range(epochs), "epochs"):
        for batch in draw_batches(epoch):
            index = torch.from_numpy(batch).to(inputs.device)
            group = groups[index]
            optimizer.zero_grad()
            with recorder.step(group, epoch=epoch) as step:
                losses = cross_entropy(model(inputs[index]), group, reduction="none")
                loss = losses.mean()
                loss.backward()  # type: ignore[no-untyped-call]
                step.record(loss=loss.item(), group_loss=_mean_by_group(losses.detach(), group))
            optimizer.step()
        after_epoch(epoch)


def _mean_by_group(losses: Float[Tensor, "batch"], group: Int[Tensor, "batch"]) -> list[float]:
    return [losses[group == label].mean().item() if (group == label).any() else math.nan for label in (0, 1)]
