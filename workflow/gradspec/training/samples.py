"""The cohort as arrays: one sample a run, with its participant and group."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from gradspec.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("timecourses", "fnc", "features", "maps")
"""Variables of a file that networks learn from."""


@dataclass(frozen=True)
class Samples:
    """Samples of the cohort, before scaling.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    values : array, float32
        (sample, time, component) time courses, (sample, map, x, y, z) maps, or (sample, feature) vectors; of
        connectivity the upper triangle.
    participants : array of str
        Participant of each sample.
    runs : array of str
        Label of the run, empty where a participant has only one.
    groups : array of int
        Group of each sample: 0 for the reference, 1 for the comparison.
    """

    kind: str
    values: Float[np.ndarray, "sample ..."]
    participants: np.ndarray
    runs: np.ndarray
    groups: Int[np.ndarray, "sample"]


def load_samples(path: str | Path, participants: "pd.DataFrame", levels: Sequence[str]) -> Samples:
    """Read time courses, connectivity, feature vectors or maps, and find the group of each sample.

    Parameters
    ----------
    path : path
        NetCDF file with ``timecourses`` (participant, time, component), ``fnc`` (participant, component, component_2),
        ``features`` (participant, feature) or ``maps`` (participant, map, x, y, z).
    participants : DataFrame
        The same participants, with ``participant_id`` and ``group``.
    levels : sequence of str
        Names of the two groups, the reference first.

    Returns
    -------
    Samples
        In the order of the file.

    Raises
    ------
    ConfigError
        If the file holds none of these, if it and the table are not about the same participants, if a group is not
        one of `levels`, or if values are missing or infinite.
    """
    import xarray as xr

    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        kind = next((name for name in KINDS if name in dataset), None)
        if kind is None:
            raise ConfigError(f"{path}: expected a variable {', '.join(KINDS)}, found {list(dataset)}")
        values = dataset[kind].values.astype(np.float32)
        ids = dataset["participant"].values.astype(str)
        runs = dataset["run"].values.astype(str) if "run" in dataset else np.full(len(ids), "")
    if kind == "fnc":
        values = values[:, *np.triu_indices(values.shape[1], k=1)]

    _check_same_participants(path, ids, participants["participant_id"])
    finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not finite.all():
        raise ConfigError(
            f"{path}: missing or infinite values in {kind} of {_enumerate(ids[~finite])}; mend their data or leave "
            "them out with cohort.participants"
        )
    group_of = dict(zip(participants["participant_id"], participants["group"], strict=True))
    unknown = sorted({str(group) for group in group_of.values()} - set(levels))
    if unknown:
        raise ConfigError(
            f"The participants table has group {_enumerate(unknown)}, but cohort.group.levels are {_enumerate(levels)}"
        )
    groups = np.array([list(levels).index(group_of[name]) for name in ids], dtype=np.int64)
    return Samples(kind, values, ids, runs, groups)


def _check_same_participants(path: str | Path, in_data: Iterable[str], in_table: Iterable[str]) -> None:
    problems = []
    if missing := sorted(set(in_table) - set(in_data)):
        problems.append(f"it has no data of {_enumerate(missing)}, listed in the participants table")
    if unlisted := sorted(set(in_data) - set(in_table)):
        problems.append(f"it has data of {_enumerate(unlisted)}, not listed in the participants table")
    if problems:
        raise ConfigError(f"{path}: {'; '.join(problems)}; make both from the same cohort, or delete them and rerun")


def _enumerate(names: Iterable[str], most: int = 10) -> str:
    unique = list(dict.fromkeys(map(str, names)))
    more = f" and {len(unique) - most} more" if len(unique) > most else ""
    return ", ".join(unique[:most]) + more
