"""What the simulated networks do: connectivity of the groups and of a participant, and time courses that obey it."""

from math import gamma

import numpy as np
from jaxtyping import Float
from scipy import signal

_STEP_S = 0.5  # finest step of the neural events
_RESPONSE_S = 32.0  # length of the haemodynamic response
_STRENGTH = 0.8  # of the correlation in the reference group, relative to that of the two-factor model
_INDIVIDUAL_DF = 120  # the larger, the more alike the participants of a group


def group_connectivity(
    n_networks: int, effect: float, rng: np.random.Generator
) -> Float[np.ndarray, "2 network network"]:
    r"""Draw the population correlation matrices of the two groups.

    The reference group has :math:`C = \tfrac15 I + \tfrac45 M`, with :math:`M` the correlation matrix of a two-factor
    model. The comparison group has lost a share of every correlation, as patients with schizophrenia are said to
    (Friston and Frith 1995, Clinical Neuroscience 3:89-97). Both are positive definite, whatever the share.

    A group whose connectivity is weaker throughout is one whose samples point into other directions than those of the
    reference group, and more evenly. A mere shift, upwards in some pairs and downwards in others, tells the groups
    apart as well, but moves the gradients of both by as much, in opposite directions, and leaves their spectra alike.

    Parameters
    ----------
    n_networks : int
        Number of networks.
    effect : float
        Share of the correlation that the comparison group has lost, between 0 and 1.
    rng : Generator
        Source of randomness.

    Returns
    -------
    array, shape (2, network, network)
        The reference group's matrix, then the other's.
    """
    loadings = rng.standard_normal((n_networks, 2))
    factors = _to_correlation(loadings @ loadings.T + 0.5 * np.eye(n_networks))
    strengths = _STRENGTH * np.array([1.0, 1.0 - effect])[:, np.newaxis, np.newaxis]
    return np.asarray((1.0 - strengths) * np.eye(n_networks) + strengths * factors)


def individual_connectivity(
    population: Float[np.ndarray, "network network"], rng: np.random.Generator
) -> Float[np.ndarray, "network network"]:
    """Draw a participant's correlation matrix about that of the group, from a Wishart distribution."""
    root = np.linalg.cholesky(population)
    draws = root @ rng.standard_normal((len(population), _INDIVIDUAL_DF))
    return _to_correlation(draws @ draws.T)


def haemodynamic_response(step: float) -> Float[np.ndarray, "time"]:
    """Canonical response of the BOLD signal to a neural event.

    Difference of two gamma densities with peaks near 5 and 15 s, as in SPM (Friston et al. 1998, NeuroImage 7:30-40).

    Parameters
    ----------
    step : float
        Time between samples, in seconds.

    Returns
    -------
    array, shape (time,)
        The response, scaled so that white events of unit variance give a course of unit variance.
    """
    time = np.arange(0.0, _RESPONSE_S, step)
    response = time**5 * np.exp(-time) / gamma(6) - time**15 * np.exp(-time) / gamma(16) / 6.0
    return np.asarray(response / np.sqrt(np.sum(response**2)))


def network_timecourses(
    connectivity: Float[np.ndarray, "network network"], n_volumes: int, repetition_time: float, rng: np.random.Generator
) -> Float[np.ndarray, "time network"]:
    """Draw the BOLD time courses of the networks.

    White neural events with the given correlation are convolved with the haemodynamic response; since all networks
    share one response, the courses have the same correlation, and unit variance.

    Parameters
    ----------
    connectivity : array, shape (network, network)
        Correlation matrix, positive definite.
    n_volumes : int
        Number of volumes.
    repetition_time : float
        Time between volumes, in seconds.
    rng : Generator
        Source of randomness.

    Returns
    -------
    array, shape (time, network)
        Courses of unit variance in the population.
    """
    steps_per_volume = int(np.ceil(repetition_time / _STEP_S))
    response = haemodynamic_response(repetition_time / steps_per_volume)
    n_steps = (n_volumes - 1) * steps_per_volume + len(response)
    events = rng.standard_normal((n_steps, len(connectivity))) @ np.linalg.cholesky(connectivity).T
    courses = signal.fftconvolve(events, response[:, np.newaxis], mode="valid", axes=0)
    return np.asarray(courses[::steps_per_volume])


def nuisance_timecourses(
    n_volumes: int, repetition_time: float, rng: np.random.Generator
) -> dict[str, Float[np.ndarray, "time"]]:
    """Draw the courses of what is not neural; each has a standard deviation of about one.

    Parameters
    ----------
    n_volumes : int
        Number of volumes.
    repetition_time : float
        Time between volumes, in seconds.
    rng : Generator
        Source of randomness.

    Returns
    -------
    dict
        ``pulsation``: the heart beat (about 1.1 Hz, its rate wandering) as the slow sampling shows it;
        ``respiration``: breathing (about 0.28 Hz) and slow changes of its depth;
        ``drift_linear``, ``drift_curved``: the scanner warming up.
    """
    time = np.arange(n_volumes) * repetition_time
    position = np.linspace(-1.0, 1.0, n_volumes)
    depth = network_timecourses(np.eye(1), n_volumes, repetition_time, rng)[:, 0]
    return {
        "pulsation": np.sqrt(2.0) * np.sin(_phase(time, 1.1, 0.05, rng)),
        "respiration": (depth + np.sin(_phase(time, 0.28, 0.02, rng))) / np.sqrt(1.5),
        "drift_linear": np.sqrt(3.0) * position,
        "drift_curved": np.sqrt(2.0) * np.cos(np.pi * position),
    }


def _phase(
    time: Float[np.ndarray, "time"], frequency: float, spread: float, rng: np.random.Generator
) -> Float[np.ndarray, "time"]:
    """Phase of an oscillation whose frequency (Hz) differs between people and wanders."""
    wandering = frequency + spread * (rng.standard_normal() + rng.standard_normal(len(time)))
    step = np.diff(time, prepend=time[0])
    return np.asarray(2.0 * np.pi * (rng.uniform() + np.cumsum(wandering * step)))


def _to_correlation(covariance: Float[np.ndarray, "network network"]) -> Float[np.ndarray, "network network"]:
    """Scale a covariance matrix to ones on the diagonal."""
    scale = 1.0 / np.sqrt(covariance.diagonal())
    correlation = covariance * np.outer(scale, scale)
    np.fill_diagonal(correlation, 1.0)
    return np.asarray(correlation)
