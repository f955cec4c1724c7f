"""The cohort as it was when the results were made, for those who have the results but not the cohort."""

from pathlib import Path

from gradspec.cohort.plan import CohortPlan
from gradspec.errors import ConfigError
from gradspec.files import PathLike, read_table


def recall_cohort(results: PathLike) -> CohortPlan:
    """Read from results who took part and what kind of data they gave.

    Parameters
    ----------
    results : path
        Folder of results of a run that ended.

    Returns
    -------
    CohortPlan
        Without the files of the participants.

    Raises
    ------
    ConfigError
        If the folder does not hold the results of a cohort.
    """
    checked = Path(results) / "cohort" / "checked.tsv"
    if not checked.is_file():
        raise ConfigError(
            f"{checked} does not exist: {results} does not hold the results of a run that ended; name the folder by "
            "`make figures RESULTS=folder`, and copy it whole"
        )
    return CohortPlan(
        participants=sorted(read_table(checked)["participant_id"]),
        has_series=(checked.parent / "timecourses.nc").is_file(),
    )
