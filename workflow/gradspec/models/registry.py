"""Networks by the name they have in the config."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from gradspec.errors import ConfigError
from gradspec.models.autoencoder import Autoencoder
from gradspec.models.cnn1d import CNN1d
from gradspec.models.cnn2d import CNN2d
from gradspec.models.cnn3d import CNN3d
from gradspec.models.elman import Elman
from gradspec.models.gru import GRU
from gradspec.models.lstm import LSTM
from gradspec.models.mean_mlp import MeanMLP
from gradspec.models.mlp import MLP
from gradspec.models.own import build_own_model, is_own, network_of
from gradspec.models.transformer import Transformer


@dataclass(frozen=True)
class _Entry:
    build: Callable[..., nn.Module]
    dimensions: tuple[str, ...]  # of a sample
    reconstructs: bool = False


_MODELS = {
    "mlp": _Entry(MLP, ("feature",)),
    "cnn2d": _Entry(CNN2d, ("feature",)),
    "mean-mlp": _Entry(MeanMLP, ("time", "component")),
    "lstm": _Entry(LSTM, ("time", "component")),
    "elman": _Entry(Elman, ("time", "component")),
    "gru": _Entry(GRU, ("time", "component")),
    "transformer": _Entry(Transformer, ("time", "component")),
    "cnn1d": _Entry(CNN1d, ("time", "component")),
    "cnn3d": _Entry(CNN3d, ("map", "x", "y", "z")),
    "autoencoder": _Entry(Autoencoder, ("time", "component"), reconstructs=True),
}


def build_model(
    name: str, data_shape: tuple[int, ...], hyperparameters: Mapping[str, Any], n_classes: int = 2
) -> nn.Module:
    """Build a network with freshly initialised weights.

    Weights are drawn from PyTorch's global generator; seed it first.

    Parameters
    ----------
    name : str
        Key of ``training.models`` in the config: one of the names here, or any other for a network of one's own.
    data_shape : tuple of int
        Shape of a sample: (n_features,) for ``mlp`` and ``cnn2d``, (n_maps, x, y, z) for ``cnn3d``, (n_volumes,
        n_components) for the others.
    hyperparameters : mapping
        All keys that the config schema has for this network; of a network under another name, ``class`` and ``args``.
    n_classes : int
        Number of logits.

    Returns
    -------
    Module
        Maps ``(batch, *data_shape)`` to logits (batch, n_classes), or to the same shape where it `reconstructs`.

    Raises
    ------
    ConfigError
        If there is no such network, or it does not fit the data or its own hyper-parameters.
    """
    if is_own(hyperparameters):
        return build_own_model(name, data_shape, hyperparameters, n_classes)
    name, hyperparameters = network_of(name, hyperparameters)
    if name not in _MODELS:
        raise ConfigError(f"training.models: there is no model {name!r}; known are {', '.join(_MODELS)}")
    entry = _MODELS[name]
    if len(data_shape) != len(entry.dimensions):
        raise ConfigError(
            f"training.models: {name} works on samples ({', '.join(entry.dimensions)}), but the samples of this cohort "
            f"have the shape {data_shape}: choose another model or another kind of data"
        )
    arguments = {key: value for key, value in hyperparameters.items() if key != "input"}  # what the data were
    return entry.build(data_shape, *([] if entry.reconstructs else [n_classes]), **arguments)


def reconstructs(name: str) -> bool:
    """Whether a network gives its input again, instead of logits; those of one's own never do."""
    return name in _MODELS and _MODELS[name].reconstructs
