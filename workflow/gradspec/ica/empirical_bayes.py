r"""Maps of one run, drawn towards those of many people as far as they are uncertain: empirical Bayes.

The maps of one run are noisy: dual regression (`gradspec.ica.participant`) gives :math:`b_k(v) = \beta_k(v) + e`, where
the sampling variance :math:`\sigma^2` of :math:`e` is known. With :math:`\beta_k(v) \sim N(\mu_k(v), \tau_k^2(v))`
over people, the posterior mean

.. math:: \hat\beta = \mu + \frac{\tau^2}{\tau^2 + \sigma^2}\,(b - \mu)

is nearer to the truth: `MapPrior.shrink`, the diagonal case. Template ICA (Mejia et al. 2020, JASA 115:1151) keeps the
same prior but a common model for all components of a voxel, and estimates mixing and noise with them: `template_ica`.

The mean and the variance over people come from the cohort itself. A participant's map thus depends on the others a
little, on test participants too, unless the prior is gathered from training participants alone (in the workflow:
``ica.per_fold``); GIG-ICA needs nobody else. Time courses of the diagonal case are those of dual regression and depend
on the group maps only.
"""

import logging
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gradspec.errors import ParticipantError
from gradspec.ica.participant import RunMaps

logger = logging.getLogger(__name__)

_TINY = float(np.finfo(np.float32).tiny)
_SMALLEST_VARIANCE = 1e-4  # of a map's largest variance: a prior of variance zero would never learn
_BLOCK = 2048  # voxels whose posterior covariances are in memory at a time
_CONVERGED = 1e-3  # relative change of the mixing that ends the iterations
_MOST_ITERATIONS = 30


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
        weight = variance / (variance + np.maximum(np.outer(run.leverage, run.noise), _TINY))
        return np.asarray((self.mean + weight * (run.maps - self.mean)).astype(np.float32))


@dataclass(frozen=True)
class TemplateComponents:
    """What template ICA finds in a run.

    Attributes
    ----------
    maps : array, (component, voxel)
        Posterior mean of each map, in standard deviations of a voxel for one of the time course.
    timecourses : array, (time, component)
        Mixing, centred and of unit variance.
    noise : float
        Variance of what the components do not explain.
    converged : bool
        Whether the mixing came to rest.
    """

    maps: Float[np.ndarray, "component voxel"]
    timecourses: Float[np.ndarray, "time component"]
    noise: float
    converged: bool


def template_ica(
    signal: Float[np.ndarray, "time voxel"],
    timecourses: Float[np.ndarray, "time component"],
    mean: Float[np.ndarray, "component voxel"],
    variance: Float[np.ndarray, "component voxel"],
) -> TemplateComponents:
    r"""Estimate maps, mixing and noise of a run by expectation and maximisation.

    The model of voxel :math:`v` is :math:`y(v) = A s(v) + e`, :math:`e \sim N(0, \nu^2 I)`,
    :math:`s_k(v) \sim N(\mu_k(v), \tau_k^2(v))` (Mejia et al. 2020, equations 1 and 2, without their reduction of
    dimension). With :math:`D_v = \mathrm{diag}(\tau^2(v))` the posterior of :math:`s(v)` has covariance
    :math:`\Sigma_v = (A^\top A / \nu^2 + D_v^{-1})^{-1}` and mean
    :math:`\Sigma_v (A^\top y(v) / \nu^2 + D_v^{-1} \mu(v))`; then
    :math:`A = (\sum_v y s^\top) (\sum_v E[s s^\top])^{-1}`, and :math:`\nu^2` is the mean square that is left. Columns
    of :math:`A` keep unit variance, the scale of the prior.

    Parameters
    ----------
    signal : array, (time, voxel)
        Prepared run.
    timecourses : array, (time, component)
        Where the mixing starts, from dual regression.
    mean, variance : array, (component, voxel)
        Prior of the maps, on the scale of `gradspec.ica.participant.temporal_regression`.

    Returns
    -------
    TemplateComponents
        Maps, time courses and noise.

    Raises
    ------
    ParticipantError
        If the time courses become dependent on each other.
    """
    precision = 1 / np.maximum(variance, _SMALLEST_VARIANCE * max(float(variance.max()), _TINY))
    mixing = _standardised(timecourses)
    power = float(np.vdot(signal, signal))
    residual = signal - mixing.astype(signal.dtype) @ mean.astype(signal.dtype)
    noise = float(np.vdot(residual, residual)) / signal.size
    del residual
    maps = mean
    converged = False
    for _ in range(_MOST_ITERATIONS):
        maps, second = _expect(signal, mixing, noise, mean, precision)
        product = (signal @ maps.T.astype(signal.dtype)).astype(np.float64)
        try:
            updated = np.linalg.solve(second, product.T).T
        except np.linalg.LinAlgError:
            raise ParticipantError(
                "template ICA: the maps depend on each other (singular covariance); take fewer components"
            ) from None
        # Σ |y - A s|² = Σ y'y - 2 tr(A' Σ y s') + tr(A'A Σ s s')
        left = power - 2 * np.vdot(updated, product) + np.vdot(updated.T @ updated, second)
        noise = max(float(left) / signal.size, _TINY)
        updated = _standardised(updated)
        change = np.linalg.norm(updated - mixing) / np.linalg.norm(mixing)
        mixing = updated
        if converged := bool(change < _CONVERGED):
            break
    else:
        logger.info("template ICA: the mixing still changes after %d iterations", _MOST_ITERATIONS)
    maps, _ = _expect(signal, mixing, noise, mean, precision)
    return TemplateComponents(maps.astype(np.float32), mixing, noise, converged)


def _expect(
    signal: Float[np.ndarray, "time voxel"],
    mixing: Float[np.ndarray, "time component"],
    noise: float,
    mean: Float[np.ndarray, "component voxel"],
    precision: Float[np.ndarray, "component voxel"],
) -> tuple[Float[np.ndarray, "component voxel"], Float[np.ndarray, "component component"]]:
    """Return the posterior means of all voxels, and the sum over voxels of E[s s']."""
    gram = mixing.T @ mixing / noise
    evidence = (mixing.T.astype(signal.dtype) @ signal).astype(np.float64) / noise + precision * mean
    maps = np.empty_like(evidence)
    spread = np.zeros_like(gram)
    diagonal = np.arange(len(gram))
    for first in range(0, signal.shape[1], _BLOCK):
        block = slice(first, first + _BLOCK)
        inverse = np.repeat(gram[None], evidence[:, block].shape[1], axis=0)
        inverse[:, diagonal, diagonal] += precision[:, block].T
        covariance = np.linalg.inv(inverse)
        maps[:, block] = np.einsum("vij,jv->iv", covariance, evidence[:, block])
        spread += covariance.sum(axis=0)
    return maps, spread + maps @ maps.T


def _standardised(timecourses: Float[np.ndarray, "time component"]) -> Float[np.ndarray, "time component"]:
    """Centre time courses and scale them to unit variance."""
    centred = timecourses - timecourses.mean(axis=0)
    deviation = centred.std(axis=0)
    if not (deviation > 0).all():
        raise ParticipantError("a time course is constant, so that no map can be estimated; take fewer components")
    return np.asarray(centred / deviation)
