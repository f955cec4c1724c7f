"""`python -m gradspec.config_docs` writes config/README.md: every key of the schema, with its default and limits."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from gradspec.config import dereference, load_schema
from gradspec.files import atomic_path

_INTRODUCTION = """# Configuration

One YAML file says what is run: `snakemake --cores N` takes `config/config.yaml` (the demo), and
`snakemake --cores N --configfile config/<other>.yaml` another one
instead. Single keys can be set with `--config`, for instance `--config results=results/try seed=7`. Ready files:

| file | for |
| --- | --- |
| [config.yaml](config.yaml) | the demo: a simulated raw BIDS cohort with known ground truth |
| [bids.yaml](bids.yaml) | your own raw BIDS data set |
| [fmriprep.yaml](fmriprep.yaml) | derivatives of fMRIPrep, or of this workflow's stage `preprocess` |
| [timeseries.yaml](timeseries.yaml) | one file of time courses a participant |
| [fnc.yaml](fnc.yaml) | connectivity matrices or feature vectors |
| [numerical.yaml](numerical.yaml) | data made on the fly, to study the method |
| [paper-numerical.yaml](paper-numerical.yaml) | the method's own studies: ranks of gradients against their bounds |
| [abide.yaml](abide.yaml) | ABIDE: autism and control, time courses of regions, downloaded by `make fetch` |
| [ds000030.yaml](ds000030.yaml) | UCLA CNP: schizophrenia and control, raw data, downloaded by `make fetch` |
| [cobre.yaml](cobre.yaml) | COBRE: schizophrenia and control, time courses of 53 networks; ask for the data |

Unknown keys and values that are not allowed are refused, with the key's name. This page is made from
`workflow/schemas/config.schema.yaml` by `make docs`.
"""


def describe_keys() -> str:
    """Return the text of config/README.md: a table of keys for every section of the configuration."""
    schema = load_schema()
    lines = [_INTRODUCTION]
    for title, section in _sections(schema, schema, ""):
        lines += [
            f"\n## {title}\n",
            f"{_sentence(section)}\n",
            "| key | default | allowed | meaning |",
            "| --- | --- | --- | --- |",
        ]
        for name, part in section["properties"].items():
            part = dereference(part, schema)
            if "properties" in part:
                continue
            key = name if title == "top level" else f"{title}.{name}"
            default = _default(part, required=name in section.get("required", []))
            lines.append(f"| `{key}` | {default} | {_allowed(part)} | {_sentence(part)} |")
    return "\n".join(lines) + "\n"


def _sections(section: dict[str, Any], schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if "properties" in section:
        yield path or "top level", section
    for name, part in section.get("properties", {}).items():
        part = dereference(part, schema)
        if part.get("type") == "object":
            yield from _sections(part, schema, f"{path}.{name}".strip("."))
    if isinstance(others := section.get("additionalProperties"), dict):
        yield from _sections(dereference(others, schema), schema, f"{path}.NAME")


def _sentence(part: dict[str, Any]) -> str:
    return " ".join(part["description"].split())


def _default(part: dict[str, Any], required: bool) -> str:
    if required:
        return "(required)"
    text = yaml.safe_dump(part.get("default"), default_flow_style=True, width=1000)
    return f"`{text.removesuffix('...' + chr(10)).strip()}`"


def _allowed(part: dict[str, Any]) -> str:
    """Say in a few words which values the schema takes."""
    if "enum" in part:
        return ", ".join(f"`{value if isinstance(value, str) else json.dumps(value)}`" for value in part["enum"])
    kinds = part.get("type", "any")
    text = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    if kinds == "array":
        items = part["items"]
        text = "list of " + (", ".join(f"`{value}`" for value in items["enum"]) if "enum" in items else "values")
    limits = {
        "minimum": "≥",
        "exclusiveMinimum": ">",
        "maximum": "≤",
        "exclusiveMaximum": "<",
        "multipleOf": "multiple of",
    }
    bounds = [f"{sign} {part[key]}" for key, sign in limits.items() if key in part]
    return ", ".join([text, *bounds])


if __name__ == "__main__":
    with atomic_path(Path(__file__).resolve().parents[2] / "config" / "README.md") as partial:
        partial.write_text(describe_keys(), encoding="utf-8")
