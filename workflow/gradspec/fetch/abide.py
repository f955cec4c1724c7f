"""ABIDE: time courses of regions from the Preprocessed Connectomes Project, through nilearn."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradspec.errors import ConfigError
from gradspec.fetch.choose import choose_participants
from gradspec.files import write_table
from gradspec.progress import track

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger(__name__)

PARTICIPANT_COLUMNS: dict[str, Any] = {
    "participant_id": "Participant, by ABIDE's SUB_ID",
    "diagnosis": {"Description": "ABIDE's DX_GROUP", "Levels": {"autism": "1", "control": "2"}},
    "age": {"Description": "Age at the scan", "Units": "year"},
    "sex": {"Description": "Sex", "Levels": {"M": "male", "F": "female"}},
    "site": "Site of the scan",
    "mean_fd": {"Description": "Mean framewise displacement", "Units": "mm"},
    "timeseries": "Time courses, a row a volume and a column a region; relative to the folder of this table",
}
_DIAGNOSES = {1: "autism", 2: "control"}
_SEXES = {1: "M", 2: "F"}


def fetch_abide(fetch: Mapping[str, Any], cohort: Mapping[str, Any], table: Path) -> "pd.DataFrame":
    """Download the time courses of the participants that the cohort compares, and write their table.

    What is there already is not downloaded again.

    Parameters
    ----------
    fetch, cohort : mapping
        The sections of the configuration.
    table : path
        The participants table to write; the time courses go below its folder.

    Returns
    -------
    DataFrame
        What was fetched: columns as in `gradspec.fetch.choose.FILE_COLUMNS`.

    Raises
    ------
    ConfigError
        If the server cannot be reached, a file is damaged, or a group has nobody.
    """
    import pandas as pd

    settings, folder = fetch["abide"], table.parent
    phenotype = _describe(_query(settings, folder, []), settings, folder)
    if settings["sites"]:
        phenotype = phenotype[phenotype["site"].isin(settings["sites"])]
    chosen = choose_participants(phenotype, cohort, per_group=fetch["per_group"])
    people = phenotype[phenotype["participant_id"].isin(chosen["participant_id"])]
    for number in track(people["SUB_ID"], "participants", total=len(people)):
        _query(settings, folder, [settings["derivative"]], SUB_ID=[int(number)])
    write_table(people[list(PARTICIPANT_COLUMNS)], table, PARTICIPANT_COLUMNS)
    return pd.DataFrame(
        {
            "participant_id": people["participant_id"],
            "group": people["diagnosis"],
            "file": people["timeseries"],
            "bytes": [(folder / file).stat().st_size for file in people["timeseries"]],
        }
    )


def _query(settings: Mapping[str, Any], folder: Path, derivatives: list[str], **choice: Any) -> "pd.DataFrame":
    """Let nilearn download derivatives of some participants; give the phenotype of those that it found."""
    import requests
    from nilearn.datasets import fetch_abide_pcp

    try:
        found = fetch_abide_pcp(
            data_dir=str(folder),
            pipeline=settings["pipeline"],
            derivatives=derivatives,
            quality_checked=settings["quality_checked"],
            url=settings["address"],
            verbose=0,
            **choice,
        )
    except (requests.RequestException, OSError) as error:
        raise ConfigError(
            f"ABIDE cannot be downloaded ({error}); see whether this machine reaches the network and run the same "
            "command again: it goes on with what is missing"
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"{folder}: the time courses of ABIDE participant {choice.get('SUB_ID')} are not a table of numbers "
            f"({error}); delete their file and run the same command again"
        ) from error
    phenotype: pd.DataFrame = found["phenotypic"]
    return phenotype


def _describe(phenotype: "pd.DataFrame", settings: Mapping[str, Any], folder: Path) -> "pd.DataFrame":
    """Translate ABIDE's phenotype to the columns of a participants table."""
    derivative = settings["derivative"]
    files = [
        Path("ABIDE_pcp", settings["pipeline"], "nofilt_noglobal", f"{name}_{derivative}.1D").as_posix()
        for name in phenotype["FILE_ID"]
    ]
    return phenotype.assign(
        participant_id=[f"sub-{number:07d}" for number in phenotype["SUB_ID"]],
        diagnosis=phenotype["DX_GROUP"].map(_DIAGNOSES),
        age=phenotype["AGE_AT_SCAN"],
        sex=phenotype["SEX"].map(_SEXES),
        site=phenotype["SITE_ID"],
        mean_fd=phenotype["func_mean_fd"],
        timeseries=files,
    )
