"""Join after the ICA of GIFT: its time courses become a cohort of the source ``timeseries``.

``python -m gradspec.ica.gift PARAMETERS PARTICIPANTS FOLDER`` reads the parameter file of a GIFT analysis
(``<prefix>_ica_parameter_info.mat``) and, beside it, the components of each participant: variable ``tc`` of
``<prefix>_ica_c<participant>-<session>.mat`` or, where GIFT was told to conserve disk space and keeps no such files,
the image ``<prefix>_sub<participant>_timecourses_ica_s<session>_.nii``. It writes a table a participant and a
participants table, from which the workflow goes on: ``cohort: {source: timeseries, timeseries: {participants: …}}``.
GIFT does not know names or groups; they come from a participants table whose rows are in the order of GIFT's data sets.

MATLAB files of every level are read, and no code of theirs is run. Order and sign of the components stay GIFT's. Names
and shapes follow GIFT 4.0.6 (icatb_calibrateComponents.m, icatb_saveICAData.m, icatb_getOutputFileNames.m).
"""

import argparse
import logging
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from gradspec.cohort.identities import identify
from gradspec.cohort.limits import require_image_size
from gradspec.cohort.matlab import read_matlab
from gradspec.cohort.runs import REPETITION_TIME_TOLERANCE
from gradspec.cohort.tables import read_rows
from gradspec.errors import ConfigError, GradspecError, ParticipantError
from gradspec.files import PathLike, atomic_path, read_table, write_table
from gradspec.ica.labels import component_names

logger = logging.getLogger(__name__)

_TIME = "repetition_time"


