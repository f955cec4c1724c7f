"""Convolutional network on maps of the brain."""

import math
from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from gradspec.errors import ConfigError


class CNN3d(nn.Module):
    """Convolutions over space that halve each axis, with ReLU, dropout, and a linear read-out of what is left.

    Maps are the channels. Strides take the place of pooling, whose gradients PyTorch cannot compute deterministically
    on CUDA; there is no normalisation, which would let the samples of a batch into each other's gradients. Maps lie in
    template space, so that the read-out may know where in the brain a feature is: nothing is averaged over space.

    Parameters
    ----------
    data_shape : tuple of int
        Shape of a sample: (n_maps, x, y, z).
    n_classes : int
        Number of logits.
    channels : sequence of int
        Channels of each convolution, from input to output; each looks at 3 × 3 × 3 voxels and steps by two.
    dropout : float
        Share of the features before the read-out dropped during training.

    Raises
    ------
    ConfigError
        If maps are so small that a convolution would see one voxel along an axis. There is nothing to convolve, and
        PyTorch 2.13 on a CPU then leaves the bfloat16 gradient of the weight unset.
    """

    def __init__(
        self, data_shape: tuple[int, int, int, int], n_classes: int, *, channels: Sequence[int], dropout: float
    ) -> None:
        super().__init__()
        n_maps, *grid = data_shape
        if min(grid) <= 2 ** (len(channels) - 1):
            raise ConfigError(
                f"training.models.cnn3d: maps of {' × '.join(map(str, grid))} voxels are too small for {len(channels)} "
                f"convolutions, each of which halves them; take fewer channels, or maps of more than "
                f"{2 ** (len(channels) - 1)} voxels along each axis (ica.shrink_maps)"
            )
        widths = [n_maps, *channels]
        self.convolutions = nn.Sequential(
            *(
                layer
                for n_in, n_out in pairwise(widths)
                for layer in (nn.Conv3d(n_in, n_out, 3, stride=2, padding=1), nn.ReLU())
            )
        )
        left = math.prod(math.ceil(length / 2 ** len(channels)) for length in grid)
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(widths[-1] * left, n_classes)

    def forward(self, maps: Float[Tensor, "batch map x y z"]) -> Float[Tensor, "batch class"]:
        """Return the logits of each sample."""
        logits: Tensor = self.readout(self.dropout(self.convolutions(maps).flatten(1)))
        return logits
