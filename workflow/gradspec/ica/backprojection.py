"""From the group, or a template, to all runs of the cohort: time courses in one data set, maps as one image a run."""

import logging
import tempfile
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from gradspec.cohort.runs import BoldRun
from gradspec.errors import ParticipantError
from gradspec.files import PathLike, atomic_path
from gradspec.ica.images import Image, load, maps_to_image, read_maps, read_run, save_image
from gradspec.ica.labels import component_names
from gradspec.ica.methods import METHODS, Estimate, Kept
from gradspec.ica.runs import common_repetition_time
from gradspec.ica.timecourses import power_spectrum, process
from gradspec.progress import track

logger = logging.getLogger(__name__)

TimeCourses = Float[np.ndarray, "_ component"]  # runs differ in length


def participant_components(
    runs: Sequence[BoldRun],
    components: Image,
    mask: Image,
    folder: PathLike,
    low_pass: float | None,
    n_jobs: int = 1,
    *,
    method: str = "empirical-bayes",
    n_directions: int | None = None,
    detrend_cycles: int = 0,
    resample: bool = False,
    learn_from: Collection[str] | None = None,
    n_volumes: int | None = None,
) -> xr.Dataset:
    """Time courses of all runs, and their maps as images.

    Time courses and maps come from the method (`gradspec.ica.methods`); time courses are then detrended, despiked and
    filtered. What a second look at the runs needs waits on disk, so that memory does not grow with the cohort. Order
    and sign of the components are those of the maps that are given.

    Parameters
    ----------
    runs : sequence of BoldRun
        Denoised runs; at least two for a method that looks at all of them.
    components : path or image
        4-D image of the maps of the group or of a template.
    mask : path or image
        Mask in which they lie.
    folder : path
        Folder to make, with an image ``<participant>_<run>_components.nii.gz`` each run.
    low_pass : float, optional
        Highest frequency kept in the time courses, in hertz.
    n_jobs : int
        Number of threads, each with a run in memory.
    method : str
        One of `gradspec.ica.methods.METHODS`.
    n_directions : int, optional
        Principal components kept of a run in back-reconstruction; half the volumes by default.
    detrend_cycles : int
        Cycles of slow sine and cosine that are removed with the trend of the time courses.
    resample : bool
        Bring runs on another grid than that of the mask to it, instead of refusing them.
    learn_from : collection of str, optional
        Participants whose runs make the prior of a method that has one, such as those that a network is trained on;
        all of them by default.
    n_volumes : int, optional
        Length that all time courses are cut to; by default that of the shortest run.

    Returns
    -------
    Dataset
        ``timecourses`` (participant, time, component), float32, a row a run, longer runs cut; ``power``
        (participant, frequency, component), share of each frequency (Hz) in the variance before despiking and
        filtering.

    Raises
    ------
    ParticipantError
        If a run cannot be used.
    ConfigError
        If repetition times differ, or `low_pass` is not below the Nyquist frequency.
    """
    mask = load(mask, 3)
    estimator = METHODS[method](read_maps(components, np.asanyarray(mask.dataobj) > 0), n_directions)
    repetition_time = common_repetition_time(runs)
    with (
        atomic_path(folder) as partial,
        tempfile.TemporaryDirectory(dir=partial.parent) as waiting,
        threadpool_limits(1),  # one thread a run in the pool
        ThreadPoolExecutor(n_jobs) as pool,
    ):
        partial.mkdir()

        def finish(run: BoldRun, estimate: Estimate) -> TimeCourses:
            timecourses, maps = estimate
            save_image(maps_to_image(maps, mask), partial / f"{run.name}_components.nii.gz")
            return timecourses

        def read(run: BoldRun) -> Callable[[], Float[np.ndarray, "time voxel"]]:
            return lambda: read_run(run.bold, mask, resample=resample)

        @_blame
        def look(run: BoldRun) -> TimeCourses | None:
            kept = estimator.first(read(run)())
            if not estimator.looks_twice:
                return finish(run, estimator.second(kept, read(run)))
            _spool(kept, waiting, run)
            return None

        @_blame
        def look_again(run: BoldRun) -> TimeCourses | None:
            return finish(run, estimator.second(_unspool(waiting, run), read(run)))

        rows = []
        for run, row in zip(runs, track(pool.map(look, runs), f"Participants: {method}", total=len(runs)), strict=True):
            rows.append(row)
            if estimator.looks_twice and (learn_from is None or run.participant_id in learn_from):
                estimator.learn(_unspool(waiting, run))
        if estimator.looks_twice:
            rows = list(track(pool.map(look_again, runs), "Participants: second look", total=len(runs)))
    found = [row for row in rows if row is not None]
    return _dataset(runs, found, repetition_time, low_pass, detrend_cycles, n_volumes).assign_attrs(
        method=method, map_units=estimator.units
    )


def _blame(look: Callable[[BoldRun], TimeCourses | None]) -> Callable[[BoldRun], TimeCourses | None]:
    """Name the run in an error that it causes."""

    def named(run: BoldRun) -> TimeCourses | None:
        try:
            return look(run)
        except ParticipantError as error:
            raise ParticipantError(error.reason, participant=run.participant_id, file=error.file or run.bold) from error

    return named


def _spool(kept: Kept, folder: str, run: BoldRun) -> None:
    np.savez(Path(folder) / f"{run.name}.npz", **kept)  # type: ignore[arg-type]


def _unspool(folder: str, run: BoldRun) -> Kept:
    with np.load(Path(folder) / f"{run.name}.npz", allow_pickle=False) as kept:
        return dict(kept)


def _dataset(
    runs: Sequence[BoldRun],
    rows: Sequence[TimeCourses],
    repetition_time: float,
    low_pass: float | None,
    detrend_cycles: int,
    wanted: int | None,
) -> xr.Dataset:
    n_volumes = wanted or min(map(len, rows))
    for run, row in zip(runs, rows, strict=True):
        if len(row) > n_volumes:
            logger.info("%s: cut from %d to %d volumes", run.name, len(row), n_volumes)
    processed = [process(row, repetition_time, low_pass, cycles=detrend_cycles)[:n_volumes] for row in rows]
    frequency, power = power_spectrum(np.stack([row[:n_volumes] for row in rows]), repetition_time)
    return xr.Dataset(
        {
            "timecourses": (
                ("participant", "time", "component"),
                np.stack(processed).astype(np.float32),
                {"long_name": "time courses of the components", "units": "1"},
            ),
            "power": (
                ("participant", "frequency", "component"),
                power.astype(np.float32),
                {"long_name": "share of the frequency in the variance, before despiking and filtering", "units": "1"},
            ),
        },
        coords={
            "participant": [run.participant_id for run in runs],
            "run": ("participant", [run.label for run in runs]),
            "component": component_names(rows[0].shape[1]),
            "time": ("time", np.arange(n_volumes) * repetition_time, {"units": "s"}),
            "frequency": ("frequency", frequency, {"units": "Hz"}),
        },
        attrs={"repetition_time": repetition_time, "units": "1"},
    )
