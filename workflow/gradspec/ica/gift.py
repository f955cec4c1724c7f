"""Join after the ICA of GIFT: its time courses become a cohort of the source ``timeseries``.

``python -m gradspec.ica.gift PARAMETERS PARTICIPANTS FOLDER`` reads the parameter file of a GIFT analysis
(``<prefix>_ica_parameter_info.mat``) and, beside it, the components of each participant
(``<prefix>_ica_c<participant>-<session>.mat``, variable ``tc``), and writes a table a participant and a participants
table, from which the workflow goes on: ``cohort: {source: timeseries, timeseries: {participants: …}}``. GIFT does not
know names or groups; they come from a participants table whose rows are in the order of GIFT's data sets.

MATLAB files are read by `scipy.io.loadmat`, which runs no code of theirs. Order and sign of the components stay GIFT's.
"""

import argparse
import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from gradspec.cohort.identities import identify
from gradspec.cohort.tables import read_rows
from gradspec.errors import ConfigError, ParticipantError
from gradspec.files import PathLike, atomic_path, write_table
from gradspec.ica.labels import component_names

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GiftAnalysis:
    """What the parameter file of GIFT says.

    Attributes
    ----------
    folder : Path
        Where the files of the analysis lie: beside the parameter file, even if it was moved.
    stem : str
        Beginning of the files with participants' components, such as ``study_ica_c``.
    n_participants, n_sessions, n_components : int
        Size of the analysis.
    """

    folder: Path
    stem: str
    n_participants: int
    n_sessions: int
    n_components: int


def read_parameters(path: PathLike) -> GiftAnalysis:
    """Read the parameter file of a GIFT analysis.

    Parameters
    ----------
    path : path
        ``<prefix>_ica_parameter_info.mat``, with the structure ``sesInfo``.

    Returns
    -------
    GiftAnalysis
        Names and sizes.

    Raises
    ------
    ConfigError
        If the file cannot be read, or is no finished analysis.
    """
    try:
        content = _load(Path(path))
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    info = content.get("sesInfo")
    try:
        return GiftAnalysis(
            Path(path).parent,
            str(info.calibrate_components_mat_file),  # type: ignore[union-attr]
            int(info.numOfSub),  # type: ignore[union-attr]
            int(info.numOfSess),  # type: ignore[union-attr]
            int(info.numComp),  # type: ignore[union-attr]
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{path}: is no parameter file of a finished GIFT analysis (<prefix>_ica_parameter_info.mat): {error}; run "
            "the analysis to its end"
        ) from error


