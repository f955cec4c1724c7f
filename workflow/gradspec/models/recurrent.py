"""What the gated recurrent networks share: states, window by window, and what is read out of them."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gradspec.models.truncation import split_windows


class Recurrent(nn.Module):
    """Stacked recurrent layers, a linear read-out of the last layer's states: of their mean over time, or of the last.

    Dropout acts on what is read out only: dropout between the layers is drawn inside the fused kernel, where splitting
    the batch by group would change the order of its random numbers and so the training that is observed.

    Parameters
    ----------
    name : str
        Name of the layers, which that of their parameters begins with.
    layers : RNNBase
        They take samples (batch, time, component).
    n_classes : int
        Number of logits.
    dropout, readout, truncate
        As `gradspec.models.lstm.LSTM` takes them.
    """

    def __init__(
        self,
        name: str,
        layers: nn.RNNBase,
        n_classes: int,
        *,
        dropout: float,
        readout: str = "mean",
        truncate: int | None = None,
    ) -> None:
        super().__init__()
        self.reads_last, self.truncate = readout == "last", truncate
        self._layers = name
        self.add_module(name, layers)
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(layers.hidden_size, n_classes)

    def forward(self, timecourses: Float[Tensor, "batch time component"]) -> Float[Tensor, "batch class"]:
        """Return the logits of each sample."""
        layers, outputs, state = self.get_submodule(self._layers), [], None
        for window in split_windows(timecourses, self.truncate):
            output, state = layers(window, state)
            state = _detach(state)
            outputs.append(output)
        states = torch.cat(outputs, dim=1)
        logits: Tensor = self.readout(self.dropout(states[:, -1] if self.reads_last else states.mean(dim=1)))
        return logits


def _detach(state: Tensor | tuple[Tensor, Tensor]) -> Tensor | tuple[Tensor, ...]:
    """Cut off what came before; an LSTM has a cell state beside the hidden one."""
    return state.detach() if isinstance(state, Tensor) else tuple(part.detach() for part in state)
