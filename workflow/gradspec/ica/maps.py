"""Maps of all runs as one array, for networks that learn from images: component maps, and the mean ALFF.

ALFF is the amplitude of low-frequency fluctuations: Zang et al. 2007, Brain Dev. 29:83.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Float

from gradspec.cohort.runs import BoldRun
from gradspec.errors import ConfigError, ParticipantError
from gradspec.ica.images import Image, check_same_grid, load, name_of, read_maps, to_grid
from gradspec.ica.labels import component_names
from gradspec.ica.volumes import masked_volumes
from gradspec.progress import track

BAND = (0.01, 0.08)
"""Frequencies of the fluctuations, in hertz."""

Maps = Float[np.ndarray, "map voxel"]


def component_maps(
    folder: Path, participants: Sequence[str], runs: Sequence[str], mask: Image, shrink: int
) -> xr.Dataset:
    """Collect the participants' own maps of the components.

    Parameters
    ----------
    folder : path
        Folder with an image ``<participant>_<run>_components.nii.gz`` of each run.
    participants, runs : sequence of str
        Participant and label of each run.
    mask : path or image
        Mask in which the maps lie.
    shrink : int
        Voxels along each axis that are averaged into one.

    Returns
    -------
    Dataset
        As `stack_maps` gives it, a map a component.

    Raises
    ------
    ParticipantError
        If the image of a run is missing, damaged, or on another grid than the mask.
    """
    grid = load(mask, 3)
    inside = np.asanyarray(grid.dataobj) > 0

    def read(participant: str, run: str) -> Maps:
        image = load(folder / f"{'_'.join(filter(None, (participant, run)))}_components.nii.gz", 4)
        check_same_grid(image, grid)
        return read_maps(image, inside)

    maps = (read(*each) for each in zip(participants, runs, strict=True))
    return stack_maps(maps, participants, runs, grid, shrink, long_name="maps of the components")


def alff_maps(runs: Sequence[BoldRun], mask: Image, shrink: int, *, resample: bool = False) -> xr.Dataset:
    """Mean ALFF of each run.

    Parameters
    ----------
    runs : sequence of BoldRun
        Denoised runs.
    mask : path or image
        Mask of the group.
    shrink : int
        Voxels along each axis that are averaged into one.
    resample : bool
        Bring runs on another grid than that of the mask to it, instead of refusing them.

    Returns
    -------
    Dataset
        As `stack_maps` gives it, with the one map ``alff``.

    Raises
    ------
    ParticipantError
        If a run is damaged, on another grid, too short for the band, or nothing varies in it.
    """
    grid = load(mask, 3)
    inside = np.asanyarray(grid.dataobj) > 0

    def read(run: BoldRun) -> Maps:
        try:
            signal = masked_volumes(to_grid(load(run.bold, 4), grid, resample=resample), inside)
            return mean_alff(signal, run.repetition_time)[None]
        except ParticipantError as error:
            raise ParticipantError(error.reason, participant=run.participant_id, file=error.file or run.bold) from error

    maps = (read(run) for run in track(runs, "ALFF"))
    participants, labels = [run.participant_id for run in runs], [run.label for run in runs]
    return stack_maps(maps, participants, labels, grid, shrink, names=["alff"], long_name="mean ALFF")


def mean_alff(signal: Float[np.ndarray, "time voxel"], repetition_time: float) -> Float[np.ndarray, " voxel"]:
    """Amplitude of low-frequency fluctuations of each voxel, over its mean in the mask.

    Parameters
    ----------
    signal : array, (time, voxel)
        Denoised signal.
    repetition_time : float
        Time between volumes, in seconds.

    Returns
    -------
    array, (voxel,)
        Mean square root of the power of the frequencies in `BAND`, divided by its mean over voxels, so that 1 is
        average; float32.

    Raises
    ------
    ParticipantError
        If no frequency of the run lies in the band, values are not finite, or nothing varies.
    """
    frequency = np.fft.rfftfreq(len(signal), repetition_time)
    low, high = BAND
    chosen = (frequency >= low) & (frequency <= high)
    if not chosen.any():
        raise ParticipantError(
            f"{len(signal)} volumes every {repetition_time:g} s have no frequency from {low} to {high} Hz, of which "
            "ALFF is made; leave the run out, or train on other data than alff"
        )
    amplitude = np.abs(np.fft.rfft(signal - signal.mean(axis=0), axis=0)[chosen]).mean(axis=0)
    mean = float(amplitude.mean())
    if not np.isfinite(mean) or mean <= 0:
        raise ParticipantError("the voxels of the mask are constant or not finite; check how the image was made")
    return np.asarray(amplitude / mean, dtype=np.float32)


def stack_maps(
    maps: Iterable[Maps],
    participants: Sequence[str],
    runs: Sequence[str],
    mask: Image,
    shrink: int,
    *,
    names: Sequence[str] | None = None,
    long_name: str,
) -> xr.Dataset:
    """Put maps on the grid of a mask, cut to its bounding box, with blocks of voxels averaged.

    Parameters
    ----------
    maps : iterable of array, (map, voxel)
        Maps of each run within the mask; only one run is needed at a time.
    participants, runs : sequence of str
        Participant and label of each run.
    mask : path or image
        3-D mask.
    shrink : int
        Voxels along each axis that are averaged into one; those outside the mask do not count.
    names : sequence of str, optional
        Name of each map; those of components by default.
    long_name : str
        What the maps show.

    Returns
    -------
    Dataset
        ``maps`` (participant, map, x, y, z), float32, a row a run, zero outside the mask.

    Raises
    ------
    ConfigError
        If the mask is empty.
    """
    grid = load(mask, 3)
    inside = np.asanyarray(grid.dataobj) > 0
    if not inside.any():
        raise ConfigError(f"{name_of(grid)}: the mask is empty; check the preprocessing")
    box = tuple(slice(found.min(), found.max() + 1) for found in np.nonzero(inside))
    weight = _sum_blocks(inside[box].astype(np.float32), shrink)
    rows = []
    for voxels in maps:
        volumes = np.zeros((len(voxels), *inside.shape), dtype=np.float32)
        volumes[:, inside] = voxels
        sums = _sum_blocks(volumes[(slice(None), *box)], shrink)
        rows.append(np.divide(sums, weight, out=np.zeros_like(sums), where=weight > 0))
    attributes = {"long_name": long_name, "voxels_averaged": shrink**3}
    return xr.Dataset(
        {"maps": (("participant", "map", "x", "y", "z"), np.stack(rows), attributes)},
        coords={
            "participant": list(participants),
            "run": ("participant", list(runs)),
            "map": list(names or component_names(len(rows[0]))),
        },
    )


def _sum_blocks(volumes: Float[np.ndarray, "*map x y z"], size: int) -> Float[np.ndarray, "*map x2 y2 z2"]:
    """Sum blocks of size³ voxels; the last ones may hold fewer."""
    for axis in (-3, -2, -1):
        volumes = np.add.reduceat(volumes, np.arange(0, volumes.shape[axis], size), axis=axis)
    return volumes
