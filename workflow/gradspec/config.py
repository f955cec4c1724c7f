"""The configuration: defaults filled in, checked against the schema, errors in plain words.

However a configuration is written, its resolved form is the same: keys in the order of the schema, numbers of the type
that the schema names. Parameters of rules are compared as text, so another order would make finished jobs run again.
"""

import copy
import datetime
import difflib
import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from gradspec.errors import ConfigError
from gradspec.places import ROOT

_SCHEMA_FILE = ROOT / "workflow" / "schemas" / "config.schema.yaml"


def find_changed_settings(recorded: dict[str, Any], config: dict[str, Any]) -> list[str]:
    """Compare the settings that results were made with and those that are asked for.

    Parameters
    ----------
    recorded : dict
        What ``config.json`` in the results holds.
    config : dict
        The resolved configuration.

    Returns
    -------
    list of str
        A sentence for every key with another value, as in ``training.epochs: 30 → 40``, in the order of `config`. Keys
        that one of them lacks are left out, since another version may have had others, but not networks.
    """
    old, new = dict(_flatten(recorded)), dict(_flatten(config))
    changed = [f"{key}: {old[key]!r} → {new[key]!r}" for key in new if key in old and old[key] != new[key]]
    were, are = (list(each.get("training", {}).get("models", {})) for each in (recorded, config))
    if set(were) != set(are):
        changed.append(f"training.models: {', '.join(were)} → {', '.join(are)}")
    return changed


