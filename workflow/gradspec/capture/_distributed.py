r"""Exact spectra of several processes: the gradients of all, as distributed data-parallel training averages them.

With W processes the optimiser gets :math:`\frac1W \sum_r G^{(r)}`, of which :math:`\frac1W \sum_r G_g^{(r)}` is the
share of group g. It is computed by one all-reduce of the gradients of all groups a weight, which costs a little more
than as many times the traffic of training as there are groups.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from gradspec.capture._step import StepCapture
from gradspec.capture.errors import CaptureError


def check_initialised() -> None:
    """Raise `CaptureError` where there is no process group."""
    if not (dist.is_available() and dist.is_initialized()):
        raise CaptureError("processes='all' needs torch.distributed.init_process_group to have been called")


@torch.no_grad()
def reduce_over_processes(step: StepCapture) -> None:
    """Bring every weight of a capture to its gradients over all processes; each of them must call this.

    Parameters
    ----------
    step : StepCapture
        What this process captured; changed in place.
    """
    for capture in step.weights.values():
        capture.settle(parameter_side=True)
        capture.row_counts = capture.row_counts or [0] * len(step.counts)  # of a weight that is not used here
    device = next(gradient.device for capture in step.weights.values() for gradient in capture.gradients.values())
    step.counts, step.weight_sums = _sum(step.counts, device), _sum(step.weight_sums, device)
    for weight, capture in step.weights.items():
        # In float64 whatever the route by which this process came to them, which is not that of every other.
        gradients = torch.zeros(len(step.counts), *weight.shape, dtype=torch.float64, device=device)
        for label, gradient in capture.gradients.items():
            gradients[label] = gradient.to_dense()
        dist.all_reduce(gradients)
        capture.row_counts = _sum(capture.row_counts, device)
        present = [label for label, count in enumerate(capture.row_counts) if count]
        capture.gradients = {label: gradients[label] / dist.get_world_size() for label in present}
        capture.samples.clear()


def _sum(values: Sequence[float], device: torch.device) -> list[Any]:
    """Sum over the processes, by way of the device that their process group serves."""
    summed = torch.tensor(np.array(values), device=device)
    dist.all_reduce(summed)
    return summed.tolist()
