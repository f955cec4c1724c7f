"""Static functional network connectivity: correlation between the time courses of a run, plain or partial."""

import logging

import numpy as np
import xarray as xr
from jaxtyping import Float
from sklearn.covariance import LedoitWolf

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
    scaled = _standardised(timecourses)
    return _fisher(scaled.T @ scaled / len(scaled))


def partial_fnc(timecourses: Float[np.ndarray, "time component"]) -> Float[np.ndarray, "component component"]:
    r"""Fisher-z transformed partial correlation of all pairs, given all other components.

    With the precision matrix :math:`P`, partial correlation is :math:`-P_{ij} / \sqrt{P_{ii} P_{jj}}`. :math:`P`
    inverts the correlation matrix, shrunk towards the identity by the amount that Ledoit & Wolf (2004, J. Multivar.
    Anal. 88:365) derive from the data (scikit-learn's), so that it exists for more components than volumes too.

    Parameters
    ----------
    timecourses : array, (time, component)
        Time courses of one run.

    Returns
    -------
    array, (component, component)
        Connectivity, symmetric, zero on the diagonal; zero as well for a component that is constant over time.
    """
    scaled = _standardised(timecourses)
    varies = scaled.any(axis=0)
    partial = np.zeros((scaled.shape[1], scaled.shape[1]))
    if varies.sum() > 1:
        precision = LedoitWolf(assume_centered=True).fit(scaled[:, varies]).precision_
        root = np.sqrt(np.diag(precision))
        partial[np.ix_(varies, varies)] = -precision / np.outer(root, root)
    return _fisher(partial)


MEASURES = {"pearson": fnc, "partial": partial_fnc}
"""Measures of connectivity by name."""

_DESCRIPTIONS = {
    "pearson": "Fisher z of Pearson r",
    "partial": "Fisher z of partial correlation (Ledoit-Wolf shrinkage)",
}


def _standardised(timecourses: Float[np.ndarray, "time component"]) -> Float[np.ndarray, "time component"]:
    """Centre time courses and scale them to unit variance; a constant one becomes zero."""
    series = np.asarray(timecourses, dtype=np.float64)
    varies = ~is_constant(series)
    centred = series - series.mean(axis=0)
    return np.where(varies, centred / np.where(varies, centred.std(axis=0), 1), 0)


def _fisher(correlation: Float[np.ndarray, "component component"]) -> Float[np.ndarray, "component component"]:
    """Transform correlations to Fisher's z, exactly symmetric and with a zero diagonal."""
    connectivity = np.arctanh(np.clip(correlation, -_LARGEST, _LARGEST))
    np.fill_diagonal(connectivity, 0)
    return np.asarray((connectivity + connectivity.T) / 2)


def is_constant(timecourses: Float[np.ndarray, "time component"]) -> np.ndarray:
    """Say for each component whether its time course does not vary."""
    return np.asarray(timecourses.std(axis=0) <= _CONSTANT * np.abs(timecourses).max(axis=0))


def cohort_fnc(dataset: xr.Dataset, measure: str = "pearson") -> xr.Dataset:
    """Compute the connectivity of every run of a cohort.

    Parameters
    ----------
    dataset : Dataset
        Variable ``timecourses`` (participant, time, component).
    measure : str
        One of `MEASURES`.

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
        matrices[row] = MEASURES[measure](series)
    return xr.Dataset(
        {
            "fnc": (
                ("participant", "component", "component_2"),
                matrices,
                {"long_name": "functional network connectivity", "units": "1", "measure": _DESCRIPTIONS[measure]},
            )
        },
        coords={
            **{name: c for name, c in timecourses.coords.items() if c.dims == ("participant",)},
            "component": components,
            "component_2": components,
        },
    )
