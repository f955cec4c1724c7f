"""What file names of BIDS and of its derivatives say: entities, and which BOLD runs the config selects.

Read when the workflow is planned, so nothing heavy is imported here.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from gradspec.errors import ConfigError

_LONG_NAMES = {
    "sub": "subject",
    "ses": "session",
    "acq": "acquisition",
    "ce": "ceagent",
    "rec": "reconstruction",
    "dir": "direction",
    "res": "resolution",
    "den": "density",
}
_SHORT_NAMES = {long: short for short, long in _LONG_NAMES.items()}
_ORDER = (
    *("subject", "session", "task", "acquisition", "ceagent", "reconstruction", "direction", "run", "echo", "part"),
    *("from", "to", "mode", "hemi", "space", "cohort", "chunk", "resolution", "density", "label", "desc"),
)
_FILTERS = ("acquisition", "ceagent", "reconstruction", "direction", "echo", "part", "chunk", "cohort", "desc")

_LABEL = re.compile(r"[A-Za-z0-9+]+")

NIFTI = (".nii", ".nii.gz")


@dataclass(frozen=True)
class ImageFile:
    """An image and what its name says.

    Attributes
    ----------
    path : str
    entities : dict of str to str
        Values of the BIDS entities by their long names, ``suffix`` and ``extension``.
    """

    path: str
    entities: Mapping[str, str]

    @property
    def key(self) -> tuple[str | None, str | None, str | None]:
        """Session, task and run, None where the name has none."""
        return (self.entities.get("session"), self.entities.get("task"), self.entities.get("run"))

    @classmethod
    def from_path(cls, path: str | Path) -> "ImageFile":
        """Split a file name into its entities."""
        stem, dot, extension = Path(path).name.partition(".")
        *pairs, suffix = stem.split("_")
        entities = {}
        for pair in pairs:
            name, dash, value = pair.partition("-")
            if dash:
                entities[_LONG_NAMES.get(name, name)] = value
        return cls(str(path), entities | {"suffix": suffix, "extension": dot + extension})


@dataclass(frozen=True)
class Selection:
    """The entities of the runs that the config asks for.

    Attributes
    ----------
    section : str
        Where it stands in the config, for messages; for example ``cohort.bids``.
    task : str or None
    sessions, runs : tuple of str
        Empty for all.
    filters : mapping of str to tuple of str
        Further entities by their long names.
    """

    section: str
    task: str | None
    sessions: tuple[str, ...]
    runs: tuple[str, ...]
    filters: Mapping[str, tuple[str, ...]]

    @classmethod
    def from_config(cls, config: Mapping[str, Any], section: str) -> "Selection":
        """Read a section of the config with the keys ``task``, ``sessions``, ``runs`` and ``filters``.

        Raises
        ------
        ConfigError
            If a filter is not a BIDS entity.
        """
        filters = {}
        for name, value in config["filters"].items():
            entity = _LONG_NAMES.get(name, name)
            if entity not in _FILTERS:
                raise ConfigError(f"{section}.filters: {name!r} is not one of the entities {', '.join(_FILTERS)}")
            filters[entity] = _texts(value if isinstance(value, list) else [value])
        task = config["task"]
        return cls(section, task, _texts(config["sessions"]), _texts(config["runs"]), filters)

    def matches(self, image: ImageFile) -> bool:
        """Say whether the image is one of those asked for, the task left aside."""
        wanted = {"session": self.sessions, "run": self.runs, **self.filters}
        return all(
            not values or any(same_label(image.entities.get(name), value) for value in values)
            for name, values in wanted.items()
        )


def list_files(folder: str | Path) -> list[str]:
    """List all files below a folder, sorted; hidden ones are left out, and a missing folder has none."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [str(Path(parent, name)) for name in names if not name.startswith(".")]
    return sorted(found)


def require_folder(root: str, key: str) -> Path:
    """Return the folder that a key of the config names.

    Raises
    ------
    ConfigError
        If the key is empty, or the folder is missing or empty.
    """
    if not root:
        raise ConfigError(f"{key} is not set: name the folder of the data set there")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"{key}: there is no folder {folder} (seen from {Path.cwd()}); correct the path")
    if not any(folder.iterdir()):
        raise ConfigError(f"{key}: the folder {folder} is empty; is the data set mounted or fetched?")
    return folder


