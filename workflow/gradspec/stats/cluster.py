r"""Cluster tests of trajectories: in which stretch of training two groups differ, without a test an epoch.

Neighbouring epochs whose t exceeds a threshold form a cluster, and its mass is the sum of their :math:`|t|` (Maris and
Oostenveld 2007). The mass is compared with that of the largest cluster in draws without a difference, so that all
epochs count as one test. Draws come from whatever is exchangeable:

`sign_flips`
    turns the sign of the whole trajectory of a run, for runs that share nothing: other cohorts, or people.
`jackknife_draws`
    for folds, which share most of their participants, so that their trajectories err together, and a flipped run does
    not look like an unflipped one. With :math:`g_{rk}` standard normal, and W the mean square within repeats as in
    `noise_corrected_jackknife`,

    .. math::
        t^*_e = \frac{1}{\sqrt{\chi^2_\nu / \nu}} \sum_{rk} g_{rk}
                \frac{d_{rke} - \bar d_{re}}{\sqrt{R (K - 1) W_e}}

    has in each epoch the distribution of that test's t, and over epochs the correlation that the folds show (a
    multiplier bootstrap, Chernozhukov et al. 2013, of the delete-fold jackknife).
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from gradspec.stats.noise_corrected_jackknife import within_df
from gradspec.stats.permutation import permutation_p

Statistics = Float[np.ndarray, "epoch *test"]
Draws = Float[np.ndarray, "draw epoch *test"]


class Cluster(NamedTuple):
    """A stretch of epochs in which the groups differ in one direction.

    Attributes
    ----------
    start, stop : int
        Index of its first epoch, and of the one after its last.
    mass : float
        Sum of t over its epochs, with the sign of t.
    """

    start: int
    stop: int
    mass: float


def find_clusters(statistics: Float[np.ndarray, "epoch"], threshold: float) -> list[Cluster]:
    """Find the stretches of one sign with :math:`|t|` above the threshold; an undefined epoch ends a stretch.

    Parameters
    ----------
    statistics : array, shape (epoch,)
        t of each epoch.
    threshold : float
        Smallest magnitude of t that belongs to a cluster.

    Returns
    -------
    list of Cluster
        In their order in time.
    """
    sign = _signs(statistics, threshold)
    edges = np.flatnonzero(np.diff(sign, prepend=0, append=0))
    return [
        Cluster(int(start), int(stop), float(statistics[start:stop].sum()))
        for start, stop in pairwise(edges)
        if sign[start]
    ]


def largest_mass(draws: Draws, threshold: float) -> Float[np.ndarray, "draw *test"]:
    """Magnitude of the mass of the largest cluster in each draw and test; 0 where there is none.

    Parameters
    ----------
    draws : array, shape (draw, epoch, …)
        t of each epoch.
    threshold : float
        As for `find_clusters`, of which this is the largest :math:`|mass|`.

    Returns
    -------
    array, shape (draw, …)
        Largest masses.
    """
    signs = _signs(draws, threshold)
    mass = np.zeros(draws[:, 0].shape)
    largest, before = mass, np.zeros(mass.shape, dtype=int)
    for t, sign in zip(np.moveaxis(draws, 1, 0), np.moveaxis(signs, 1, 0), strict=True):
        mass = np.where(sign == 0, 0.0, np.abs(t) + np.where(sign == before, mass, 0.0))
        largest, before = np.fmax(largest, mass), sign
    return largest


def cluster_p(clusters: list[Cluster], largest: Float[np.ndarray, "draw"]) -> Float[np.ndarray, "cluster"]:
    """P-value of each cluster: how often a draw without a difference has a cluster as large.

    Parameters
    ----------
    clusters : list of Cluster
        Those of a trajectory.
    largest : array, shape (draw,)
        Largest mass of each draw: of the same trajectory, or, to correct for many, the largest of all of them.

    Returns
    -------
    array, shape (cluster,)
        Corrected for all epochs, or for all epochs of all trajectories.
    """
    return permutation_p(
        np.array([cluster.mass for cluster in clusters]), np.repeat(largest[:, None], len(clusters), 1)
    )


def sign_flips(differences: Float[np.ndarray, "run epoch *test"], n_draws: int, rng: np.random.Generator) -> Draws:
    """Draw t of every epoch with the signs of runs flipped at random, for runs that are independent.

    Parameters
    ----------
    differences : array, shape (run, epoch, …)
        Paired differences of the groups.
    n_draws : int
        Number of draws.
    rng : Generator
        Source of the signs.

    Returns
    -------
    array, shape (draw, epoch, …)
        t of the ordinary paired t-test.

    References
    ----------
    Maris and Oostenveld 2007, J Neurosci Methods 164:177, section 3.2 (within-subject designs).
    """
    n_runs = len(differences)
    signs = rng.choice([-1.0, 1.0], size=(n_draws, n_runs))
    mean = np.einsum("dr,r...->d...", signs, differences) / n_runs
    square = np.square(differences).mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        statistics: Draws = mean / np.sqrt((square - np.square(mean)) / (n_runs - 1))
    return statistics


def jackknife_draws(
    differences: Float[np.ndarray, "repeat fold epoch *test"],
    n_participants: int,
    n_draws: int,
    rng: np.random.Generator,
    *,
    one_partition: bool = False,
) -> Draws:
    """Draw t of every epoch as the jackknife would give it without a difference.

    Parameters
    ----------
    differences : array, shape (repeat, fold, epoch, …)
        Paired differences of the groups in the runs of a repeated cross-validation.
    n_participants : int
        Participants of the cohort, of both groups.
    n_draws : int
        Number of draws.
    rng : Generator
        Source of the multipliers.
    one_partition : bool
        Whether all repeats leave out the same folds, as sites are; these are then drawn, not the runs.

    Returns
    -------
    array, shape (draw, epoch, …)
        t; in each epoch Student's with the degrees of freedom of `noise_corrected_jackknife_t_test`.
    """
    n_repeats, n_folds = differences.shape[:2]
    if one_partition:  # a multiplier a fold, which its repeats share
        differences = differences.mean(axis=0, keepdims=True)
        n_repeats = 1
    df = within_df(n_repeats, n_folds, n_participants)
    deviations = differences - differences.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        deviations = deviations / np.sqrt(np.square(deviations).sum(axis=(0, 1)))
    multipliers = rng.standard_normal((n_draws, n_repeats, n_folds))
    multipliers /= np.sqrt(rng.chisquare(df, size=(n_draws, 1, 1)) / df)
    statistics: Draws = np.einsum("drk,rk...->d...", multipliers, deviations)
    return statistics


def _signs(statistics: Float[np.ndarray, "*shape"], threshold: float) -> Int[np.ndarray, "*shape"]:
    """Sign of what exceeds the threshold, 0 of what does not or is undefined."""
    exceeds = np.nan_to_num(np.abs(statistics), nan=0.0) > threshold
    return np.where(exceeds, np.sign(np.nan_to_num(statistics)), 0).astype(int)
