"""The mixed model of trajectories by brute force: restricted likelihood of dense matrices on a grid that closes in."""

import itertools

import numpy as np

_POINTS, _SHRINK, _NARROWEST = 5, 0.7, 1e-5


def fit_on_a_grid(differences, defined):
    """Estimates and standard errors of level and slope, where the restricted likelihood of the differences is largest.

    The covariance of the epochs of a run is ``noise * (X psi X' + I)``, of which the whole must be positive definite,
    not psi. The three entries of psi are searched on a grid of 5 points each, which moves to the best one and closes in
    where that is its middle; the noise follows from them.
    """
    time = np.linspace(-0.5, 0.5, differences.shape[1])
    runs = [
        (values[here], np.column_stack([np.ones(here.sum()), time[here]]))
        for values, here in zip(differences, defined, strict=True)
    ]
    steps = np.array(list(itertools.product(np.linspace(-1, 1, _POINTS), repeat=3)))
    centre, width, best = np.zeros(3), 4.0, -np.inf
    while width > _NARROWEST:
        candidates = centre + width * steps * [1, 2, 4]
        likelihood, _, _ = restricted_likelihood(runs, candidates)
        if likelihood.max() > best + 1e-11:
            best, centre = likelihood.max(), candidates[likelihood.argmax()]
        else:
            width *= _SHRINK
    _, estimate, error = restricted_likelihood(runs, centre[None])
    return estimate[0], error[0]


def restricted_likelihood(runs, variances):
    """Logarithm of it for many psi (level, covariance, slope) at once; estimates and errors beside it."""
    level, both, slope = variances.T
    psi = np.stack([level, both, both, slope], axis=-1).reshape(-1, 2, 2)
    information, weighted = np.zeros((len(psi), 2, 2)), np.zeros((len(psi), 2))
    square, likelihood, possible = np.zeros(len(psi)), np.zeros(len(psi)), np.ones(len(psi), bool)
    for design in {design.tobytes(): design for _, design in runs}.values():
        of_design = np.array([values for values, other in runs if np.array_equal(design, other)])
        covariance = design @ psi @ design.T + np.eye(len(design))
        possible &= np.linalg.eigvalsh(covariance)[:, 0] > 1e-9
        covariance[~possible] = np.eye(len(design))
        precision = np.linalg.inv(covariance)
        information += len(of_design) * design.T @ precision @ design
        weighted += design.T @ precision @ of_design.sum(axis=0)
        square += np.einsum("re,kef,rf->k", of_design, precision, of_design, optimize=True)
        likelihood -= len(of_design) * np.linalg.slogdet(covariance)[1] / 2
    estimate = np.linalg.solve(information, weighted[..., None])[..., 0]
    df = sum(len(values) for values, _ in runs) - 2
    noise = (square - (weighted * estimate).sum(axis=1)) / df
    likelihood -= np.linalg.slogdet(information)[1] / 2 + df * np.log(noise) / 2
    error = np.sqrt(noise[:, None] * np.einsum("kee->ke", np.linalg.inv(information)))
    return np.where(possible, likelihood, -np.inf), estimate, error
