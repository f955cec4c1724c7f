"""The configuration: defaults filled in, checked against the schema, errors in plain words."""

import copy
import difflib
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from gradspec.errors import ConfigError

_SCHEMA_FILE = Path(__file__).resolve().parents[1] / "schemas" / "config.schema.yaml"


def load_schema() -> dict[str, Any]:
    """Read the schema of the configuration."""
    schema: dict[str, Any] = yaml.safe_load(_SCHEMA_FILE.read_text(encoding="utf-8"))
    return schema


def resolve(config: dict[str, Any]) -> dict[str, Any]:
    """Check a configuration and fill in every default.

    Parameters
    ----------
    config : dict
        What the config file holds; it is left as it is.

    Returns
    -------
    dict
        A copy in which every key of the schema has a value.

    Raises
    ------
    ConfigError
        Naming each key that is unknown, missing or has a value that is not allowed.
    """
    schema = load_schema()
    errors = sorted(Draft202012Validator(schema).iter_errors(config), key=lambda error: list(map(str, error.path)))
    if errors:
        raise ConfigError("The configuration is not valid:\n" + "\n".join(f"  - {_explain(error)}" for error in errors))
    resolved: dict[str, Any] = copy.deepcopy(config)
    variants = _find_variants(resolved, schema)
    _fill(resolved, schema, schema)
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
        checker = Draft202012Validator({**known[kind], "$defs": schema["$defs"]})
        problems += [f"{key}.args: {_explain(error)}" for error in checker.iter_errors(network.get("args", {}))]
    if problems:
        raise ConfigError("The configuration is not valid:\n" + "\n".join(f"  - {text}" for text in problems))
    return variants


def _fill(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """Fill the defaults of the object `value`, level by level; models that are not named stay out."""
    schema = dereference(schema, root)
    if not isinstance(value, dict):
        return value
    for name, part in schema.get("properties", {}).items():
        part = dereference(part, root)
        if name not in value and "default" in part:
            value[name] = copy.deepcopy(part["default"])
        if name in value:
            value[name] = _fill(value[name], part, root)
    if isinstance(others := schema.get("additionalProperties"), dict):
        for name in value.keys() - schema.get("properties", {}).keys():
            value[name] = _fill(value[name], others, root)
    return value


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
    if error.validator == "required" and "description" not in schema:
        return f"{where}: {error.message}"
    return f"{where}: {error.message} ({schema.get('description', 'see config/README.md')})"
