"""What a network is trained for: to tell the groups apart, or to reconstruct what it is given."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus

from gradspec.models.registry import reconstructs
from gradspec.training.evaluation import score_errors, score_logits


@dataclass(frozen=True)
class Task:
    """A loss, and what is kept of a trial.

    Parameters
    ----------
    losses : callable
        Of outputs, inputs and groups of a batch, the loss of each sample.
    outcome : callable
        Of outputs and inputs, what is kept of each sample: its logits, or its error.
    score : callable
        Of the outcomes of some samples and their groups, the columns of ``metrics.tsv``.
    """

    losses: Callable[[Tensor, Tensor, Int[Tensor, "batch"]], Float[Tensor, "batch"]]
    outcome: Callable[[Tensor, Tensor], Float[Tensor, "batch ..."]]
    score: Callable[[Float[np.ndarray, "sample ..."], Int[np.ndarray, "sample"]], dict[str, float]]


def task_of(network: str) -> Task:
    """Task of a network, by the name that it has here or the path of its class."""
    return _RECONSTRUCTION if reconstructs(network) else CLASSIFICATION


def _squared_errors(outputs: Float[Tensor, "batch ..."], inputs: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch"]:
    """Mean squared error of each sample."""
    return (outputs - inputs).square().flatten(1).mean(dim=1)


def cross_entropies(logits: Float[Tensor, "batch class"], groups: Int[Tensor, "batch"]) -> Float[Tensor, "batch"]:
    """Cross-entropy of each sample; of two classes from the difference of their logits.

    The gradient of a softmax is a difference of nearly equal numbers where a sample is fitted well: in single precision
    it is off by 6 % at a margin of 16 between the logits, zero from 17, and the gradient of a read-out gets a second
    singular value that is rounding. From the difference, both entries are the same number with opposite signs.
    """
    if logits.shape[1] != 2:
        return cross_entropy(logits, groups, reduction="none")
    logits = logits if logits.dtype == torch.float64 else logits.float()
    own, other = (logits.gather(1, each[:, None])[:, 0] for each in (groups, 1 - groups))
    return softplus(other - own)


CLASSIFICATION = Task(
    losses=lambda outputs, _, groups: cross_entropies(outputs, groups),
    outcome=lambda outputs, _: outputs,
    score=score_logits,
)
_RECONSTRUCTION = Task(
    losses=lambda outputs, inputs, _: _squared_errors(outputs, inputs),
    outcome=_squared_errors,
    score=score_errors,
)
