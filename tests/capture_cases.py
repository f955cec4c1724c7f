"""Small models of every kind of layer, and patterns of groups, over which the recorder is tested."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

BATCH = 7

# Labels of seven samples in two groups, -1 counting only in pooled.
GROUPS = {
    "mixed": [0, 1, 0, 1, 1, 0, 1],
    "sorted": [0, 0, 0, 1, 1, 1, 1],
    "rest": [0, -1, 1, 0, -1, 1, 1],
    "one_sample": [1, 1, 1, 0, 1, 1, 1],
    "empty": [1, 1, -1, 1, 1, -1, 1],
    "single_class": [0, 0, 0, 0, 0, 0, 0],
    "nobody": [-1, -1, -1, -1, -1, -1, -1],
}


@dataclass(frozen=True)
class Case:
    """A model, and the shape of a sample."""

    name: str
    build: Callable[[], nn.Module]
    sample: tuple[int, ...]

    def make(self, dtype: torch.dtype = torch.float64) -> tuple[nn.Module, Tensor, Tensor]:
        """Model, inputs and class labels, the same each time."""
        generator = torch.Generator().manual_seed(1)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = self.build().to(dtype)
        x = torch.randn(BATCH, *self.sample, generator=generator, dtype=torch.float64).to(dtype)
        return model, x, torch.randint(0, 3, (BATCH,), generator=generator)


class Pooled(nn.Module):
    """A body whose output (sample, …, feature) is averaged and classified."""

    def __init__(self, body: nn.Module, features: int) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(features, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        return self.head(x.flatten(1, -2).mean(1) if x.ndim > 2 else x)


class Convolutional(Pooled):
    """A convolutional body, with channels first."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).flatten(2).mean(2))


class Recurrent(nn.Module):
    """A recurrent layer of which outputs, last states and a given first state are used."""

    def __init__(self, layer: nn.RNNBase, features: int, given_state: bool = False) -> None:
        super().__init__()
        self.layer = layer
        self.given_state = given_state
        self.head = nn.Linear(features, 3)

    def forward(self, x: Tensor) -> Tensor:
        hx = None
        if self.given_state:
            first = x.sum((1, 2))[None, :, None].expand(1, len(x), self.layer.hidden_size).tanh()
            hx = (first, first) if isinstance(self.layer, nn.LSTM) else first
        output, state = self.layer(x if self.layer.batch_first else x.transpose(0, 1), hx)
        last = state[0] if isinstance(state, tuple) else state
        return self.head(output.mean(1 if self.layer.batch_first else 0)) + last.sum((0, 2))[:, None]


class Attention(nn.Module):
    """Attention of a sequence to itself, or to others made from it."""

    def __init__(self, kind: str, **options: object) -> None:
        super().__init__()
        self.kind = kind
        self.attention = nn.MultiheadAttention(6, 2, **options)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        first = self.attention.batch_first
        sequence = x if first else x.transpose(0, 1)
        other = sequence.roll(1, -1)[:, :3] if first else sequence.roll(1, -1)[:3]
        key, value = {
            "self": (sequence, sequence),
            "memory": (other, other),
            "cross": (other, other.square()),
            "dims": (other[..., :4], other[..., :5]),
        }[self.kind]
        output, _ = self.attention(sequence, key, value, need_weights=self.kind != "memory")
        return self.head(output.mean(1 if first else 0))


