"""The models and batches on which the cost of recording is measured."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Workload:
    """A model, and the shape of its batches.

    Attributes
    ----------
    build : callable
        Makes the model, which gives two logits a sample.
    batch : int
        Samples a batch, half of each group.
    sample : tuple of int
        Shape of a sample.
    """

    build: Callable[[], nn.Module]
    batch: int
    sample: tuple[int, ...]

    def draw(self, generator: torch.Generator, by_group: bool, n_groups: int = 2) -> tuple[Tensor, Tensor]:
        """Draw a new batch and its groups, which are the classes too, and differ a little.

        A batch that came back would be learnt by heart, and leave gradients that no training has.
        """
        group = torch.arange(self.batch) * n_groups // self.batch
        if not by_group:
            group = group[torch.randperm(self.batch, generator=generator)]
        x = torch.randn(self.batch, *self.sample, generator=generator)
        return x + 0.1 * group.view(-1, *(1 for _ in self.sample)), group


class Recurrent(nn.Module):
    """A recurrent layer, and a readout of its last output.

    Parameters
    ----------
    layer : type
        ``nn.LSTM`` or ``nn.GRU``.
    width : int
        Hidden units.
    """

    def __init__(self, layer: type[nn.RNNBase], width: int) -> None:
        super().__init__()
        self.recurrent = layer(53, width, batch_first=True)
        self.readout = nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of (sample, time, component)."""
        return self.readout(self.recurrent(x)[0][:, -1])


class Transformer(nn.Module):
    """An encoder of two layers, and a readout of its mean over time."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Linear(53, 128)
        layer = nn.TransformerEncoderLayer(128, 4, dim_feedforward=256, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False)
        self.readout = nn.Linear(128, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of (sample, time, component)."""
        return self.readout(self.encoder(self.embedding(x)).mean(1))


def _mlp() -> nn.Module:
    widths = (1378, 256, 128, 64)
    hidden = [layer for sizes in pairwise(widths) for layer in (nn.Linear(*sizes), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(64, 2))


def _cnn1d() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(53, 64, 7, padding=3), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(64, 128, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(128, 128, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool1d(1),
        nn.Flatten(), nn.Linear(128, 2),
    )  # fmt: skip


def _cnn3d() -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool3d(2),
        nn.Conv3d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool3d(2),
        nn.Conv3d(16, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool3d(1),
        nn.Flatten(), nn.Linear(32, 2),
    )  # fmt: skip


def mlp(width: int) -> nn.Module:
    """A network of two hidden layers as wide as its input, and a read-out of 16 classes."""
    hidden = [layer for _ in range(2) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(width, 16))


WORKLOADS = {
    "MLP 1378-256-128-64": Workload(_mlp, 32, (1378,)),
    "LSTM 53-128": Workload(partial(Recurrent, nn.LSTM, 128), 16, (140, 53)),
    "GRU 53-32": Workload(partial(Recurrent, nn.GRU, 32), 16, (140, 53)),
    "GRU 53-128": Workload(partial(Recurrent, nn.GRU, 128), 16, (140, 53)),
    "transformer d=128": Workload(Transformer, 16, (140, 53)),
    "1D-CNN": Workload(_cnn1d, 32, (53, 140)),
    "3D-CNN": Workload(_cnn3d, 8, (1, 32, 32, 32)),
}
