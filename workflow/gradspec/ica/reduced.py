"""Reductions on disk: what one participant (or a batch of them) hands to the group, as ``.npy`` files.

Each file holds an array (component, voxel), float32. One job a participant writes them, the group job reads one at a
time, so that its memory does not depend on the number of participants.
"""

import errno
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from nibabel.spatialimages import SpatialImage

from gradspec.cohort.runs import BoldRun
from gradspec.errors import ConfigError, ParticipantError, raise_machine_fault
from gradspec.files import PathLike, atomic_path
from gradspec.ica.images import Image, load, name_of, read_run
from gradspec.ica.mask import warn_of_cover
from gradspec.ica.reduction import merge, principal_components

FORMS = ("whitened", "migp")


def kept_directions(n_components: int) -> int:
    """Return how many directions a running basis keeps for that many components."""
    return max(100, 2 * n_components)


def participants_of(reductions: Iterable[PathLike]) -> list[str]:
    """Name the participant of each reduction that `find_reductions` found, or the batch where it is a merge."""
    return [path.parent.name if path.parent.name.startswith("sub-") else path.stem for path in map(Path, reductions)]


def at_once(form: str) -> int:
    """Return how many reductions are stacked on a running basis at a time: MIGP takes one, a few cost less."""
    return 1 if form == "migp" else 4


def reduce_run(
    image: Image,
    mask: SpatialImage,
    n_subject_components: int | None = None,
    *,
    form: str = "whitened",
    resample: bool = False,
) -> Float[np.ndarray, "component voxel"]:
    """Read a run and reduce it to its principal components.

    Parameters
    ----------
    image : path or image
        4-D run.
    mask : image
        Group mask.
    n_subject_components : int, optional
        Number of components; by default half the volumes.
    form : {'whitened', 'migp'}
        Whether components are scaled to unit variance, or keep theirs as MIGP has it.
    resample : bool
        Whether a run on another grid is resampled, or refused.

    Returns
    -------
    array, (component, voxel)
        The components.

    Raises
    ------
    ParticipantError
        If the run cannot be read, or is too short; the error names its file.
    """
    n_components = n_subject_components or max(load(image, 4).shape[3] // 2, 1)
    try:
        signal = read_run(image, mask, resample=resample)
        return principal_components(signal, n_components, whiten=form == "whitened")
    except ParticipantError as error:
        raise ParticipantError(error.reason, file=error.file or name_of(image)) from error


def reduce_runs(
    runs: Sequence[BoldRun],
    mask: Image,
    target: PathLike,
    n_subject_components: int | None = None,
    *,
    form: str = "whitened",
    resample: bool = False,
) -> None:
    """Reduce all runs of a participant.

    Parameters
    ----------
    runs : sequence of BoldRun
        Denoised runs of the participant; none where it is excluded.
    mask : path or image
        Group mask.
    target : path
        Folder to make, with an array ``<participant>_<run>.npy`` each run.
    n_subject_components, form, resample
        See `reduce_run`.

    Raises
    ------
    ParticipantError
        If a run cannot be used.
    ConfigError
        If the disk is full.
    """
    mask = load(mask, 3)
    with atomic_path(target) as partial:
        partial.mkdir()
        for run in runs:
            try:
                warn_of_cover(run.mask, mask, resample=resample)
                reduction = reduce_run(run.bold, mask, n_subject_components, form=form, resample=resample)
                save_reduction(reduction, partial / f"{run.name}.npy")
            except ParticipantError as error:
                raise ParticipantError(error.reason, participant=run.participant_id, file=error.file) from error


def save_reduction(reduction: Float[np.ndarray, "component voxel"], path: PathLike) -> None:
    """Write a reduction; the file is there whole or not at all.

    Raises
    ------
    ConfigError
        If the disk is full; the message says how much room is needed.
    """
    try:
        with atomic_path(path) as partial:
            np.save(partial, reduction, allow_pickle=False)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ConfigError(
            f"{path}: no space left on the disk for the {reduction.nbytes / 1e6:.0f} MB of a reduction; make room (a "
            "run needs as much until group ICA is done), lower ica.n_subject_components, or choose another `results`"
        ) from error


def load_reduction(path: PathLike) -> Float[np.ndarray, "component voxel"]:
    """Read a reduction; a damaged file is a `ParticipantError`."""
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, EOFError, ValueError) as error:
        raise_machine_fault(error)
        raise ParticipantError(
            f"cannot be read as a reduction ({error}); delete it and run again", file=str(path)
        ) from error


def find_reductions(folders: Iterable[PathLike], participants: Iterable[str] | None = None) -> list[Path]:
    """List the reductions in the folders of participants, each named as its participant; or those given as files.

    Parameters
    ----------
    folders : iterable of path
        Folder of each participant (those of the excluded are empty), or files with merges of several, which are taken
        as they are unless they are empty.
    participants : iterable of str, optional
        Participants to take; all of them by default.

    Returns
    -------
    list of Path
        Files, in the order of the folders, runs by name.
    """
    wanted = None if participants is None else set(participants)
    found: list[Path] = []
    for path in map(Path, folders):
        if path.is_file():
            found += [path] if np.load(path, mmap_mode="r", allow_pickle=False).size else []
        elif wanted is None or path.name in wanted:
            found += sorted(path.glob("*.npy"))
    return found


def merge_files(paths: Sequence[PathLike], n_keep: int, form: str = "whitened") -> Float[np.ndarray, "direction voxel"]:
    """Merge reductions, a few in memory at a time; no row where there are none (all were excluded)."""
    if not paths:
        return np.empty((0, 0), dtype=np.float32)
    return merge(map(load_reduction, paths), n_keep, batch=at_once(form))
