"""Dual regression: from the maps of the group to the time courses and maps of one run.

Beckmann et al. 2009; Nickerson et al. 2017, Front. Neurosci. 11:115. The volumes of the run are regressed on the maps
of the group, which gives time courses, and then its voxels on these, which gives maps. How uncertain these are is known
from the regression, with Bartlett's correction for autocorrelation (Afyouni et al. 2019, NeuroImage 199:609).

Order and sign of the components are those of the group.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gradspec.errors import ConfigError, ParticipantError


@dataclass(frozen=True)
class RunMaps:
    """Maps of one run with their uncertainty.

    Attributes
    ----------
    maps : array, (component, voxel)
        Signal change of a voxel, in its standard deviations, for a standard deviation of the time course.
    noise : array, (voxel,)
        Residual variance of each voxel.
    leverage : array, (component,)
        Sampling variance is ``leverage × noise``: the diagonal of the inverse of the time courses' cross-product, times
        the factor by which autocorrelation raises it.
    """

    maps: Float[np.ndarray, "component voxel"]
    noise: Float[np.ndarray, " voxel"]
    leverage: Float[np.ndarray, " component"]


def spatial_regression(
    signal: Float[np.ndarray, "time voxel"], components: Float[np.ndarray, "component voxel"]
) -> Float[np.ndarray, "time component"]:
    """Regress each volume on the group maps.

    Parameters
    ----------
    signal : array, (time, voxel)
        Prepared run.
    components : array, (component, voxel)
        Group maps.

    Returns
    -------
    array, (time, component)
        Time courses, float64.

    Raises
    ------
    ConfigError
        If the maps depend on each other.
    """
    gram = (components @ components.T).astype(np.float64)
    if np.linalg.matrix_rank(gram, hermitian=True) < len(components):
        raise ConfigError(
            f"the {len(components)} maps depend on each other within the mask, so that time courses cannot be told "
            "apart; take fewer components, or remove maps that are double or empty"
        )
    return np.asarray(np.linalg.solve(gram, (components @ signal.T).astype(np.float64)).T)


def temporal_regression(
    signal: Float[np.ndarray, "time voxel"], timecourses: Float[np.ndarray, "time component"]
) -> RunMaps:
    """Regress each voxel on the time courses, centred and of unit variance.

    Parameters
    ----------
    signal : array, (time, voxel)
        Prepared run.
    timecourses : array, (time, component)
        Time courses of all components.

    Returns
    -------
    RunMaps
        Maps, and what their sampling variance is made of.

    Raises
    ------
    ParticipantError
        If there are too few volumes for that many components, or a time course is constant or depends on others.
    """
    n_volumes, n_components = timecourses.shape
    degrees = n_volumes - n_components - 2  # mean and trend are gone from the signal as well
    if degrees < 1:
        raise ParticipantError(
            f"{n_volumes} volumes are too few for the maps of {n_components} components; at least {n_components + 3} "
            "are needed: lower ica.n_components or leave the run out"
        )
    design = timecourses - timecourses.mean(axis=0)
    scale = design.std(axis=0)
    design = design / np.where(scale > 0, scale, 1)
    if np.linalg.matrix_rank(design) < n_components:
        raise ParticipantError(
            f"the time courses of the {n_components} components are constant or depend on each other, so that no maps "
            "can be estimated; lower ica.n_components or leave the run out"
        )
    inverse = np.linalg.inv(design.T @ design)
    maps = (inverse @ design.T).astype(signal.dtype) @ signal
    residual = signal - design.astype(signal.dtype) @ maps
    noise = np.einsum("tv,tv->v", residual, residual)
    # Autocorrelated noise holds fewer independent samples (Bartlett's factor for two AR(1) processes); a negative value
    # of the residual is mostly the fit's own doing.
    persistence = np.vdot(residual[1:], residual[:-1]) / noise.sum() if noise.any() else 0.0
    shared = np.maximum(_lag_one(design), 0) * max(float(persistence), 0.0)
    return RunMaps(maps, noise / degrees, np.diag(inverse) * (1 + shared) / (1 - shared))


def _lag_one(series: Float[np.ndarray, "time component"]) -> Float[np.ndarray, " component"]:
    """Return the autocorrelation of centred series at a lag of one volume."""
    return np.asarray((series[1:] * series[:-1]).sum(axis=0) / np.square(series).sum(axis=0))
