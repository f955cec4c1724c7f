"""Multilayer perceptron on a vector of connectivity (or other features)."""

from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn


class MLP(nn.Module):
    """Linear layers with (leaky) ReLU and dropout between them, and a linear read-out.

    Parameters
    ----------
    data_shape : tuple of int
        Shape of a sample: (n_features,).
    n_classes : int
        Number of logits.
    hidden : sequence of int
        Widths of the hidden layers, from input to output.
    dropout : float
        Share of hidden units dropped during training.
    negative_slope : float
        Slope of the activation below zero: 0 for ReLU, 1 for a linear network.
    """

    def __init__(
        self,
        data_shape: tuple[int],
        n_classes: int,
        *,
        hidden: Sequence[int],
        dropout: float,
        negative_slope: float = 0.0,
    ) -> None:
        super().__init__()

        def activation() -> nn.Module:
            return nn.LeakyReLU(negative_slope) if negative_slope else nn.ReLU()

        widths = [data_shape[0], *hidden]
        self.hidden = nn.Sequential(
            *(
                layer
                for n_in, n_out in pairwise(widths)
                for layer in (nn.Linear(n_in, n_out), activation(), nn.Dropout(dropout))
            )
        )
        self.readout = nn.Linear(widths[-1], n_classes)

    def forward(self, features: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch class"]:
        """Return the logits of each sample."""
        logits: Tensor = self.readout(self.hidden(features))
        return logits
