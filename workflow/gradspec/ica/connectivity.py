"""Static functional network connectivity: correlation between the time courses of a run."""

import logging

import numpy as np
import xarray as xr
from jaxtyping import Float

from gradspec.errors import ParticipantError

logger = logging.getLogger(__name__)

_LARGEST = 1 - 1e-6  # correlations are held below 1, where Fisher's z is not finite
_CONSTANT = 1e-6  # standard deviation, relative to the largest value, of a series that only shows rounding


def fnc(timecourses: Float[np.ndarray, "time component"]) -> Float[np.ndarray, "component component"]:
    """Fisher-z transformed Pearson correlation of all pairs.

    Parameters
    ----------
    timecourses : array, (time, component)
        Time courses of one run.

    Returns
    -------
    array, (component, component)
        Connectivity, symmetric, zero on the diagonal; zero as well for a component that is constant over time.
    """
    series = np.asarray(timecourses, dtype=np.float64)
    varies = ~is_constant(series)
    centred = series - series.mean(axis=0)
    norm = np.linalg.norm(centred, axis=0)
    scaled = np.where(varies, centred / np.where(varies, norm, 1), 0)
    connectivity = np.arctanh(np.clip(scaled.T @ scaled, -_LARGEST, _LARGEST))
    np.fill_diagonal(connectivity, 0)
    return np.asarray((connectivity + connectivity.T) / 2)


def is_constant(timecourses: Float[np.ndarray, "time component"]) -> np.ndarray:
    """Say for each component whether its time course does not vary."""
    return np.asarray(timecourses.std(axis=0) <= _CONSTANT * np.abs(timecourses).max(axis=0))


def cohort_fnc(dataset: xr.Dataset) -> xr.Dataset:
    """Compute the connectivity of every run of a cohort.

    Parameters
    ----------
    dataset : Dataset
        Variable ``timecourses`` (participant, time, component).

    Returns
    -------
    Dataset
        Variable ``fnc`` (participant, component, component_2), float32, with the coordinates of the participants.

    Raises
    ------
    ParticipantError
        If a time course holds values that are not finite.
    """
    timecourses = dataset["timecourses"].transpose("participant", "time", "component")
    participants = [str(name) for name in timecourses["participant"].values]
    components = timecourses["component"].values
    matrices = np.empty((len(participants), len(components), len(components)), dtype=np.float32)
    for row, (participant, series) in enumerate(zip(participants, timecourses.values, strict=True)):
        if not np.isfinite(series).all():
            raise ParticipantError(
                "its time courses hold values that are not finite (NaN or infinity); mend or remove its file",
                participant=participant,
            )
        constant = is_constant(series)
        if constant.any():
            names = ", ".join(map(str, components[constant]))
            logger.warning("%s: no variance over time in %s; its connectivity is zero", participant, names)
        matrices[row] = fnc(series)
    return xr.Dataset(
        {
            "fnc": (
                ("participant", "component", "component_2"),
                matrices,
                {"long_name": "functional network connectivity", "units": "1", "measure": "Fisher z of Pearson r"},
            )
        },
        coords={
            **{name: c for name, c in timecourses.coords.items() if c.dims == ("participant",)},
            "component": components,
            "component_2": components,
        },
    )
