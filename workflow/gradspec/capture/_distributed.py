r"""Exact spectra of several processes: the gradients of all, as distributed data-parallel training averages them.

With W processes the optimiser gets :math:`\frac1W \sum_r G^{(r)}`, of which :math:`\frac1W \sum_r G_g^{(r)}` is the
share of group g. It is computed by one all-reduce of the gradients of all groups a weight, which costs a little more
than as many times the traffic of training as there are groups.
"""

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
    n_processes = dist.get_world_size()
    counts = torch.from_numpy(step.counts)
    dist.all_reduce(counts)
    step.counts = counts.numpy()
    for weight, capture in step.weights.items():
        capture.settle(parameter_side=True)
        own = {label: gradient.to_dense() for label, gradient in capture.gradients.items()}
        gradients = next(iter(own.values())).new_zeros(len(step.counts), *weight.shape)
        for label, gradient in own.items():
            gradients[label] = gradient
        row_counts = torch.as_tensor(capture.row_counts)
        dist.all_reduce(gradients)
        dist.all_reduce(row_counts)
        capture.row_counts = row_counts.numpy()
        present = row_counts.nonzero().flatten().tolist()
        capture.gradients = {label: gradients[label] / n_processes for label in present}
        capture.samples.clear()
