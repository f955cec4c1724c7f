r"""From the group back to a participant: time courses by dual regression, maps by empirical Bayes.

Dual regression (Beckmann et al. 2009; Nickerson et al. 2017, Front. Neurosci. 11:115) regresses the volumes of a run on
the group maps, which gives time courses, and then the voxels on these, which gives maps :math:`b`. The maps of one run
are noisy: :math:`b_k(v) = \beta_k(v) + e`, where the sampling variance of :math:`e` is known from the regression, with
Bartlett's correction for autocorrelation (Afyouni et al. 2019, NeuroImage 199:609). With :math:`\beta_k(v) \sim
N(\mu_k(v), \tau_k^2(v))` over the group, the posterior mean

.. math:: \hat\beta = \mu + \frac{\tau^2}{\tau^2 + \sigma^2}\,(b - \mu)

is nearer to the truth (the diagonal case of template ICA: Mejia et al. 2020, JASA 115:1151, with the template from the
cohort itself). The time courses stay those of dual regression.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gradspec.errors import ParticipantError


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
    """
    gram = (components @ components.T).astype(np.float64)
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


class MapPrior:
    """Mean and variance over the group of each component's maps, gathered run by run."""

    def __init__(self) -> None:
        self._n = 0
        self._mean = self._squares = self._noise = np.zeros(())

    def add(self, run: RunMaps) -> None:
        """Take the maps of one more run into account (Welford's update)."""
        self._n += 1
        change = run.maps - self._mean
        self._mean = self._mean + change / self._n
        self._squares = self._squares + change * (run.maps - self._mean)
        self._noise = self._noise + np.outer(run.leverage, run.noise)

    @property
    def mean(self) -> Float[np.ndarray, "component voxel"]:
        """Mean map of each component."""
        return self._mean

    @property
    def variance(self) -> Float[np.ndarray, "component voxel"]:
        """Variance between runs beyond their sampling variance; zero where there is none."""
        if self._n < 2:
            raise ValueError("the variance between runs needs at least two of them")
        return np.asarray(np.maximum(self._squares / (self._n - 1) - self._noise / self._n, 0))

    def shrink(self, run: RunMaps) -> Float[np.ndarray, "component voxel"]:
        """Return the posterior mean of a run's maps.

        Parameters
        ----------
        run : RunMaps
            Maps of dual regression.

        Returns
        -------
        array, (component, voxel)
            Maps drawn towards the mean of the group where they are less certain than people differ.
        """
        variance = self.variance
        weight = variance / (variance + np.maximum(np.outer(run.leverage, run.noise), np.finfo(np.float32).tiny))
        return np.asarray((self.mean + weight * (run.maps - self.mean)).astype(np.float32))
