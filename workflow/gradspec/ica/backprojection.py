"""From the group back to all runs of the cohort: time courses in one data set, maps as one image a run."""

import logging
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Float
from nibabel.spatialimages import SpatialImage
from threadpoolctl import threadpool_limits

from gradspec.errors import ParticipantError
from gradspec.files import PathLike, atomic_path
from gradspec.ica.images import Image, load, maps_to_image, read_maps, read_run, save_image
from gradspec.ica.labels import component_names
from gradspec.ica.participant import MapPrior, RunMaps, spatial_regression, temporal_regression
from gradspec.ica.runs import Run, common_repetition_time
from gradspec.ica.timecourses import process
from gradspec.progress import track

logger = logging.getLogger(__name__)


def participant_components(
    runs: Sequence[Run],
    components: Image,
    mask: Image,
    folder: PathLike,
    low_pass: float | None,
    n_jobs: int = 1,
) -> xr.Dataset:
    """Time courses of all runs, and their maps as images.

    Time courses come from dual regression, then detrended, despiked and filtered; maps are drawn towards the group by
    empirical Bayes (`gradspec.ica.participant`). What the second pass over the runs needs waits on disk, so that memory
    does not grow with the cohort.

    Parameters
    ----------
    runs : sequence of Run
        Denoised runs, at least two.
    components : path or image
        4-D image of the group maps.
    mask : path or image
        Group mask.
    folder : path
        Folder to make, with an image ``<participant>_<run>_components.nii.gz`` each run.
    low_pass : float, optional
        Highest frequency kept in the time courses, in hertz.
    n_jobs : int
        Number of threads, each with a run in memory.

    Returns
    -------
    Dataset
        ``timecourses`` (participant, time, component), float32; a row a run. Longer runs are cut to the shortest.

    Raises
    ------
    ParticipantError
        If a run cannot be used.
    ConfigError
        If repetition times differ, or `low_pass` is not below the Nyquist frequency.
    """
    mask = load(mask, 3)
    group_maps = read_maps(components, np.asanyarray(mask.dataobj) > 0)
    repetition_time = common_repetition_time(runs)
    prior = MapPrior()
    with (
        atomic_path(folder) as partial,
        tempfile.TemporaryDirectory(dir=partial.parent) as waiting,
        threadpool_limits(1),  # one thread a run in the pool
        ThreadPoolExecutor(n_jobs) as pool,
    ):
        spool = Path(waiting)
        partial.mkdir()

        def regress(run: Run) -> Float[np.ndarray, "time component"]:
            timecourses, maps = _dual_regression(run, group_maps, mask)
            np.savez(spool / f"{run.name}.npz", maps=maps.maps, noise=maps.noise, leverage=maps.leverage)
            return process(timecourses, repetition_time, low_pass)

        def shrink(run: Run) -> None:
            maps = prior.shrink(_read_spooled(spool, run))
            save_image(maps_to_image(maps, mask), partial / f"{run.name}_components.nii.gz")

        rows = []
        for run, row in zip(runs, track(pool.map(regress, runs), "Dual regression", total=len(runs)), strict=True):
            rows.append(row)
            prior.add(_read_spooled(spool, run))
        for _ in track(pool.map(shrink, runs), "Maps of participants", total=len(runs)):
            pass
    return _dataset(runs, rows, repetition_time)


def _dual_regression(
    run: Run, components: Float[np.ndarray, "component voxel"], mask: SpatialImage
) -> tuple[Float[np.ndarray, "time component"], RunMaps]:
    try:
        signal = read_run(run.bold, mask)
        timecourses = spatial_regression(signal, components)
        return timecourses, temporal_regression(signal, timecourses)
    except ParticipantError as error:
        raise ParticipantError(error.reason, participant=run.participant_id, file=error.file or run.bold) from error


def _read_spooled(spool: Path, run: Run) -> RunMaps:
    with np.load(spool / f"{run.name}.npz", allow_pickle=False) as kept:
        return RunMaps(kept["maps"], kept["noise"], kept["leverage"])


def _dataset(runs: Sequence[Run], rows: Sequence[np.ndarray], repetition_time: float) -> xr.Dataset:
    n_volumes = min(map(len, rows))
    for run, row in zip(runs, rows, strict=True):
        if len(row) > n_volumes:
            logger.info("%s: cut from %d to %d volumes, the length of the shortest run", run.name, len(row), n_volumes)
    return xr.Dataset(
        {
            "timecourses": (
                ("participant", "time", "component"),
                np.stack([row[:n_volumes] for row in rows]).astype(np.float32),
                {"long_name": "time courses of the components", "units": "1"},
            )
        },
        coords={
            "participant": [run.participant_id for run in runs],
            "run": ("participant", [run.label for run in runs]),
            "component": component_names(rows[0].shape[1]),
            "time": ("time", np.arange(n_volumes) * repetition_time, {"units": "s"}),
        },
        attrs={"repetition_time": repetition_time, "units": "1", "source": "dual regression"},
    )
