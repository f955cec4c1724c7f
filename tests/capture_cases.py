"""Small models of every kind of layer, and patterns of groups, over which the recorder is tested."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

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
    """A model, the shape of a sample, and what to record beside the layers that always are."""

    name: str
    build: Callable[[], nn.Module]
    sample: tuple[int, ...]
    extras: tuple[str, ...] = ()

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


class Products(nn.Module):
    """A bilinear layer of what comes in and its halves."""

    def __init__(self, features: int, outputs: int, bias: bool = True) -> None:
        super().__init__()
        self.bilinear = nn.Bilinear(features, features // 2, outputs, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.bilinear(x, x[..., : x.shape[-1] // 2].tanh())


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


class Packed(nn.Module):
    """A recurrent layer over sequences of different lengths, of which outputs, states and a first state are used."""

    LENGTHS = (3, 6, 1, 6, 2, 5, 4)

    def __init__(self, layer: nn.RNNBase, features: int, is_sorted: bool = False, given_state: bool = False) -> None:
        super().__init__()
        self.layer = layer
        self.is_sorted = is_sorted
        self.given_state = given_state
        self.head = nn.Linear(features, 3)

    def forward(self, x: Tensor) -> Tensor:
        lengths = sorted(self.LENGTHS, reverse=True) if self.is_sorted else list(self.LENGTHS)
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=self.is_sorted)
        hx = None
        if self.given_state:
            size = self.layer.num_layers * (2 if self.layer.bidirectional else 1)
            first = x.sum((1, 2))[None, :, None].expand(size, len(x), self.layer.hidden_size).tanh()
            hx = (first, first.square()) if isinstance(self.layer, nn.LSTM) else first
        output, state = self.layer(packed, hx)
        last = state[0] if isinstance(state, tuple) else state
        padded, _ = pad_packed_sequence(output, batch_first=True)
        return self.head(padded.mean(1)) + last.sum((0, 2))[:, None]


class Cell(nn.Module):
    """A recurrent cell that is called once a time, from a given state or none."""

    def __init__(self, cell: nn.RNNCellBase, given_state: bool = False) -> None:
        super().__init__()
        self.cell = cell
        self.given_state = given_state
        self.head = nn.Linear(cell.hidden_size, 3)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        if self.given_state:
            first = x.sum((1, 2))[:, None].expand(len(x), self.cell.hidden_size).tanh()
            state = (first, first.square()) if isinstance(self.cell, nn.LSTMCell) else first
        for time in range(x.shape[1]):
            state = self.cell(x[:, time], state)
        return self.head(sum(state) if isinstance(state, tuple) else state)


class Tokens(nn.Module):
    """An embedding of ids made from the input, one a position, used twice where it is `shared`."""

    def __init__(self, embedding: nn.Embedding, shared: bool = False) -> None:
        super().__init__()
        self.embedding = embedding
        self.shared = shared
        self.head = nn.Linear(embedding.embedding_dim, 3)

    def forward(self, x: Tensor) -> Tensor:
        ids = (3 * x).round().long().remainder(self.embedding.num_embeddings)
        rows = self.embedding(ids).tanh()
        if self.shared:
            rows = rows + self.embedding(ids[:, :1].add(1).remainder(self.embedding.num_embeddings)).sin()
        return self.head(rows.flatten(1, -2).mean(1))


class Tied(nn.Module):
    """An autoencoder whose second and fourth layers are one matrix, or a language model whose head is its table."""

    def __init__(self, width: int, table: int = 0) -> None:
        super().__init__()
        self.table = table
        self.first = nn.Embedding(table, width) if table else nn.Linear(width, width)
        self.between = nn.Linear(width, width)
        self.last = nn.Linear(width, table or width, bias=False)
        self.last.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        x = self.first((3 * x).round().long().remainder(self.table)).mean(1) if self.table else self.first(x)
        return self.last(self.between(x.tanh()).tanh())[:, :3]


class TiedConvolutions(nn.Module):
    """Two convolutions over one kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, 4, 3, padding=1, groups=2)
        self.last = nn.Conv1d(4, 4, 3, dilation=2, groups=2)
        self.last.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x).tanh()).mean(2)[:, :3]


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


