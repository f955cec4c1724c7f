"""Which dimension of what a layer sees runs over the samples: known from the model, or refused."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from gradspec.capture._groups import Groups
from gradspec.capture._layer import Layer
from gradspec.capture.errors import RowsError


@dataclass(frozen=True)
class SampleDim:
    """Where a layer that takes any number of dimensions has its samples.

    Attributes
    ----------
    dim : int
        The dimension that runs over the samples.
    certain : bool
        False where the model has time-major layers too, so that the dimension is known only while the first two
        differ.
    is_sequence : bool
        Whether the layer sees a sample and a time dimension, as inside a transformer.
    """

    dim: int = 0
    certain: bool = True
    is_sequence: bool = False

    def check(self, shape: Sequence[int], groups: Groups, layer: Layer) -> None:
        """Raise `RowsError` unless `shape`, without the dimensions of a sample's features, has the batch at `dim`."""
        if self.is_sequence and len(shape) != 2:
            raise RowsError(f"{layer} saw no batch of sequences but rows of shape {tuple(shape)}; give it a batch")
        if not self.certain and len(shape) > 1 and shape[0] == shape[1]:
            raise RowsError(
                f"{layer} saw rows of shape {tuple(shape)} in a model with layers of batch_first=False: "
                "whether its first or second dimension is the batch cannot be told; use batch_first=True throughout"
            )
        groups.check_batch(shape, self.dim, layer)


def sample_dim(name: str, modules: dict[str, nn.Module]) -> SampleDim:
    """Where the module of a model that is called `name` has its samples."""
    parent = modules.get(name.rpartition(".")[0])
    if isinstance(parent, nn.TransformerEncoder | nn.TransformerDecoder):
        parent = parent.layers[0]
    if isinstance(parent, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer):
        return SampleDim(0 if parent.self_attn.batch_first else 1, is_sequence=True)
    return SampleDim(certain=all(getattr(other, "batch_first", None) is not False for other in modules.values()))
