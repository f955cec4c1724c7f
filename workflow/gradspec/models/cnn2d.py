"""Convolutional network on the matrix of connectivity."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gradspec.errors import ConfigError


class CNN2d(nn.Module):
    """A convolution over each row of the matrix, one over the components, and a linear read-out.

    The edge-to-node and node-to-graph layers of BrainNetCNN (Kawahara et al. 2017). Components have no neighbours, so
    kernels are as long as a row or a column: each channel of the first convolution weighs the connections of a
    component, the same way for all components; the second weighs the components.

    Parameters
    ----------
    data_shape : tuple of int
        Shape of a sample: (n_components · (n_components - 1) / 2,), the upper triangle row by row.
    n_classes : int
        Number of logits.
    channels : int
        Channels of the first convolution.
    hidden : int
        Channels of the second.
    dropout : float
        Share of the channels of either dropped during training.

    Raises
    ------
    ConfigError
        If the features are not the upper triangle of a matrix.
    """

    place: Int[Tensor, "component component"]

    def __init__(self, data_shape: tuple[int], n_classes: int, *, channels: int, hidden: int, dropout: float) -> None:
        super().__init__()
        (n_features,) = data_shape
        n_components = (1 + math.isqrt(1 + 8 * n_features)) // 2
        if n_components * (n_components - 1) // 2 != n_features:
            raise ConfigError(
                f"training.models: cnn2d works on the connectivity between components, but {n_features} features are "
                "not the upper triangle of any square matrix: choose mlp for feature vectors"
            )
        self.register_buffer("place", _places(n_components), persistent=False)
        self.rows = nn.Conv2d(1, channels, (1, n_components))
        self.components = nn.Conv2d(channels, hidden, (n_components, 1))
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(hidden, n_classes)

    def forward(self, features: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch class"]:
        """Return the logits of each sample."""
        matrices = nn.functional.pad(features, (0, 1))[:, None, self.place]
        maps = self.dropout(self.rows(matrices).relu())
        logits: Tensor = self.readout(self.dropout(self.components(maps).relu().flatten(1)))
        return logits


def _places(n_components: int) -> Int[Tensor, "component component"]:
    """Where each element of the symmetric matrix is in its upper triangle; the diagonal is one behind the end."""
    first, second = torch.triu_indices(n_components, n_components, offset=1)
    places = torch.full((n_components, n_components), len(first))
    places[first, second] = places[second, first] = torch.arange(len(first))
    return places
