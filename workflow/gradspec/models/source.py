"""What a class of one's own takes, read from its source, so that nothing is imported or run."""

import ast
import importlib.util
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from gradspec.errors import ConfigError

_Definition = ast.ClassDef | ast.FunctionDef


@dataclass(frozen=True)
class Found:
    """A name of a module, as far as sources tell.

    Attributes
    ----------
    file : path or None
        Where it is defined; None where only running the module would tell.
    definition : ClassDef, FunctionDef or None
        None where it is defined in no such way.
    """

    file: Path | None = None
    definition: _Definition | None = None


def find_definition(path: str) -> Found:
    """Find where a dotted path leads, also by way of modules that import the name from another.

    Raises
    ------
    ConfigError
        If there is no such module, it is no Python, or it has no such name.
    """
    module, _, name = path.rpartition(".")
    spec = _find_module(module)
    if spec is None:
        raise ConfigError(f"there is no module {module!r}; install it, or set PYTHONPATH to the folder it is in")
    if not (spec.has_location and spec.origin and spec.origin.endswith(".py")):
        return Found()
    file = Path(spec.origin)
    bound = dict(_bound(_parse(file)))
    match bound.get(name, bound.get("*")):
        case None:
            raise ConfigError(f"{file} has no class {name!r}; it has {', '.join(sorted(bound))}")
        case ast.ImportFrom(names=names) as statement if name in bound:
            original = next(alias.name for alias in names if (alias.asname or alias.name) == name)
            try:
                return find_definition(f"{_source_of(statement, spec)}.{original}")
            except ConfigError:  # of a package that only the jobs have
                return Found(file)
        case ast.ClassDef() | ast.FunctionDef() as definition if name in bound:
            return Found(file, definition)
        case _:
            return Found(file)


def signature_of_class(definition: ast.ClassDef) -> inspect.Signature | None:
    """Signature of the constructor with ``self``; None where it is inherited, or a decorator may have changed it."""
    methods = {node.name: node for node in definition.body if isinstance(node, ast.FunctionDef)}
    constructor = methods.get("__init__")
    if constructor is None or definition.decorator_list or constructor.decorator_list:
        return None
    return inspect.Signature(list(_parameters(constructor.args)))


def _parameters(arguments: ast.arguments) -> Iterator[inspect.Parameter]:
    positional = [*arguments.posonlyargs, *arguments.args]
    n_required = len(positional) - len(arguments.defaults)
    for place, each in enumerate(positional):
        named = place >= len(arguments.posonlyargs)
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD if named else inspect.Parameter.POSITIONAL_ONLY
        yield _parameter(each, kind, required=place < n_required)
    if arguments.vararg:
        yield _parameter(arguments.vararg, inspect.Parameter.VAR_POSITIONAL)
    for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _parameter(each, inspect.Parameter.KEYWORD_ONLY, required=default is None)
    if arguments.kwarg:
        yield _parameter(arguments.kwarg, inspect.Parameter.VAR_KEYWORD)


def _parameter(argument: ast.arg, kind: inspect._ParameterKind, required: bool = True) -> inspect.Parameter:
    return inspect.Parameter(argument.arg, kind, default=inspect.Parameter.empty if required else None)


def _parse(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_text(encoding="utf-8"), str(file))
    except SyntaxError as error:
        raise ConfigError(f"{file} is no Python: {error}") from error


def _find_module(module: str) -> ModuleSpec | None:
    """Find where a module is, without importing it or the packages it is in."""
    package, *parts = module.split(".")
    spec = importlib.util.find_spec(package)
    for part in parts:
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = PathFinder.find_spec(f"{spec.name}.{part}", spec.submodule_search_locations)
    return spec


def _source_of(statement: ast.ImportFrom, spec: ModuleSpec) -> str:
    """Name of the module that a statement imports from."""
    package = spec.name if spec.submodule_search_locations is not None else spec.name.rpartition(".")[0]
    return importlib.util.resolve_name("." * statement.level + (statement.module or ""), package)


def _bound(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """Names that a module binds, with the statement; ``*`` where what is bound depends on what is run."""
    for node in tree.body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                yield name, node
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                yield from ((alias.asname or alias.name, node) for alias in aliases)
            case ast.Assign(targets=targets):
                yield from ((target.id, node) for target in targets if isinstance(target, ast.Name))
            case ast.If() | ast.Try():
                yield "*", node
