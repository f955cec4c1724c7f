"""What can be said before anything is downloaded; nothing heavy is imported."""

from collections.abc import Mapping
from typing import Any

from gradspec.errors import ConfigError


def require_fetch(config: Mapping[str, Any]) -> str:
    """Return the source that a config fetches from.

    Parameters
    ----------
    config : mapping
        The whole configuration with its defaults filled in.

    Raises
    ------
    ConfigError
        If it fetches nothing, or does not say what or where to.
    """
    fetch = config["fetch"]
    source: str = fetch["source"]
    if source == "none":
        raise ConfigError(
            "fetch.source is 'none', so there is nothing to download; set it, or name a config that has it, such as "
            "config/abide.yaml"
        )
    if not fetch["folder"]:
        raise ConfigError("fetch.folder is not set: name the folder that the data shall go to")
    if source == "openneuro" and not fetch["openneuro"]["dataset"]:
        raise ConfigError("fetch.openneuro.dataset is not set: name the data set, such as ds000030")
    if source == "abide" and sorted(config["cohort"]["group"]["levels"]) != ["autism", "control"]:
        raise ConfigError("cohort.group.levels: the groups of ABIDE are [control, autism], in the order you choose")
    return source


def describe_fetch(config: Mapping[str, Any]) -> str:
    """Say how the data of a config can be got; empty for one that fetches nothing, or is not valid."""
    fetch = config.get("fetch")
    if not isinstance(fetch, Mapping) or fetch.get("source", "none") == "none":
        return ""
    return f"\nThe data of this config come from {fetch['source']}: `make fetch CONFIG=…` downloads them"