@dataclass(frozen=True)
class GiftAnalysis:
    """What the parameter file of GIFT says.

    Attributes
    ----------
    folder : Path
        Where the files of the analysis lie: beside the parameter file, even if it was moved.
    prefix : str
        Beginning of all file names.
    stem : str
        Beginning of the files with participants' components, such as ``study_ica_c``.
    n_participants, n_sessions, n_components : int
        Size of the analysis.
    n_volumes : tuple of int
        Lengths of the data sets, participant by participant; empty where it does not say them.
    repetition_times : tuple of float
        Of the data sets, or one for all, in seconds; empty where it does not say them.
    """

    folder: Path
    prefix: str
    stem: str
    n_participants: int
    n_sessions: int
    n_components: int
    n_volumes: tuple[int, ...] = ()
    repetition_times: tuple[float, ...] = ()

    def data_set(self, number: int, session: int) -> int:
        """Place of a participant's session in GIFT's list of data sets, from 0."""
        return (number - 1) * self.n_sessions + session - 1

    def repetition_time(self, number: int, session: int) -> float | None:
        """Repetition time of a participant's session in seconds, or None."""
        times = self.repetition_times
        if len(times) == self.n_participants * self.n_sessions:
            return times[self.data_set(number, session)]
        if len(times) == self.n_participants:
            return times[number - 1]
        return times[0] if len(times) == 1 else None


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
        info = _load(Path(path), "sesInfo")
    except (ValueError, ParticipantError) as error:
        raise ConfigError(f"{path}: {error}") from error
    try:
        if not isinstance(info, dict):
            raise KeyError("sesInfo")
        times = _numbers(info.get("TR"))
        return GiftAnalysis(
            Path(path).parent,
            str(info["userInput"]["prefix"]),
            str(info["calibrate_components_mat_file"]).replace("\\", "/"),  # where Windows has written it
            int(np.asarray(info["numOfSub"]).item()),
            int(np.asarray(info["numOfSess"]).item()),
            int(np.asarray(info["numComp"]).item()),
            n_volumes=tuple(int(count) for count in _numbers(info.get("diffTimePoints"))),
            repetition_times=times if times and all(0 < time < np.inf for time in times) else (),
        )
    except (KeyError, TypeError, ValueError) as error:
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
    image = None if path.is_file() else _find_image(analysis, number, session)
    try:
        if image is not None:
            path, values = image, _load_image(image)
        else:
            values = np.asarray(_load(path, "tc"), dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise ParticipantError(
            f"{error}, nor an image of its time courses; if GIFT has zipped its files, unzip them"
            if image is None and not path.is_file()
            else str(error),
            file=path,
        ) from error
    if values.ndim != 2 or values.shape[1] != analysis.n_components:
        raise ParticipantError(
            f"the time courses (variable 'tc', or an image) have the shape {values.shape}, but (volumes, "
            f"{analysis.n_components} components) is expected",
            file=path,
        )
    if len(analysis.n_volumes) == analysis.n_participants * analysis.n_sessions:
        expected = analysis.n_volumes[analysis.data_set(number, session)]
        if len(values) != expected:
            raise ParticipantError(
                f"has {len(values)} volumes, but GIFT has analysed {expected} of this data set; run the scaling again",
                file=path,
            )
    if not np.isfinite(values).all():
        raise ParticipantError("its time courses hold values that are not finite (NaN or infinity)", file=path)
    return values


def _find_image(analysis: GiftAnalysis, number: int, session: int) -> Path | None:
    """Find the image of a participant's time courses, in the folder of the analysis or in that of its scaling step."""
    digits = rf"0*{number}_timecourses_ica_s{session}_\.(nii|img)"
    for folder, start in (
        (analysis.folder, rf"{re.escape(analysis.prefix)}_sub"),
        (analysis.folder / f"{analysis.prefix}_scaling_components_files", "sub"),
    ):
        if folder.is_dir() and (
            found := sorted(path for path in folder.iterdir() if re.fullmatch(start + digits, path.name))
        ):
            return found[0]
    return None


def _load_image(path: Path) -> np.ndarray:
    """Read an image of (volumes, components, 1) voxels."""
    import nibabel as nib

    try:
        image: Any = nib.load(path)
        voxels = image.dataobj
        require_image_size(
            path.with_suffix(".img") if path.suffix == ".hdr" else path,
            voxels.offset,
            image.shape,
            voxels.dtype.itemsize,
            lambda reason: ParticipantError(reason, file=path),
        )
        values = np.asarray(voxels, dtype=np.float64)
    except GradspecError:
        raise
    except Exception as error:  # parsers meet damaged bytes with errors of every kind
        raise ValueError(f"it is no image, or damaged ({error})") from error
    return values.reshape(values.shape[:2]) if values.ndim > 2 and values.size == np.prod(values.shape[:2]) else values


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
    times = [analysis.repetition_time(number, session or 1) for number in range(1, len(table) + 1)]
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
        columns: dict[str, Any] = {name: f"Column of {Path(participants).name}" for name in table.columns}
        columns["timeseries"] = "File with the participant's time courses"
        table = table.assign(timeseries=files)
        if None not in times:
            table[_TIME] = times
            columns[_TIME] = {"Description": "Time between volumes, as GIFT was told", "Units": "s"}
        write_table(table, partial / "participants.tsv", columns)
    logger.info("%d participants, %d components", len(table), analysis.n_components)
    return Path(folder) / "participants.tsv"


def describe_cohort(table: Path) -> str:
    """Return the lines of a config that read the cohort that `import_gift` has written.

    Parameters
    ----------
    table : Path
        The participants table.

    Returns
    -------
    str
        YAML. Where GIFT was not told the repetition time its value is left open, which the config does not accept.
    """
    people = read_table(table)
    time = "  # in seconds; GIFT was not told"
    if _TIME in people:
        known = people[_TIME]
        same = known.max() <= known.min() * (1 + REPETITION_TIME_TOLERANCE)
        time = f" {known.median():.10g}" if same else f" {_TIME}  # a column of the table"
    return f"cohort:\n  source: timeseries\n  timeseries:\n    participants: {table}\n    repetition_time:{time}"


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


def _load(path: Path, name: str) -> Any:
    """Read a variable of a MATLAB file; `ValueError` says what is wrong."""
    if not path.is_file():
        raise ValueError("there is no such file")
    try:
        return read_matlab(path, lambda reason: ParticipantError(reason, file=path), name).get(name)
    except (GradspecError, ValueError):
        raise
    except Exception as error:  # parsers meet damaged bytes with errors of every kind
        raise ValueError(f"it is no MATLAB file, or damaged ({error})") from error


def _numbers(value: Any) -> tuple[float, ...]:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf":
        return ()
    return tuple(map(float, value.ravel(order="F")))


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, write the cohort, and say how to go on."""
    parser = argparse.ArgumentParser(prog="python -m gradspec.ica.gift", description=__doc__.split("\n")[0])
    parser.add_argument("parameters", type=Path, help="<prefix>_ica_parameter_info.mat of GIFT")
    parser.add_argument("participants", type=Path, help="table with participant_id and group, in the order of GIFT")
    parser.add_argument("folder", type=Path, help="folder to make")
    parser.add_argument("--session", type=int, help="session to take, from 1")
    options = parser.parse_args(arguments)
    try:
        print(describe_cohort(import_gift(options.parameters, options.participants, options.folder, options.session)))
    except (GradspecError, OSError) as error:
        sys.exit(f"{parser.prog}: {error}")


if __name__ == "__main__":
    main()
