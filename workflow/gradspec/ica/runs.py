"""Denoised runs of the cohort: which there are, and what their names and headers say."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gradspec.errors import ConfigError, ParticipantError
from gradspec.files import PathLike, read_json
from gradspec.ica.images import load

if TYPE_CHECKING:
    import pandas as pd

_BOLD = "_desc-denoised_bold.nii.gz"
_MASK = "_desc-brain_mask.nii.gz"


@dataclass(frozen=True)
class Run:
    """One denoised run.

    Attributes
    ----------
    participant_id : str
        Participant, such as ``sub-01``.
    label : str
        Other entities of the file name, such as ``ses-1_task-rest_run-2``.
    bold, mask : Path
        Denoised image and brain mask.
    repetition_time : float
        Time between volumes, in seconds.
    """

    participant_id: str
    label: str
    bold: Path
    mask: Path
    repetition_time: float

    @property
    def name(self) -> str:
        """Participant and label, as file names begin with."""
        return "_".join(filter(None, (self.participant_id, self.label)))


def find_runs(participants: Iterable[str], folders: Iterable[PathLike]) -> list[Run]:
    """Find the denoised runs of participants.

    Parameters
    ----------
    participants : iterable of str
        Participants to take, such as ``sub-01``.
    folders : iterable of path
        Folder of each participant, of the same name, with ``func/*_desc-denoised_bold.nii.gz`` and the masks beside
        them; those of other participants are passed over.

    Returns
    -------
    list of Run
        In the order of the participants, runs by name.

    Raises
    ------
    ParticipantError
        If a participant has no run, or a run has no mask.
    """
    by_name = {Path(folder).name: Path(folder) for folder in folders}
    runs = []
    for participant in participants:
        folder = by_name.get(participant)
        images = [] if folder is None else sorted(folder.glob(f"func/*{_BOLD}"))
        if not images:
            raise ParticipantError(
                f"no func/*{_BOLD} although the participant is not excluded; run the denoising again",
                participant=participant,
                file=folder,
            )
        runs += [_run(participant, image) for image in images]
    return runs


def has_runs(folder: PathLike) -> bool:
    """Say whether the denoised folder of a participant holds runs; that of an excluded one does not."""
    return any(Path(folder).glob(f"func/*{_BOLD}"))


def training_participants(splits: "pd.DataFrame", repeat: int, fold: int) -> list[str]:
    """Name the training participants of a fold.

    Parameters
    ----------
    splits : DataFrame
        Columns repeat, fold, participant_id and set, the table of the cross-validation.
    repeat, fold : int
        Which fold.

    Returns
    -------
    list of str
        Participants, in the order of the table.

    Raises
    ------
    ConfigError
        If the table does not hold this fold.
    """
    rows = splits[(splits["repeat"] == repeat) & (splits["fold"] == fold) & (splits["set"] == "train")]
    if rows.empty:
        raise ConfigError(f"the table of splits has no fold {fold} in repeat {repeat}; delete splits.tsv and run again")
    return list(rows["participant_id"])


def _run(participant: str, bold: Path) -> Run:
    entities = bold.name.removesuffix(_BOLD).removeprefix(f"{participant}_").split("_")
    label = "_".join(entity for entity in entities if not entity.startswith(("space-", "res-")))
    mask = bold.with_name(bold.name.replace(_BOLD, _MASK))
    if not mask.exists():
        raise ParticipantError("the brain mask of this run is missing", participant=participant, file=mask)
    sidecar = bold.with_name(bold.name.replace(".nii.gz", ".json"))
    stated = read_json(sidecar).get("RepetitionTime") if sidecar.exists() else None
    repetition_time = float(stated if stated is not None else load(bold, 4).header.get_zooms()[3])
    if not repetition_time > 0:
        raise ParticipantError("neither header nor sidecar give a repetition time", participant=participant, file=bold)
    return Run(participant, label, bold, mask, repetition_time)


def common_repetition_time(runs: Sequence[Run]) -> float:
    """Return the repetition time (s) that all runs share; `ConfigError` where they differ, as time has one axis."""
    first = runs[0]
    for run in runs:
        if abs(run.repetition_time - first.repetition_time) > 1e-3 * first.repetition_time:
            raise ConfigError(
                f"{first.name} has a repetition time of {first.repetition_time} s, {run.name} of {run.repetition_time} "
                "s; the runs of an analysis must have the same one: choose participants or runs accordingly"
            )
    return first.repetition_time