class Decoder(nn.Module):
    """A transformer decoder layer that attends to its own input, reversed."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.batch_first = batch_first
        self.layer = nn.TransformerDecoderLayer(6, 2, 9, dropout=0.0, batch_first=batch_first)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.batch_first else x.transpose(0, 1)
        return self.head(self.layer(x, x.flip(-1)).mean(1 if self.batch_first else 0))


class Encoder(nn.Module):
    """A transformer encoder of one layer."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.batch_first = batch_first
        layer = nn.TransformerEncoderLayer(6, 2, 9, dropout=0.0, batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.batch_first else x.transpose(0, 1)
        return self.head(self.encoder(x).mean(1 if self.batch_first else 0))


class Shared(nn.Module):
    """One linear layer used three times, so that its rows outgrow the sample side on the way."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width)
        self.head = nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = self.layer(x).tanh()
        return self.head(x)


class Blockwise(nn.Module):
    """Attention whose dimension is larger than its rows are many, so that it is solved on the sample side."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True)
        self.head = nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        output, _ = self.attention(x, x, x)
        return self.head(output.mean(1))


CASES = [
    Case("linear", lambda: nn.Sequential(nn.Linear(12, 10), nn.Tanh(), nn.Linear(10, 3)), (12,)),
    Case("linear_wide", lambda: nn.Sequential(nn.Linear(40, 30, bias=False), nn.ReLU(), nn.Linear(30, 3)), (40,)),
    Case("linear_inplace_3d", lambda: Pooled(nn.Sequential(nn.Linear(5, 6), nn.ReLU(inplace=True)), 6), (4, 5)),
    Case("linear_3d_few_rows", lambda: Pooled(nn.Linear(40, 30), 30), (3, 40)),
    Case("linear_4d", lambda: Pooled(nn.Linear(5, 6), 6), (2, 3, 5)),
    Case("linear_shared_rows", lambda: Shared(40), (40,)),
    Case("linear_shared_mixed", lambda: Shared(10), (10,)),
    Case("conv1d", lambda: Convolutional(nn.Conv1d(3, 4, 3, stride=2, padding=1), 4), (3, 9)),
    Case("conv1d_same", lambda: Convolutional(nn.Conv1d(3, 4, 4, padding="same", dilation=3), 4), (3, 11)),
    Case("conv1d_valid", lambda: Convolutional(nn.Conv1d(3, 4, 3, padding="valid"), 4), (3, 9)),
    Case("conv1d_circular", lambda: Convolutional(nn.Conv1d(3, 4, 3, padding=2, padding_mode="circular"), 4), (3, 9)),
    Case("conv2d", lambda: Convolutional(nn.Conv2d(2, 3, (3, 2), stride=(1, 2), dilation=(2, 1)), 3), (2, 7, 6)),
    Case("conv2d_groups", lambda: Convolutional(nn.Conv2d(4, 6, 3, padding=1, groups=2), 6), (4, 5, 5)),
    Case("conv2d_reflect", lambda: Convolutional(nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), 3), (2, 5, 4)),
    Case("conv3d", lambda: Convolutional(nn.Conv3d(2, 3, 2, padding=(1, 0, 1), bias=False), 3), (2, 3, 4, 3)),
    Case("conv3d_depthwise", lambda: Convolutional(nn.Conv3d(3, 3, 2, groups=3), 3), (3, 3, 4, 3)),
    Case("rnn", lambda: Recurrent(nn.RNN(4, 5, batch_first=True, nonlinearity="relu"), 5), (6, 4)),
    Case("rnn_state", lambda: Recurrent(nn.RNN(4, 5), 5, given_state=True), (6, 4)),
    Case("lstm", lambda: Recurrent(nn.LSTM(4, 5), 5), (6, 4)),
    Case("lstm_deep", lambda: Recurrent(nn.LSTM(4, 5, 2, bidirectional=True, batch_first=True), 10), (6, 4)),
    Case("lstm_state", lambda: Recurrent(nn.LSTM(4, 5, bias=False, batch_first=True), 5, given_state=True), (6, 4)),
    Case("lstm_projection", lambda: Recurrent(nn.LSTM(4, 5, proj_size=3, batch_first=True), 3), (6, 4)),
    Case("gru", lambda: Recurrent(nn.GRU(4, 5, 2, batch_first=True), 5), (6, 4)),
    Case("attention", lambda: Attention("self", batch_first=True), (4, 6)),
    Case("attention_time_major", lambda: Attention("self"), (4, 6)),
    Case("attention_bias_kv", lambda: Attention("self", add_bias_kv=True, bias=False), (4, 6)),
    Case("attention_memory", lambda: Attention("memory", batch_first=True), (4, 6)),
    Case("attention_cross", lambda: Attention("cross"), (4, 6)),
    Case("attention_dims", lambda: Attention("dims", kdim=4, vdim=5, batch_first=True), (4, 6)),
    Case("attention_few_rows", Blockwise, (3, 32)),
    Case("encoder", lambda: Encoder(batch_first=True), (4, 6)),
    Case("encoder_time_major", lambda: Encoder(batch_first=False), (4, 6)),
    Case("decoder", lambda: Decoder(batch_first=True), (4, 6)),
    Case("decoder_time_major", lambda: Decoder(batch_first=False), (4, 6)),
]  # fmt: skip

PARAMETRISED = Case("weight_norm", lambda: nn.Sequential(weight_norm(nn.Linear(12, 10)), nn.Linear(10, 3)), (12,))
