"""OpenNeuro: raw BIDS data of chosen participants, through openneuro-py, and derivatives from its public store."""

import gzip
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradspec.cohort.groups import kept_values
from gradspec.cohort.tables import read_rows
from gradspec.errors import ConfigError
from gradspec.fetch.choose import choose_participants
from gradspec.fetch.store import fetch_files, list_store
from gradspec.progress import track

if TYPE_CHECKING:
    import pandas as pd

_AT_ONCE = 10
"""Participants asked for in one request, which lists all files of the data set each time."""


def fetch_openneuro(fetch: Mapping[str, Any], cohort: Mapping[str, Any]) -> "pd.DataFrame":
    """Download the files of the participants that the cohort compares.

    Files that are there with their full size (and checksum, where the server gives one) are not downloaded again, and
    one that was cut short is continued.

    Parameters
    ----------
    fetch, cohort : mapping
        The sections of the configuration. Raw files keep their names below ``fetch.folder``; derivatives go to
        ``derivatives/`` in it.

    Returns
    -------
    DataFrame
        What was fetched: columns as in `gradspec.fetch.choose.FILE_COLUMNS`.

    Raises
    ------
    ConfigError
        If the server cannot be reached, the data set or a participant's files are not there, a group has nobody, or a
        file is not complete.
    """
    settings, folder = fetch["openneuro"], Path(fetch["folder"])
    _download(settings, folder, ["/participants.tsv"])
    table = read_rows(
        folder / "participants.tsv", missing_values=cohort["missing_values"], keep=kept_values(cohort)
    ).to_frame()
    people = choose_participants(table, cohort, per_group=fetch["per_group"], filled=settings["filled"])
    if settings["derivatives"]:
        found = _fetch_derivatives(settings, folder / "derivatives", list(people["participant_id"]))
    else:
        found = _fetch_raw(settings, folder, list(people["participant_id"]))
    groups = dict(zip(people["participant_id"], people["group"], strict=True))
    return _record(found, groups, folder)


def _fetch_raw(settings: Mapping[str, Any], folder: Path, people: Sequence[str]) -> dict[str, list[Path]]:
    for first in track(range(0, len(people), _AT_ONCE), f"{_AT_ONCE} participants"):
        some = people[first : first + _AT_ONCE]
        _download(settings, folder, ["/*.json", *(f"{who}/{part}" for who in some for part in settings["files"])])
    return {who: sorted(path for part in settings["files"] for path in (folder / who).glob(part)) for who in people}


def _fetch_derivatives(settings: Mapping[str, Any], folder: Path, people: Sequence[str]) -> dict[str, list[Path]]:
    """Download from ``<store>/<kind>/<dataset>-<kind>/<participant>/`` to ``<folder>/<kind>/<participant>/``."""
    kind = settings["derivatives"]
    root, folder = f"{kind}/{settings['dataset']}-{kind}/", folder / kind
    if not list_store(settings["store"], f"{root}dataset_description.json"):
        raise ConfigError(
            f"{settings['store']} has no derivatives {root}; take raw files (fetch.openneuro.derivatives: null), or "
            "name another store"
        )
    fetch_files(settings["store"], root, ["dataset_description.json"], folder, sizes={})
    found = {}
    for who in track(people, "participants"):
        sizes = list_store(settings["store"], f"{root}{who}/")
        names = {name.removeprefix(root): size for name, size in sizes.items()}
        wanted = [
            name for name in names if any(fnmatch(name, f"{who}/{part}") for part in settings["derivative_files"])
        ]
        if not wanted:
            raise ConfigError(
                f"{who}: {settings['store']}/{root}{who}/ has no file that fetch.openneuro.derivative_files names; "
                "take the participant out of the cohort, or mend the patterns"
            )
        found[who] = fetch_files(settings["store"], root, wanted, folder, sizes=names)
    return found


def _download(settings: Mapping[str, Any], folder: Path, include: Sequence[str]) -> None:
    import openneuro

    try:
        openneuro.download(
            dataset=settings["dataset"],
            tag=settings["tag"],
            target_dir=folder,
            include=list(include),
            metadata_timeout=60,
        )
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"{settings['dataset']} cannot be downloaded from OpenNeuro to {folder} ({reason}); "
            "see whether this machine reaches the network, and run the same command again: it goes on with what is "
            "missing"
        ) from error


def _record(found: Mapping[str, Sequence[Path]], groups: Mapping[str, str], folder: Path) -> "pd.DataFrame":
    """List the files, each of which must be whole."""
    import pandas as pd

    rows = []
    for who, files in found.items():
        for file in files:
            _require_whole(file)
            path = file.relative_to(folder).as_posix()
            rows.append({"participant_id": who, "group": groups[who], "file": path, "bytes": file.stat().st_size})
    return pd.DataFrame(rows)


def _require_whole(file: Path) -> None:
    """Read a compressed file to its checksum at the end."""
    try:
        if file.stat().st_size == 0:
            raise EOFError("it is empty")
        if file.suffix == ".gz":
            with gzip.open(file) as stream:
                while stream.read(2**22):
                    pass
    except (EOFError, OSError) as error:
        raise ConfigError(f"{file} is not whole ({error}); delete it and run the same command again") from error
