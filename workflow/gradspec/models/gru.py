"""Gated recurrent network on time courses."""

from torch import nn

from gradspec.models.recurrent import Recurrent


class GRU(Recurrent):
    """Stacked GRU layers, the mean of the last layer's hidden states over time, and a linear read-out.

    Cho et al. (2014): one gate and one state fewer than an LSTM.

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
        gru = nn.GRU(data_shape[1], hidden, num_layers=layers, batch_first=True)
        super().__init__("gru", gru, n_classes, dropout=dropout)
