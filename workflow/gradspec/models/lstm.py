"""Long short-term memory network on time courses."""

from jaxtyping import Float
from torch import Tensor, nn


class LSTM(nn.Module):
    """Stacked LSTM layers, the mean of the last layer's hidden states over time, and a linear read-out.

    Hochreiter and Schmidhuber (1997). Dropout acts on the mean hidden state only: dropout between the layers is drawn
    inside the fused kernel, where splitting the batch by group would change the order of its random numbers and so the
    training that is observed.

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
        self.lstm = nn.LSTM(data_shape[1], hidden, num_layers=layers, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(hidden, n_classes)

    def forward(self, timecourses: Float[Tensor, "batch time component"]) -> Float[Tensor, "batch class"]:
        """Return the logits of each sample."""
        states, _ = self.lstm(timecourses)
        logits: Tensor = self.readout(self.dropout(states.mean(dim=1)))
        return logits