def select_runs(images: Mapping[str, Iterable[ImageFile]], selection: Selection) -> dict[str, list[ImageFile]]:
    """Choose the runs of each participant that the config asks for.

    Parameters
    ----------
    images : mapping
        BOLD images by participant.
    selection : Selection
        What is asked for.

    Returns
    -------
    dict
        The chosen images by participant, in the order of session and run.

    Raises
    ------
    ConfigError
        If nothing matches, if the task is not clear, if a run has several images, or if its session, task or run is no
        label of BIDS: names of outputs are made of them.
    """
    matching = {who: [image for image in theirs if selection.matches(image)] for who, theirs in images.items()}
    if not any(matching.values()):
        raise ConfigError(
            f"{selection.section}: no BOLD image of the {len(images)} participants matches what is asked for "
            f"({_describe(selection)}); look at the file names below the root"
        )
    selection = _with_task(matching, selection)
    chosen = {
        who: sorted(
            (image for image in theirs if image.entities.get("task") == selection.task),
            key=lambda image: (tuple(part or "" for part in image.key), image.path),
        )
        for who, theirs in matching.items()
    }
    for theirs in chosen.values():
        for image in theirs:
            _require_labels(image, selection.section)
        for image, following in pairwise(theirs):
            if image.key == following.key:
                raise ConfigError(
                    f"{selection.section}: {Path(image.path).name} and {Path(following.path).name} are the same run; "
                    f"choose one with {selection.section}.filters (for instance acquisition, echo or part)"
                )
    return chosen


def _require_labels(image: ImageFile, section: str) -> None:
    for name, label in zip(("session", "task", "run"), image.key, strict=True):
        if label is not None and not _LABEL.fullmatch(label):
            raise ConfigError(
                f"{section}: {image.path!r} has the {name} {label!r}, which is not a BIDS label (letters and digits); "
                f"rename the file, or leave it out by naming other {name}s"
            )


def _with_task(matching: Mapping[str, Iterable[ImageFile]], selection: Selection) -> Selection:
    tasks = sorted({image.entities.get("task", "") for theirs in matching.values() for image in theirs})
    if selection.task is None:
        if len(tasks) > 1:
            raise ConfigError(
                f"{selection.section}.task is not set, and there are several tasks: {', '.join(tasks)}; name one"
            )
        return replace(selection, task=tasks[0] or None)
    if selection.task not in tasks:
        raise ConfigError(
            f"{selection.section}.task is {selection.task!r}, but the tasks of the data set are {', '.join(tasks)}"
        )
    return selection


def _texts(values: Iterable[str | int]) -> tuple[str, ...]:
    return tuple(str(value) for value in values)


def same_label(label: str | None, wanted: str) -> bool:
    """Compare labels; the index 1 is also written 01."""
    if label is not None and label.isdecimal() and wanted.isdecimal():
        return int(label) == int(wanted)
    return label == wanted


def _describe(selection: Selection) -> str:
    parts = {"task": selection.task, "sessions": selection.sessions, "runs": selection.runs, **selection.filters}
    return ", ".join(f"{name}: {value}" for name, value in parts.items() if value) or "any run"


def bids(entities: Mapping[str, str | None], **changes: str | None) -> str:
    """Build a file name of entities, in the order of BIDS; the inverse of `ImageFile.from_path`.

    Parameters
    ----------
    entities : mapping of str to str
        Values by the long names of the entities, with ``suffix`` and ``extension``.
    **changes : str or None
        What is added or replaced; None takes an entity out. ``from_`` is the entity ``from``.

    Returns
    -------
    str
        For example ``sub-01_task-rest_space-MNI152NLin6Asym_res-2_desc-preproc_bold.nii.gz``.
    """
    wanted = {**entities, **{name.rstrip("_"): value for name, value in changes.items()}}
    suffix, extension = wanted.pop("suffix", None), wanted.pop("extension", None)
    named = [(name, value) for name, value in wanted.items() if value is not None]
    named.sort(key=lambda pair: _ORDER.index(pair[0]) if pair[0] in _ORDER else _ORDER.index("part"))
    pairs = [f"{_SHORT_NAMES.get(name, name)}-{value}" for name, value in named]
    return "_".join([*pairs, *([suffix] if suffix else [])]) + (extension or "")