def _flatten(config: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def load_schema() -> dict[str, Any]:
    """Read the schema of the configuration."""
    schema: dict[str, Any] = yaml.safe_load(_SCHEMA_FILE.read_text(encoding="utf-8"))
    return schema


def resolve(config: dict[str, Any]) -> dict[str, Any]:
    """Check a configuration, fill in every default, and bring it into the order of the schema.

    Text that can only be read as a number, a truth value or null, where nothing else is allowed, is taken as that:
    YAML 1.1 reads ``1e-3`` as text, and Snakemake reads everything inside ``--config 'training={epochs: 5}'`` as text.

    Parameters
    ----------
    config : dict
        What the config file holds; it is left as it is.

    Returns
    -------
    dict
        A copy in which every key of the schema has a value, in the order of the schema.

    Raises
    ------
    ConfigError
        Naming each key that is unknown, missing or has a value that is not allowed.
    """
    schema = load_schema()
    read: dict[str, Any] = _read_text(copy.deepcopy(config), schema, schema)
    errors = sorted(Draft202012Validator(schema).iter_errors(read), key=lambda error: list(map(str, error.path)))
    if errors:
        raise ConfigError("The configuration is not valid:\n" + "\n".join(f"  - {_explain(error)}" for error in errors))
    variants = _find_variants(read, schema)
    resolved: dict[str, Any] = _fill(read, schema, schema)
    _settle_groups(resolved["cohort"]["group"])
    for name, hyperparameters in variants.items():
        network = resolved["training"]["models"][name]
        del network["input"]  # follows from its class
        network["args"] = _fill(network["args"], hyperparameters, schema)
    return resolved


def _settle_groups(group: dict[str, Any]) -> None:
    """Make the levels a list of names, and the values of each group text."""
    if isinstance(levels := group["levels"], dict):
        if group["values"]:
            raise ConfigError("cohort.group.values: the levels have their values already; take this key out")
        group["values"] = levels
    group["levels"] = [str(level) for level in levels]
    group["values"] = {
        str(level): [str(value) for value in (values if isinstance(values, list) else [values])]
        for level, values in group["values"].items()
    }
    if strange := [level for level in group["values"] if level not in group["levels"]]:
        raise ConfigError(f"cohort.group.values: {', '.join(strange)} is not one of cohort.group.levels")
    listed = [value for level in group["levels"] for value in group["values"].get(level, [level])]
    if twice := sorted({value for value in listed if listed.count(value) > 1}):
        raise ConfigError(f"cohort.group: {', '.join(map(repr, twice))} belongs to both groups; name it in one")


def _find_variants(config: dict[str, Any], schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Name the networks that are there under a name of their own, with the schema of their hyper-parameters."""
    known = schema["properties"]["training"]["properties"]["models"]["properties"]
    variants, problems = {}, []
    for name, network in config.get("training", {}).get("models", {}).items():
        if name in known or "." in network["class"]:
            continue
        key, kind = f"training.models.{name}", network["class"]
        if kind not in known:
            problems.append(f"{key}.class: {kind!r} is neither a dotted path nor one of {', '.join(known)}")
            continue
        if "input" in network:
            problems.append(f"{key}.input: what it learns from follows from class: {kind}; take the key out")
        variants[name] = known[kind]
        if "args" in network:
            network["args"] = _read_text(network["args"], known[kind], schema)
        checker = Draft202012Validator({**known[kind], "$defs": schema["$defs"]})
        problems += [f"{key}.args: {_explain(error)}" for error in checker.iter_errors(network.get("args", {}))]
    if problems:
        raise ConfigError("The configuration is not valid:\n" + "\n".join(f"  - {text}" for text in problems))
    return variants


def _fill(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """Fill in the defaults, level by level, in the order of the schema; networks that are not named stay out.

    Where keys are names that the user chooses (networks, families of tests), they keep the order in which they stand.
    """
    schema = dereference(schema, root)
    if isinstance(value, list) and "items" in schema:
        return [_fill(item, schema["items"], root) for item in value]
    if not isinstance(value, dict):
        return _as_declared(value, schema)
    parts = schema.get("properties", {})
    others = schema.get("additionalProperties")
    filled = {}
    for name in dict.fromkeys([*value, *parts] if isinstance(others, dict) else [*parts, *value]):
        part = dereference(parts.get(name, others if isinstance(others, dict) else {}), root)
        if name in value:
            filled[name] = _fill(value[name], part, root)
        elif "default" in part:
            filled[name] = _fill(copy.deepcopy(part["default"]), part, root)
    return filled


def _as_declared(value: Any, schema: dict[str, Any]) -> Any:
    """Give a number the type that the schema names: 1 becomes 1.0 where any number may stand, 5.0 an integer's 5."""
    kinds = _kinds(schema)
    if "string" in kinds:  # a name: 1 stays the code that stands in a table
        return value
    if isinstance(value, int) and not isinstance(value, bool) and "number" in kinds and "integer" not in kinds:
        return float(value)
    if isinstance(value, float) and "integer" in kinds and "number" not in kinds:
        return int(value)
    return value


def _kinds(schema: dict[str, Any]) -> list[str]:
    kinds = schema.get("type", [])
    return kinds if isinstance(kinds, list) else [kinds]


def _read_text(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """Take text for the number, truth value or null that it spells, wherever text itself is not allowed."""
    schema = dereference(schema, root)
    if isinstance(value, list) and "items" in schema:
        return [_read_text(item, schema["items"], root) for item in value]
    if isinstance(value, dict):
        others = schema.get("additionalProperties")
        others = others if isinstance(others, dict) else {}
        return {
            name: _read_text(item, schema.get("properties", {}).get(name, others), root) for name, item in value.items()
        }
    if not isinstance(value, str) or Draft202012Validator({**schema, "$defs": root["$defs"]}).is_valid(value):
        return value
    for kind, pattern, read in _SPELLINGS:
        if kind in _kinds(schema) and re.fullmatch(pattern, value, flags=re.IGNORECASE):
            return read(value)
    return value


_SPELLINGS: tuple[tuple[str, str, Callable[[str], Any]], ...] = (
    ("integer", r"[-+]?[0-9]+", int),
    ("number", r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[-+]?[0-9]+)?", float),
    ("boolean", "true|false", lambda text: text.lower() == "true"),
    ("null", "null|~", lambda text: None),
)
"""How what is not text may be spelled as text."""


def dereference(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Follow a ``$ref`` into the definitions of the schema `root`."""
    reference = schema.get("$ref")
    return schema if reference is None else root["$defs"][reference.removeprefix("#/$defs/")]


def _explain(error: Any) -> str:
    """Say in a sentence what is wrong with a key, and what was meant perhaps."""
    where = ".".join(map(str, error.path)) or "top level"
    schema: dict[str, Any] = error.schema
    if error.validator == "additionalProperties":
        known = list(schema.get("properties", {}))
        unknown = [name for name in error.instance if name not in known]
        hints = []
        for name in unknown:
            close = difflib.get_close_matches(str(name), known, n=1)
            hints.append(f"{name!r}" + (f" (did you mean {close[0]!r}?)" if close else ""))
        return f"{where}: unknown key {', '.join(hints)}; known are: {', '.join(known)}"
    if error.validator == "required" and list(error.path)[:-1] == ["training", "models"]:
        known = list(load_schema()["properties"]["training"]["properties"]["models"]["properties"])
        close = difflib.get_close_matches(str(error.path[-1]), known, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        return (
            f"{where}: there is no network of that name{hint}; known are: {', '.join(known)}. For your own, name "
            "its class (class: mypackage.MyNet)"
        )
    if error.validator == "required" and "description" not in schema:
        return f"{where}: {error.message}"
    if error.validator == "type" and "string" in _kinds(schema) and (quoted := _quote(error.instance)):
        return f"{where}: {quoted}"
    if error.validator == "maximum" and "string" in _kinds(schema):
        value = error.instance
        return (
            f"{where}: YAML reads both {value} and 0{value:o} as {value}: write what is meant in quotes, as "
            f'"{value}" or "0{value:o}"'
        )
    return f"{where}: {error.message} ({schema.get('description', 'see config/README.md')})"


def _quote(value: Any) -> str | None:
    """Say how a word or an id that YAML took for something else is written so that it stays text."""
    if isinstance(value, bool):
        words, example = ("yes, on or true", "yes") if value else ("no, off or false", "no")
        return f'text is needed, but YAML reads {words} as a truth value: write it in quotes, as "{example}"'
    if isinstance(value, int | float | datetime.date):
        return (
            f"text is needed, but YAML reads {value} as a number or date, and 0051 as 41: write it in quotes, with any "
            'leading zeros, as "0051"'
        )
    return None
