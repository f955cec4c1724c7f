"""Gated recurrent network on time courses."""

from jaxtyping import Float
from torch import Tensor, nn


class GRU(nn.Module):
    """Stacked GRU layers, the mean of the last layer's hidden states over time, and a linear read-out.

    Cho et al. (2014): one gate and one state fewer than an LSTM. Dropout acts on the mean hidden state only, for the
    reason that `LSTM` gives.

    Parameters
    ----------
    data_shape : tuple of int
        Shape of a sample: (n_volumes, n_components).
    n_classes : int
        Number of logits.
    hidden : int
        Width of the hidden state.
    layers : int
        Number of stacked layers.
    dropout : float
        Share of the units of the mean hidden state dropped during training.
    """

    def __init__(
        self, data_shape: tuple[int, int], n_classes: int, *, hidden: int, layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.gru = nn.GRU(data_shape[1], hidden, num_layers=layers, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(hidden, n_classes)

    def forward(self, timecourses: Float[Tensor, "batch time component"]) -> Float[Tensor, "batch class"]:
        """Return the logits of each sample."""
        states, _ = self.gru(timecourses)
        logits: Tensor = self.readout(self.dropout(states.mean(dim=1)))
        return logits
