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

from gradspec.errors import ConfigError, ParticipantError
from gradspec.files import PathLike, atomic_path
from gradspec.ica.images import Image, load, name_of, read_run
from gradspec.ica.reduction import merge, principal_components

FORMS = ("whitened", "migp")


def kept_directions(n_components: int) -> int:
    """Return how many directions a running basis keeps for that many components."""
    return max(100, 2 * n_components)


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
            f"{path}: no space left on the disk for the {reduction.nbytes / 1e6:.0f} MB of a reduction; make room (one "
            "of these a run is needed while group ICA runs), lower ica.n_subject_components, or choose another `results`"
        ) from error


def load_reduction(path: PathLike) -> Float[np.ndarray, "component voxel"]:
    """Read a reduction; a damaged file is a `ParticipantError`."""
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, EOFError, ValueError) as error:
        raise ParticipantError(
            f"cannot be read as a reduction ({error}); delete it and run again", file=path
        ) from error


def find_reductions(folders: Iterable[PathLike], participants: Iterable[str] | None = None) -> list[Path]:
    """List the reductions in the folders of participants, each named as its participant.

    Parameters
    ----------
    folders : iterable of path
        Folder of each participant; those of the excluded are empty.
    participants : iterable of str, optional
        Participants to take; all of them by default.

    Returns
    -------
    list of Path
        Files, in the order of the folders, runs by name.
    """
    wanted = None if participants is None else set(participants)
    return [
        file
        for folder in map(Path, folders)
        if wanted is None or folder.name in wanted
        for file in sorted(folder.glob("*.npy"))
    ]


def merge_files(paths: Sequence[PathLike], n_keep: int) -> Float[np.ndarray, "direction voxel"]:
    """Merge reductions, one in memory at a time; no row where there are none (all were excluded)."""
    if not paths:
        return np.empty((0, 0), dtype=np.float32)
    return merge(map(load_reduction, paths), n_keep)
