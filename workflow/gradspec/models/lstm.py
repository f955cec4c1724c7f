"""Long short-term memory network on time courses."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gradspec.models.truncation import split_windows


class LSTM(nn.Module):
    """Stacked LSTM layers, a linear read-out of the last layer's states: of their mean over time, or of the last.

    Hochreiter and Schmidhuber (1997). Dropout acts on what is read out only: dropout between the layers is drawn
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
        Share of the units that are read out dropped during training.
    readout : str
        ``mean`` or ``last``.
    truncate : int or None
        Volumes over which gradients go back through time; see `gradspec.models.truncation`.
    """

    def __init__(
        self,
        data_shape: tuple[int, int],
        n_classes: int,
        *,
        hidden: int,
        layers: int,
        dropout: float,
        readout: str = "mean",
        truncate: int | None = None,
    ) -> None:
        super().__init__()
        self.reads_last, self.truncate = readout == "last", truncate
        self.lstm = nn.LSTM(data_shape[1], hidden, num_layers=layers, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(hidden, n_classes)

    def forward(self, timecourses: Float[Tensor, "batch time component"]) -> Float[Tensor, "batch class"]:
        """Return the logits of each sample."""
        outputs, state = [], None
        for window in split_windows(timecourses, self.truncate):
            output, state = self.lstm(window, state)
            state = tuple(part.detach() for part in state)
            outputs.append(output)
        states = torch.cat(outputs, dim=1)
        logits: Tensor = self.readout(self.dropout(states[:, -1] if self.reads_last else states.mean(dim=1)))
        return logits
