"""Transformer encoder with a class token on time courses."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gradspec.errors import ConfigError


class Transformer(nn.Module):
    """Linear embedding of each volume, a class token, encoder layers, and a linear read-out of the token.

    The class token follows BERT (Devlin et al. 2019). Layers normalise their input rather than their output (Xiong et
    al. 2020), which trains without a warm-up of the learning rate; their feed-forward part is four times as wide.

    Parameters
    ----------
    data_shape : tuple of int
        Shape of a sample: (n_volumes, n_components).
    n_classes : int
        Number of logits.
    width : int
        Width of the embedding, a multiple of `heads`.
    heads : int
        Attention heads of each layer.
    layers : int
        Number of encoder layers.
    dropout : float
        Share of units dropped during training, in the embedding and in each layer.
    n_volumes : int or None
        Volumes that it sees, from the first; None for all.

    Raises
    ------
    ConfigError
        If `n_volumes` is more than there are.
    """

    position: Tensor

    def __init__(
        self,
        data_shape: tuple[int, int],
        n_classes: int,
        *,
        width: int,
        heads: int,
        layers: int,
        dropout: float,
        n_volumes: int | None = None,
    ) -> None:
        super().__init__()
        available, n_components = data_shape
        self.n_volumes = n_volumes or available
        if self.n_volumes > available:
            raise ConfigError(
                f"training.models.transformer.n_volumes is {n_volumes}, but the time courses have only {available} "
                "volumes: lower it"
            )
        self.embedding = nn.Linear(n_components, width)
        self.class_token = nn.Parameter(torch.empty(width).normal_(std=0.02))
        self.register_buffer("position", positional_encoding(self.n_volumes, width), persistent=False)
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.readout = nn.Linear(width, n_classes)

    def forward(self, timecourses: Float[Tensor, "batch time component"]) -> Float[Tensor, "batch class"]:
        """Return the logits of each sample."""
        volumes = self.embedding(timecourses[:, : self.n_volumes]) + self.position
        token = self.class_token.expand(len(volumes), 1, -1)
        encoded = self.encoder(self.dropout(torch.cat([token, volumes], dim=1)))
        logits: Tensor = self.readout(encoded[:, 0])
        return logits


def positional_encoding(length: int, width: int) -> Float[Tensor, "time width"]:
    """Sines (even columns) and cosines (odd columns) of falling frequency.

    Vaswani et al. (2017), section 3.5. It has no parameters, so nothing is learned of a position that few
    participants cannot support.
    """
    position = torch.arange(length, dtype=torch.float32)[:, None]
    frequency = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10000.0) / width))
    encoding = torch.empty(length, width)
    encoding[:, 0::2] = torch.sin(position * frequency)
    encoding[:, 1::2] = torch.cos(position * frequency[: width // 2])
    return encoding