class Normalised(nn.Module):
    """A normalisation between two linear layers, changed in place afterwards."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm
        self.act = nn.ReLU(inplace=True)
        with torch.no_grad():
            for vector in norm.parameters():
                vector.copy_(torch.randn_like(vector))
        self.head = nn.Linear(1, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.norm(x)).flatten(1).cumsum(1).sin().mean(1, keepdim=True))


def _used(norm: nn.Module) -> nn.Module:
    """A normalisation in evaluation mode with statistics of its own."""
    with torch.no_grad():
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    return norm.eval()


TRACKING_NORM = partial(nn.InstanceNorm2d, 4, affine=True, track_running_stats=True)
EMBEDDING = ("embedding",)
VECTORS = ("vectors",)

CASES = [
    Case("linear", lambda: nn.Sequential(nn.Linear(12, 10), nn.Tanh(), nn.Linear(10, 3)), (12,)),
    Case("linear_wide", lambda: nn.Sequential(nn.Linear(40, 30, bias=False), nn.ReLU(), nn.Linear(30, 3)), (40,)),
    Case("linear_inplace_3d", lambda: Pooled(nn.Sequential(nn.Linear(5, 6), nn.ReLU(inplace=True)), 6), (4, 5)),
    Case("linear_3d_few_rows", lambda: Pooled(nn.Linear(40, 30), 30), (3, 40)),
    Case("linear_4d", lambda: Pooled(nn.Linear(5, 6), 6), (2, 3, 5)),
    Case("linear_shared_rows", lambda: Shared(40), (40,)),
    Case("linear_shared_mixed", lambda: Shared(10), (10,)),
    Case("bilinear", lambda: nn.Sequential(Products(6, 5), nn.Tanh(), nn.Linear(5, 3)), (6,)),
    Case("bilinear_3d", lambda: Pooled(Products(4, 5, bias=False), 5), (9, 4)),
    Case("conv1d", lambda: Convolutional(nn.Conv1d(3, 4, 3, stride=2, padding=1), 4), (3, 9)),
    Case("conv1d_same", lambda: Convolutional(nn.Conv1d(3, 4, 4, padding="same", dilation=3), 4), (3, 11)),
    Case("conv1d_valid", lambda: Convolutional(nn.Conv1d(3, 4, 3, padding="valid"), 4), (3, 9)),
    Case("conv1d_circular", lambda: Convolutional(nn.Conv1d(3, 4, 3, padding=2, padding_mode="circular"), 4), (3, 9)),
    Case("conv2d", lambda: Convolutional(nn.Conv2d(2, 3, (3, 2), stride=(1, 2), dilation=(2, 1)), 3), (2, 7, 6)),
    Case("conv2d_groups", lambda: Convolutional(nn.Conv2d(4, 6, 3, padding=1, groups=2), 6), (4, 5, 5)),
    Case("conv2d_reflect", lambda: Convolutional(nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), 3), (2, 5, 4)),
    Case("conv3d", lambda: Convolutional(nn.Conv3d(2, 3, 2, padding=(1, 0, 1), bias=False), 3), (2, 3, 4, 3)),
    Case("conv_transpose1d", lambda: Convolutional(nn.ConvTranspose1d(3, 4, 3, stride=2, padding=1), 4), (3, 5)),
    Case("conv_transpose1d_rows", lambda: Convolutional(nn.ConvTranspose1d(30, 9, 4), 9), (30, 2)),
    Case("conv_transpose2d", lambda: Convolutional(nn.ConvTranspose2d(4, 6, (3, 2), 2, 1, 1, 2), 6), (4, 3, 4)),
    Case("conv_transpose3d", lambda: Convolutional(nn.ConvTranspose3d(3, 3, 2, 2, groups=3), 3), (3, 2, 3, 2), VECTORS),
    Case("conv3d_depthwise", lambda: Convolutional(nn.Conv3d(3, 3, 2, groups=3), 3), (3, 3, 4, 3)),
    Case("rnn", lambda: Recurrent(nn.RNN(4, 5, batch_first=True, nonlinearity="relu"), 5), (6, 4)),
    Case("rnn_state", lambda: Recurrent(nn.RNN(4, 5), 5, given_state=True), (6, 4)),
    Case("lstm", lambda: Recurrent(nn.LSTM(4, 5), 5), (6, 4)),
    Case("lstm_deep", lambda: Recurrent(nn.LSTM(4, 5, 2, bidirectional=True, batch_first=True), 10), (6, 4)),
    Case("lstm_state", lambda: Recurrent(nn.LSTM(4, 5, bias=False, batch_first=True), 5, given_state=True), (6, 4)),
    Case("lstm_projection", lambda: Recurrent(nn.LSTM(4, 5, proj_size=3, batch_first=True), 3), (6, 4)),
    Case("gru", lambda: Recurrent(nn.GRU(4, 5, 2, batch_first=True), 5), (6, 4)),
    Case("rnn_packed", lambda: Packed(nn.RNN(4, 5, nonlinearity="relu"), 5), (6, 4)),
    Case("lstm_packed", lambda: Packed(nn.LSTM(4, 5, batch_first=True), 5, is_sorted=True), (6, 4)),
    Case("lstm_packed_deep", lambda: Packed(nn.LSTM(4, 5, 2, bidirectional=True), 10, given_state=True), (6, 4)),
    Case("lstm_packed_projection", lambda: Packed(nn.LSTM(4, 5, proj_size=3), 3), (6, 4)),
    Case("gru_packed", lambda: Packed(nn.GRU(4, 5, bidirectional=True), 10, given_state=True, is_sorted=True), (6, 4)),
    Case("rnn_cell", lambda: Cell(nn.RNNCell(4, 5, nonlinearity="relu")), (6, 4)),
    Case("rnn_cell_few_rows", lambda: Cell(nn.RNNCell(30, 32), given_state=True), (3, 30)),
    Case("lstm_cell", lambda: Cell(nn.LSTMCell(4, 5, bias=False), given_state=True), (6, 4)),
    Case("lstm_cell_no_state", lambda: Cell(nn.LSTMCell(4, 5)), (6, 4)),
    Case("gru_cell", lambda: Cell(nn.GRUCell(4, 5)), (6, 4)),
    Case("cell_vectors", lambda: Cell(nn.GRUCell(4, 5), given_state=True), (6, 4), VECTORS),
    Case("embedding", lambda: Tokens(nn.Embedding(6, 4)), (5,), EMBEDDING),
    Case("embedding_long_table", lambda: Tokens(nn.Embedding(500, 9)), (2,), EMBEDDING),
    Case("embedding_single", lambda: Tokens(nn.Embedding(6, 4, padding_idx=2)), (1,), EMBEDDING),
    Case("embedding_padded", lambda: Tokens(nn.Embedding(6, 4, padding_idx=0), shared=True), (5,), EMBEDDING),
    Case("embedding_scaled", lambda: Tokens(nn.Embedding(6, 4, scale_grad_by_freq=True)), (2, 5), EMBEDDING),
    Case("embedding_max_norm", lambda: Tokens(nn.Embedding(6, 4, max_norm=1.0)), (5,), EMBEDDING),
    Case("embedding_sparse", lambda: Tokens(nn.Embedding(9, 4, sparse=True)), (5,), EMBEDDING),
    Case("linear_vectors", lambda: Pooled(nn.Sequential(nn.Linear(5, 6), nn.ReLU(inplace=True)), 6), (4, 5), VECTORS),
    Case("linear_wide_vectors", lambda: nn.Sequential(nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 3)), (40,), VECTORS),
    Case("conv_vectors", lambda: Convolutional(nn.Conv2d(4, 6, 3, groups=2), 6), (4, 5, 5), VECTORS),
    Case("lstm_vectors", lambda: Recurrent(nn.LSTM(4, 5, 2, bidirectional=True), 10), (6, 4), VECTORS),
    Case("lstm_packed_vectors", lambda: Packed(nn.LSTM(4, 5), 5), (6, 4), VECTORS),
    Case("attention_vectors", lambda: Attention("memory"), (4, 6), VECTORS),
    Case("attention_dims_vectors", lambda: Attention("dims", kdim=4, vdim=5, batch_first=True), (4, 6), VECTORS),
    Case("encoder_vectors", lambda: Encoder(batch_first=False), (4, 6), VECTORS),
    Case("decoder_vectors", lambda: Decoder(batch_first=True), (4, 6), VECTORS),
    Case("layer_norm", lambda: Normalised(nn.LayerNorm(5)), (4, 5), VECTORS),
    Case("layer_norm_matrix", lambda: Normalised(nn.LayerNorm((4, 5))), (2, 4, 5), VECTORS),
    Case("layer_norm_no_bias", lambda: Normalised(nn.LayerNorm(5, bias=False, eps=0.1)), (5,), VECTORS),
    Case("rms_norm", lambda: Normalised(nn.RMSNorm(5)), (4, 5), VECTORS),
    Case("group_norm", lambda: Normalised(nn.GroupNorm(2, 4)), (4, 5), VECTORS),
    Case("instance_norm", lambda: Normalised(nn.InstanceNorm1d(4, affine=True)), (4, 5), VECTORS),
    Case("instance_norm_evaluated", lambda: Normalised(_used(TRACKING_NORM())), (4, 3, 2), VECTORS),
    Case("batch_norm_evaluated", lambda: Normalised(_used(nn.BatchNorm1d(5))), (5,), VECTORS),
    Case("tied_rows", lambda: Tied(40), (40,)),
    Case("tied_many_rows", lambda: Tied(5), (5,)),
    Case("tied_embedding", lambda: Tied(5, table=11), (4,), EMBEDDING),
    Case("tied_embedding_vectors", lambda: Tied(20, table=30), (4,), (*EMBEDDING, *VECTORS)),
    Case("tied_convolutions", TiedConvolutions, (4, 9), VECTORS),
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

CASE = {case.name: case for case in CASES}

PARAMETRISED = Case("weight_norm", lambda: nn.Sequential(weight_norm(nn.Linear(12, 10)), nn.Linear(10, 3)), (12,))
