"""Elman's simple recurrent network on time courses."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gradspec.models.truncation import split_windows


class Elman(nn.Module):
    r"""A recurrent layer, and a linear read-out of its states: of their mean over time, or of the last.

    Elman (1990): :math:`h_t = \phi(U x_t + b + W h_{t-1})`, :math:`h_0 = 0`. Two linear layers make the step, so that
    what :math:`W` sees and what comes back to it can be recorded, which the fused kernel of ``nn.RNN`` hides. The
    recurrent weights start orthogonal (Saxe et al. 2014), which keeps gradients from fading over the first steps back.

    Parameters
    ----------
    data_shape : tuple of int
        Shape of a sample: (n_volumes, n_components).
    n_classes : int
        Number of logits.
    hidden : int
        Width of the hidden state.
    activation : str
        :math:`\phi`: ``tanh`` or ``linear``.
    readout : str
        ``mean`` or ``last``.
    truncate : int or None
        Volumes over which gradients go back through time; see `gradspec.models.truncation`.
    dropout : float
        Share of the units that are read out dropped during training.
    """

    def __init__(
        self,
        data_shape: tuple[int, int],
        n_classes: int,
        *,
        hidden: int,
        activation: str,
        readout: str,
        truncate: int | None,
        dropout: float,
    ) -> None:
        super().__init__()
        self.activation = nn.Tanh() if activation == "tanh" else nn.Identity()
        self.reads_last, self.truncate = readout == "last", truncate
        self.input = nn.Linear(data_shape[1], hidden)
        self.recurrent = nn.Linear(hidden, hidden, bias=False)
        nn.init.orthogonal_(self.recurrent.weight)
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(hidden, n_classes)

    def forward(self, timecourses: Float[Tensor, "batch time component"]) -> Float[Tensor, "batch class"]:
        """Return the logits of each sample."""
        state = timecourses.new_zeros(len(timecourses), self.recurrent.in_features)
        states = []
        for window in split_windows(self.input(timecourses), self.truncate):
            state = state.detach()
            for drive in window.unbind(dim=1):
                state = self.activation(drive + self.recurrent(state))
                states.append(state)
        read = state if self.reads_last else torch.stack(states).mean(dim=0)
        logits: Tensor = self.readout(self.dropout(read))
        return logits