def read_timecourses(analysis: GiftAnalysis, number: int, session: int) -> Float[np.ndarray, "time component"]:
    """Read the time courses of a participant.

    Parameters
    ----------
    analysis : GiftAnalysis
        The analysis.
    number, session : int
        Place of the participant and of the session in GIFT's list, from 1.

    Returns
    -------
    array, (time, component)
        In the units of GIFT's scaling.

    Raises
    ------
    ParticipantError
        If the file is missing or damaged, or its time courses are not finite or of another number of components.
    """
    path = analysis.folder / f"{analysis.stem}{number}-{session}.mat"
    try:
        values = np.asarray(_load(path).get("tc"), dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise ParticipantError(f"{error}; if GIFT has zipped its component files, unzip them", file=path) from error
    if values.ndim != 2 or values.shape[1] != analysis.n_components:
        raise ParticipantError(
            f"the variable 'tc' has the shape {values.shape}, but (volumes, {analysis.n_components} components) is "
            "expected",
            file=path,
        )
    if not np.isfinite(values).all():
        raise ParticipantError("its time courses hold values that are not finite (NaN or infinity)", file=path)
    return values


def import_gift(parameters: PathLike, participants: PathLike, folder: PathLike, session: int | None = None) -> Path:
    """Write the time courses of a GIFT analysis as a cohort of the source ``timeseries``.

    Parameters
    ----------
    parameters : path
        ``<prefix>_ica_parameter_info.mat``.
    participants : path
        Tab-separated table with ``participant_id``, the group and covariates; a row a participant, in GIFT's order.
    folder : path
        Folder to make, with a ``<participant>_timecourses.tsv`` each, and ``participants.tsv`` (and its sidecar).
    session : int, optional
        Session to take, from 1; the only one by default.

    Returns
    -------
    Path
        The participants table, for ``cohort.timeseries.participants``.

    Raises
    ------
    ConfigError
        If the parameter file or the table cannot be used, or does not fit the other.
    ParticipantError
        If a participant's file cannot be used.
    """
    analysis = read_parameters(parameters)
    if session is None and analysis.n_sessions > 1:
        raise ConfigError(f"{parameters}: the analysis has {analysis.n_sessions} sessions; say which one (--session)")
    if not 1 <= (session or 1) <= analysis.n_sessions:
        raise ConfigError(f"{parameters}: there is no session {session}; the analysis has {analysis.n_sessions}")
    table = _read_participants(participants, analysis)
    names = component_names(analysis.n_components)
    with atomic_path(folder) as partial:
        partial.mkdir()
        files = []
        for number, who in enumerate(table["participant_id"], start=1):
            try:
                values = read_timecourses(analysis, number, session or 1)
            except ParticipantError as error:
                raise ParticipantError(error.reason, participant=who, file=error.file) from error
            files.append(f"{who}_timecourses.tsv")
            described = dict.fromkeys(names, "Time course of this component of GIFT, a row a volume")
            write_table(pd.DataFrame(values, columns=names), partial / files[-1], described)
        columns = {name: f"Column of {Path(participants).name}" for name in table.columns}
        columns["timeseries"] = "File with the participant's time courses"
        write_table(table.assign(timeseries=files), partial / "participants.tsv", columns)
    logger.info("%d participants, %d components", len(table), analysis.n_components)
    return Path(folder) / "participants.tsv"


def _read_participants(path: PathLike, analysis: GiftAnalysis) -> pd.DataFrame:
    table = read_rows(Path(path)).to_frame()
    if len(table) != analysis.n_participants:
        raise ConfigError(
            f"{path}: has {len(table)} rows, but GIFT has analysed {analysis.n_participants} participants; give a row "
            "a participant, in the order in which they were entered in GIFT"
        )
    table["participant_id"] = [identify(value) for value in table["participant_id"]]
    if table["participant_id"].duplicated().any():
        double = table.loc[table["participant_id"].duplicated(), "participant_id"].iloc[0]
        raise ConfigError(f"{path}: participant {double} is listed twice")
    return table


def _load(path: Path) -> dict[str, Any]:
    """Read a MATLAB file; `ValueError` says what is wrong."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    if not path.is_file():
        raise ValueError("there is no such file")
    try:
        content: dict[str, Any] = loadmat(path, struct_as_record=False, squeeze_me=True)
    except NotImplementedError as error:
        raise ValueError("it is a MATLAB 7.3 file; save it with the option -v7") from error
    except (MatReadError, zlib.error, OSError, TypeError, EOFError) as error:
        raise ValueError(f"it is no MATLAB file, or damaged ({error})") from error
    return content


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, write the cohort, and say how to go on."""
    parser = argparse.ArgumentParser(prog="python -m gradspec.ica.gift", description=__doc__.split("\n")[0])
    parser.add_argument("parameters", type=Path, help="<prefix>_ica_parameter_info.mat of GIFT")
    parser.add_argument("participants", type=Path, help="table with participant_id and group, in the order of GIFT")
    parser.add_argument("folder", type=Path, help="folder to make")
    parser.add_argument("--session", type=int, help="session to take, from 1")
    options = parser.parse_args(arguments)
    table = import_gift(options.parameters, options.participants, options.folder, options.session)
    print(f"cohort:\n  source: timeseries\n  timeseries:\n    participants: {table}")


if __name__ == "__main__":
    main()
