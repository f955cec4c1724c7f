"""Sequence-to-sequence autoencoder of time courses."""

from jaxtyping import Float
from torch import Tensor, nn


class Autoencoder(nn.Module):
    """An LSTM that reads the time courses into a code, and one that writes them from it, the last volume first.

    The unconditioned composite of Srivastava et al. (2015): the code is the encoder's hidden state after the last
    volume, which the decoder is given at every volume; it writes backwards, so that what was read last, and is
    remembered best, comes first. There is no label in it: groups are told apart by the recorder alone.

    Parameters
    ----------
    data_shape : tuple of int
        Shape of a sample: (n_volumes, n_components).
    code : int
        Width of the code, the hidden state of the encoder.
    hidden : int
        Width of the hidden state of the decoder.
    dropout : float
        Share of the units of the code dropped during training.
    """

    def __init__(self, data_shape: tuple[int, int], *, code: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.encoder = nn.LSTM(data_shape[1], code, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.decoder = nn.LSTM(code, hidden, batch_first=True)
        self.readout = nn.Linear(hidden, data_shape[1])

    def forward(self, timecourses: Float[Tensor, "batch time component"]) -> Float[Tensor, "batch time component"]:
        """Return the reconstruction of each sample."""
        states, _ = self.encoder(timecourses)
        code = self.dropout(states[:, -1:]).expand(-1, timecourses.shape[1], -1)
        written, _ = self.decoder(code)
        reconstruction: Tensor = self.readout(written).flip(1)
        return reconstruction
