"""Networks under a name of one's own: further ones of those here, and those named by the dotted path of their class."""

import ast
import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradspec.errors import ConfigError

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


def check_own_models(models: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a class that is not there, before any job runs; nothing of the module is run.

    Parameters
    ----------
    models : mapping
        ``training.models`` of the config.

    Raises
    ------
    ConfigError
        If there is no such module, or no such name in it.
    """
    for model, hyperparameters in models.items():
        if "." not in hyperparameters.get("class", ""):
            continue
        module, _, name = hyperparameters["class"].rpartition(".")
        spec = _find_module(module)
        if spec is None:
            raise ConfigError(
                f"{_key(model)}: there is no module {module!r}; install it, or set PYTHONPATH to the folder it is in"
            )
        names = _top_names(spec)
        if names is not None and name not in names:
            raise ConfigError(f"{_key(model)}: {spec.origin} has no class {name!r}; it has {', '.join(sorted(names))}")


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
        If the class cannot be imported, is no PyTorch module, or does not take the arguments.
    """
    from torch import nn

    path, args = hyperparameters["class"], hyperparameters["args"]
    module, _, name = path.rpartition(".")
    try:
        network = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{_key(model)}: {path} cannot be imported ({error})") from error
    if not (isinstance(network, type) and issubclass(network, nn.Module)):
        raise ConfigError(f"{_key(model)}: {path} is not a class derived from torch.nn.Module")
    try:
        return network(data_shape, n_classes, **args)
    except TypeError as error:
        raise ConfigError(
            f"training.models.{model}.args: {path}(data_shape, n_classes, **args) does not work with data_shape "
            f"{data_shape} and the arguments {dict(args)} ({error})"
        ) from error


def _key(model: str) -> str:
    return f"training.models.{model}.class"


def _find_module(module: str) -> ModuleSpec | None:
    """Find where a module is, without importing it or the packages it is in."""
    package, *parts = module.split(".")
    spec = importlib.util.find_spec(package)
    for part in parts:
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = PathFinder.find_spec(f"{spec.name}.{part}", spec.submodule_search_locations)
    return spec


def _top_names(spec: ModuleSpec) -> set[str] | None:
    """Names that a module binds; None where its source cannot tell."""
    if not (spec.has_location and spec.origin and spec.origin.endswith(".py")):
        return None
    names = set(_bound(ast.parse(Path(spec.origin).read_text(encoding="utf-8"), spec.origin)))
    return None if "*" in names else names


def _bound(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                yield name
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                yield from (alias.asname or alias.name for alias in aliases)
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
            case ast.If() | ast.Try():
                yield "*"  # what it binds depends on what is run
