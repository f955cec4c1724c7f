"""Multilayer perceptron on every volume, and the mean over time."""

from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn


class MeanMLP(nn.Module):
    """The same linear layers with ReLU and dropout on each volume, the mean over time, and a linear read-out.

    After Popov et al. (2024), "A simple but tough-to-beat baseline for fMRI time-series classification", without
    normalisation between the layers. It is blind to the order of volumes: it tells groups apart by how the values of
    the components are distributed together.

    Parameters
    ----------
    data_shape : tuple of int
        Shape of a sample: (n_volumes, n_components).
    n_classes : int
        Number of logits.
    hidden : sequence of int
        Widths of the hidden layers, from input to output.
    dropout : float
        Share of hidden units dropped during training.
    """

    def __init__(self, data_shape: tuple[int, int], n_classes: int, *, hidden: Sequence[int], dropout: float) -> None:
        super().__init__()
        widths = [data_shape[1], *hidden]
        self.hidden = nn.Sequential(
            *(
                layer
                for n_in, n_out in pairwise(widths)
                for layer in (nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(dropout))
            )
        )
        self.readout = nn.Linear(widths[-1], n_classes)

    def forward(self, timecourses: Float[Tensor, "batch time component"]) -> Float[Tensor, "batch class"]:
        """Return the logits of each sample."""
        logits: Tensor = self.readout(self.hidden(timecourses).mean(dim=1))
        return logits
