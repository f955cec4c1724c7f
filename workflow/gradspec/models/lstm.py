"""Long short-term memory network on time courses."""

from torch import nn

from gradspec.models.recurrent import Recurrent


class LSTM(Recurrent):
    """Stacked LSTM layers, a linear read-out of the last layer's states: of their mean over time, or of the last.

    Hochreiter and Schmidhuber (1997).

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
        lstm = nn.LSTM(data_shape[1], hidden, num_layers=layers, batch_first=True)
        super().__init__("lstm", lstm, n_classes, dropout=dropout, readout=readout, truncate=truncate)
