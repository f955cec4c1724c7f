"""How well a network tells the groups apart at a moment of training."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

_CHUNK = 256  # samples of one forward pass; keeps attention over long series within memory


def predict(model: nn.Module, inputs: Float[Tensor, "sample ..."]) -> Float[np.ndarray, "sample class"]:
    """Logits of all samples in evaluation mode, without a trace in gradients or random numbers.

    Parameters
    ----------
    model : Module
        Left in the mode it was in.
    inputs : Tensor
        Scaled samples on the device of the model.

    Returns
    -------
    array, float64
        Logits.
    """
    training = model.training
    model.eval()
    with torch.no_grad():
        logits = torch.cat([model(chunk) for chunk in torch.split(inputs, _CHUNK)])
    model.train(training)
    return logits.double().cpu().numpy()


def probabilities(logits: Float[np.ndarray, "sample class"]) -> Float[np.ndarray, "sample"]:
    """Probability of the comparison group (the last class)."""
    from scipy.special import softmax

    return np.asarray(softmax(logits, axis=1)[:, -1])


def score(logits: Float[np.ndarray, "sample class"], groups: Int[np.ndarray, "sample"]) -> dict[str, float]:
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
    reference, comparison = (losses[groups == group] for group in (0, 1))
    scores = {
        "loss": losses.mean(),
        "loss_reference": reference.mean() if len(reference) else np.nan,
        "loss_comparison": comparison.mean() if len(comparison) else np.nan,
        "balanced_accuracy": balanced_accuracy_score(groups, logits.argmax(axis=1)) if both else np.nan,
        "roc_auc": roc_auc_score(groups, probabilities(logits)) if both else np.nan,
    }
    return {name: float(value) for name, value in scores.items()}
