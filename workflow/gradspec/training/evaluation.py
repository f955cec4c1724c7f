"""How well a network does what it is trained for, at a moment of training."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

_CHUNK = 256  # samples of one forward pass; keeps attention over long series within memory


def predict(
    model: nn.Module,
    inputs: Float[Tensor, "sample ..."],
    outcome: Callable[[Tensor, Tensor], Tensor] = lambda outputs, _: outputs,
) -> Float[np.ndarray, "sample ..."]:
    """Outcome of all samples in evaluation mode, without a trace in gradients or random numbers.

    Parameters
    ----------
    model : Module
        Left in the mode it was in.
    inputs : Tensor
        Scaled samples, on the device of the model or not.
    outcome : callable
        Of outputs and inputs, what is kept of each sample; the outputs by default.

    Returns
    -------
    array, float64
        Outcome of each sample.
    """
    training, device = model.training, next(model.parameters()).device
    model.eval()
    with torch.no_grad():
        chunks = (chunk.to(device) for chunk in torch.split(inputs, _CHUNK))
        kept = torch.cat([outcome(model(chunk), chunk) for chunk in chunks])
    model.train(training)
    return kept.double().cpu().numpy()


def probabilities(logits: Float[np.ndarray, "sample class"]) -> Float[np.ndarray, "sample"]:
    """Probability of the comparison group (the last class)."""
    from scipy.special import softmax

    return np.asarray(softmax(logits, axis=1)[:, -1])


def score_logits(logits: Float[np.ndarray, "sample class"], groups: Int[np.ndarray, "sample"]) -> dict[str, float]:
    """Loss, and how well the groups are told apart.

    Parameters
    ----------
    logits : array
        Output of the network.
    groups : array of int
        True group of each sample, 0 or 1.

    Returns
    -------
    dict
        ``loss`` (mean cross-entropy in nats), ``loss_reference`` and ``loss_comparison`` (of each group),
        ``balanced_accuracy`` and ``roc_auc``; NaN where a group is absent.
    """
    from scipy.special import log_softmax
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score

    losses = -log_softmax(logits, axis=1)[np.arange(len(groups)), groups]
    both = len(np.unique(groups)) == 2
    return _mean_losses(losses, groups) | {
        "balanced_accuracy": float(balanced_accuracy_score(groups, logits.argmax(axis=1))) if both else np.nan,
        "roc_auc": float(roc_auc_score(groups, probabilities(logits))) if both else np.nan,
    }


def score_errors(errors: Float[np.ndarray, "sample"], groups: Int[np.ndarray, "sample"]) -> dict[str, float]:
    """Loss of a network that reconstructs: the same as of `score_logits`, but it tells no groups apart.

    Parameters
    ----------
    errors : array
        Mean squared error of each sample.
    groups : array of int
        Group of each sample, 0 or 1.

    Returns
    -------
    dict
        ``loss``, ``loss_reference`` and ``loss_comparison``; ``balanced_accuracy`` and ``roc_auc`` are NaN.
    """
    return _mean_losses(errors, groups) | {"balanced_accuracy": np.nan, "roc_auc": np.nan}


def _mean_losses(losses: Float[np.ndarray, "sample"], groups: Int[np.ndarray, "sample"]) -> dict[str, float]:
    reference, comparison = (losses[groups == group] for group in (0, 1))
    return {
        "loss": float(losses.mean()),
        "loss_reference": float(reference.mean()) if len(reference) else np.nan,
        "loss_comparison": float(comparison.mean()) if len(comparison) else np.nan,
    }
