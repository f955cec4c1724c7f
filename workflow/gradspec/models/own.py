"""Networks under a name of one's own: further ones of those here, and those named by the dotted path of their class."""

import ast
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradspec.errors import ConfigError
from gradspec.models.source import find_definition, signature_of_class

if TYPE_CHECKING:
    from torch import nn


def network_of(model: str, hyperparameters: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return the network that a name of the config stands for, and its hyper-parameters.

    Parameters
    ----------
    model : str
        Key of ``training.models``.
    hyperparameters : mapping
        What stands there, with all defaults filled in.

    Returns
    -------
    str
        Name of one of the networks here, or the dotted path of one's own.
    mapping
        Its hyper-parameters.
    """
    return hyperparameters.get("class", model), hyperparameters.get("args", hyperparameters)


def is_own(hyperparameters: Mapping[str, Any]) -> bool:
    """Whether a network of ``training.models`` is one's own: its class is a dotted path."""
    return "." in hyperparameters.get("class", "")


def check_own_models(models: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse what cannot be built, before any job runs; sources are read, and nothing of them is run.

    Parameters
    ----------
    models : mapping
        ``training.models`` of the config.

    Raises
    ------
    ConfigError
        If there is no such module, no such name in it, or if that is no class, derives from nothing, or does not take
        the arguments.
    """
    for model, hyperparameters in models.items():
        if is_own(hyperparameters):
            _check_own_model(model, hyperparameters["class"], hyperparameters["args"])


def _check_own_model(model: str, path: str, args: Mapping[str, Any]) -> None:
    try:
        definition = find_definition(path).definition
    except ConfigError as error:
        raise ConfigError(f"{_key(model)}: {error}") from error
    if definition is None:
        return
    if not (isinstance(definition, ast.ClassDef) and definition.bases):
        raise ConfigError(_no_module(model, path))
    if (signature := signature_of_class(definition)) is not None:
        try:
            signature.bind("self", "data_shape", "n_classes", **args)
        except TypeError as error:
            raise ConfigError(
                f"training.models.{model}.args: {path}(data_shape, n_classes, **args) does not take the arguments "
                f"{dict(args)} ({error}); its constructor is ({', '.join(map(str, signature.parameters))})"
            ) from error


def find_own_source(hyperparameters: Mapping[str, Any]) -> Path | None:
    """File that defines a network of one's own; None for the networks here, and where sources do not tell."""
    return find_definition(hyperparameters["class"]).file if is_own(hyperparameters) else None


def build_own_model(
    model: str, data_shape: tuple[int, ...], hyperparameters: Mapping[str, Any], n_classes: int
) -> "nn.Module":
    """Build a network of one's own as ``class(data_shape, n_classes, **args)``.

    Parameters
    ----------
    model : str
        Its name in the config.
    data_shape : tuple of int
        Shape of a sample.
    hyperparameters : mapping
        With the keys ``class`` and ``args``.
    n_classes : int
        Number of logits.

    Returns
    -------
    Module

    Raises
    ------
    ConfigError
        If the class cannot be imported, is no PyTorch module, does not take the arguments or the samples, or gives no
        logits.
    """
    from torch import nn

    path, args = hyperparameters["class"], hyperparameters["args"]
    module, _, name = path.rpartition(".")
    try:
        network = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{_key(model)}: {path} cannot be imported ({error})") from error
    if not (isinstance(network, type) and issubclass(network, nn.Module)):
        raise ConfigError(_no_module(model, path))
    try:
        built = network(data_shape, n_classes, **args)
    except TypeError as error:
        raise ConfigError(
            f"training.models.{model}.args: {path}(data_shape, n_classes, **args) does not work with data_shape "
            f"{data_shape} and the arguments {dict(args)} ({error})"
        ) from error
    _check_outputs(model, path, built, data_shape, n_classes)
    return built


def _check_outputs(model: str, path: str, network: "nn.Module", data_shape: tuple[int, ...], n_classes: int) -> None:
    """Try a network on a batch, without a trace in the random numbers that training begins with."""
    import torch

    batch = torch.zeros(2, *data_shape)
    training = network.training
    network.eval()
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            outputs = network(batch)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{_key(model)}: {path} does not work on a batch of shape {tuple(batch.shape)}, samples first ({error})"
        ) from error
    network.train(training)
    if not isinstance(outputs, torch.Tensor) or outputs.shape != (2, n_classes):
        given = f"shape {tuple(outputs.shape)}" if isinstance(outputs, torch.Tensor) else type(outputs).__name__
        raise ConfigError(
            f"{_key(model)}: {path} gives {given} for a batch of shape {tuple(batch.shape)}; it must give logits of "
            f"shape {(2, n_classes)}, one a sample and class"
        )


def _no_module(model: str, path: str) -> str:
    return f"{_key(model)}: {path} is not a class derived from torch.nn.Module"


def _key(model: str) -> str:
    return f"training.models.{model}.class"
