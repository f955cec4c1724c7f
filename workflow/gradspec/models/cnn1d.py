"""Convolutional network over time on time courses."""

from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn


class CNN1d(nn.Module):
    """Convolutions over time with ReLU, the mean over time, dropout, and a linear read-out.

    Components are the channels, as in the fully convolutional network of Wang, Yan and Oates (2017), without its batch
    normalisation: that would let the samples of a batch, and with them the groups, into each other's gradients.

    Parameters
    ----------
    data_shape : tuple of int
        Shape of a sample: (n_volumes, n_components).
    n_classes : int
        Number of logits.
    channels : sequence of int
        Channels of each convolution, from input to output.
    kernel : int
        Volumes that a convolution looks at, an odd number; the ends are padded with zeros.
    dropout : float
        Share of the channels of the mean over time dropped during training.
    """

    def __init__(
        self, data_shape: tuple[int, int], n_classes: int, *, channels: Sequence[int], kernel: int, dropout: float
    ) -> None:
        super().__init__()
        widths = [data_shape[1], *channels]
        self.convolutions = nn.Sequential(
            *(
                layer
                for n_in, n_out in pairwise(widths)
                for layer in (nn.Conv1d(n_in, n_out, kernel, padding=kernel // 2), nn.ReLU())
            )
        )
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(widths[-1], n_classes)

    def forward(self, timecourses: Float[Tensor, "batch time component"]) -> Float[Tensor, "batch class"]:
        """Return the logits of each sample."""
        maps = self.convolutions(timecourses.mT)
        logits: Tensor = self.readout(self.dropout(maps.mean(dim=2)))
        return logits
