"""Plan of the simulated cohort: who takes part, which files there will be, and what the data set says about itself.

Kept light to import, since the graph of jobs is made from it.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradspec import __version__
from gradspec.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

SIMULATED_FILES: tuple[str, ...] = (
    "anat/{subject}_T1w.nii.gz",
    "anat/{subject}_T1w.json",
    "func/{subject}_task-rest_bold.nii.gz",
    "func/{subject}_task-rest_bold.json",
)
"""Files of a participant, relative to ``bids/{subject}/``."""

TASK = "rest"

_OWN_COLUMNS = ("participant_id", "age", "sex")

_README = """\
# Simulated cohort

These images show nobody: they were computed by gradspec {version} (seed {seed}) from the ICBM 2009a brain template that
nilearn ships, for trying the workflow where the truth is known. Nothing here may be used as data about people.

{n_participants} participants in two groups, {reference} and {comparison}; each has one T1-weighted image and one
resting-state run ({n_volumes} volumes, one every {repetition_time:g} s; {n_networks} networks). Of the correlation
between the networks' time courses, a share of {effect:g} is lost in {comparison}. Age, sex, anatomy, motion and
noise have the same distribution in both groups.

The truth (network maps, time courses, motion, poses, connectivity) lies in `ground_truth/`, beside this data set.
"""


def simulated_participants(n_participants: int) -> list[str]:
    """Ids of the simulated participants, ``sub-01`` and on, padded with zeros to one length."""
    width = max(2, len(str(n_participants)))
    return [f"sub-{number:0{width}d}" for number in range(1, n_participants + 1)]


def participant_groups(n_participants: int) -> list[int]:
    """Index of the group (0 the reference) of every participant: the groups alternate."""
    return [number % 2 for number in range(n_participants)]


def participants_table(n_participants: int, column: str, levels: Sequence[str], seed: int) -> "pd.DataFrame":
    """Table of the participants; each pair of neighbours, one of either group, is alike in sex and near in age.

    Parameters
    ----------
    n_participants : int
        Number of participants.
    column : str
        Name of the column that holds the group.
    levels : sequence of str
        The two values of that column, the reference first.
    seed : int
        Seed of the workflow.

    Returns
    -------
    DataFrame
        Columns participant_id, `column`, age (years), sex (F or M).

    Raises
    ------
    ConfigError
        If `column` is the name of another column of the table.
    """
    import numpy as np
    import pandas as pd

    if column in _OWN_COLUMNS:
        raise ConfigError(
            f"cohort.group.column is {column!r}, which the simulated cohort uses for something else; "
            f"choose a name other than {', '.join(_OWN_COLUMNS)}"
        )
    rng = np.random.default_rng([seed, 0])
    n_pairs = (n_participants + 1) // 2
    age = np.repeat(rng.integers(20, 56, n_pairs), 2)[:n_participants] + rng.integers(-1, 2, n_participants)
    sex = np.resize(["F", "F", "M", "M"], n_participants)
    return pd.DataFrame(
        {
            "participant_id": simulated_participants(n_participants),
            column: [levels[group] for group in participant_groups(n_participants)],
            "age": age,
            "sex": sex,
        }
    )


def participants_columns(column: str, levels: Sequence[str]) -> dict[str, str | Mapping[str, Any]]:
    """Describe the columns of the participants table, for its sidecar."""
    reference, comparison = levels
    return {
        "participant_id": "Simulated participant",
        column: {
            "Description": "Group that the connectivity was drawn from",
            "Levels": {reference: "Reference group", comparison: "Group whose connectivity differs"},
        },
        "age": {"Description": "Invented age; nothing in the images depends on it", "Units": "year"},
        "sex": {
            "Description": "Invented sex; nothing in the images depends on it",
            "Levels": {"F": "female", "M": "male"},
        },
    }


def dataset_description() -> dict[str, Any]:
    """Content of ``dataset_description.json``."""
    return {
        "Name": "gradspec simulated cohort",
        "BIDSVersion": "1.10.0",
        "DatasetType": "raw",
        "License": "CC0",
        "Authors": ["gradspec"],
        "GeneratedBy": [
            {"Name": "gradspec", "Version": __version__, "Description": "Simulated images; no person was scanned"}
        ],
    }


def dataset_readme(simulated: Mapping[str, Any], levels: Sequence[str], seed: int) -> str:
    """Content of ``README.md``: what the data set is, and that it is not about people."""
    reference, comparison = levels
    return _README.format(
        **{key: simulated[key] for key in ("n_participants", "n_volumes", "repetition_time", "n_networks", "effect")},
        reference=reference,
        comparison=comparison,
        seed=seed,
        version=__version__,
    )


def image_sidecars(repetition_time: float) -> dict[str, dict[str, Any]]:
    """Sidecars of the T1w image and of the run; they hold what is true of a simulation and nothing else.

    Parameters
    ----------
    repetition_time : float
        Time between volumes, in seconds.

    Returns
    -------
    dict
        Content by suffix, ``T1w`` and ``bold``.
    """
    origin = {
        "Manufacturer": "none (simulated)",
        "ConversionSoftware": "gradspec",
        "ConversionSoftwareVersion": __version__,
    }
    return {
        "T1w": origin,
        "bold": {
            **origin,
            "TaskName": TASK,
            "TaskDescription": "Simulated rest; every volume is acquired in an instant, without slice timing",
            "RepetitionTime": repetition_time,
        },
    }
