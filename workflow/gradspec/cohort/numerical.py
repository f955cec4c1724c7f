"""Data made on the fly, for studies of the method itself: Gaussian mixtures and noisy sinusoids.

Read when the workflow is planned, so numpy is imported only where numbers are made.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from jaxtyping import Float, Int

REPETITION_TIME = 1.0
"""Time between the samples of a sinusoid, in seconds."""

LOWEST, HIGHEST = 0.02, 0.08
"""Frequencies of the sinusoids of the reference group, in hertz."""


def numerical_participants(n_samples: int, levels: Sequence[str]) -> dict[str, str]:
    """Name the samples and give each its group.

    Parameters
    ----------
    n_samples : int
        Number of samples.
    levels : sequence of str
        The two groups, taken in turn.

    Returns
    -------
    dict
        Group by id, ``sub-001`` and so on.
    """
    width = max(3, len(str(n_samples)))
    return {f"sub-{index + 1:0{width}d}": levels[index % 2] for index in range(n_samples)}


def gaussian_mixture(
    group: "Int[np.ndarray, ' sample']", n_features: int, separation: float, seed: int
) -> "Float[np.ndarray, 'sample feature']":
    r"""Draw feature vectors, each group from a mixture of two Gaussians with unit noise.

    With orthonormal random directions :math:`u, v`, group :math:`g \in \{0, 1\}` and a random sign :math:`s`,

    .. math:: x = (g - 1/2)\, d\, u + 2 s v + \epsilon, \qquad \epsilon \sim N(0, I),

    so that the groups are :math:`d` standard deviations apart and :math:`v` says nothing of them.

    Parameters
    ----------
    group : ndarray of shape (sample,)
        0 or 1.
    n_features : int
        Length of a vector.
    separation : float
        Distance :math:`d`.
    seed : int
        Seed of the cohort.

    Returns
    -------
    ndarray of shape (sample, feature)
    """
    import numpy as np

    rng = np.random.default_rng([seed, 1])
    directions = np.linalg.qr(rng.standard_normal((n_features, 2)))[0]
    sign = rng.choice([-1.0, 1.0], size=len(group))
    noise = rng.standard_normal((len(group), n_features))
    along = np.column_stack([(group - 0.5) * separation, 2 * sign])
    values: np.ndarray = along @ directions.T + noise
    return values


def sinusoids(
    group: "Int[np.ndarray, ' sample']", n_series: int, n_volumes: int, separation: float, seed: int
) -> "Float[np.ndarray, 'sample time series']":
    r"""Draw series of noisy sinusoids whose frequencies differ between the groups.

    Series :math:`i` of a sample of group :math:`g \in \{0, 1\}` is

    .. math:: x_i(t) = \sqrt 2 \sin(2 \pi f_i (1 + g d) t + \phi_i) + \epsilon, \qquad \epsilon \sim N(0, 1),

    with :math:`f_i` evenly spaced between 0.02 and 0.08 Hz and a random phase; signal and noise have equal power.

    Parameters
    ----------
    group : ndarray of shape (sample,)
        0 or 1.
    n_series, n_volumes : int
        Number and length of the series.
    separation : float
        Relative difference :math:`d` of the frequencies.
    seed : int
        Seed of the cohort.

    Returns
    -------
    ndarray of shape (sample, time, series)
    """
    import numpy as np

    rng = np.random.default_rng([seed, 2])
    frequency = np.linspace(LOWEST, HIGHEST, n_series) * (1 + separation * group[:, None])
    phase = rng.uniform(0, 2 * np.pi, size=(len(group), n_series))
    time = np.arange(n_volumes) * REPETITION_TIME
    signal = np.sqrt(2) * np.sin(2 * np.pi * frequency[:, None, :] * time[:, None] + phase[:, None, :])
    values: np.ndarray = signal + rng.standard_normal(signal.shape)
    return values


def numerical_features(participants: Sequence[str], cohort: Mapping[str, Any], seed: int) -> "xr.Dataset":
    """Draw the feature vectors of the cohort; a sample is the same whoever else takes part.

    Parameters
    ----------
    participants : sequence of str
        Ids that are wanted.
    cohort : mapping
        The section ``cohort`` of the configuration.
    seed : int
        Seed of the workflow.

    Returns
    -------
    Dataset
        Variable ``features`` (participant, feature).
    """
    from gradspec.cohort.datasets import features_dataset, numbered

    section = cohort["numerical"]
    ids, wanted, group = _choose(participants, cohort)
    values = gaussian_mixture(group, section["n_features"], section["separation"], seed)[wanted]
    return features_dataset(values, ids, numbered("feature", values.shape[1]))


def numerical_timecourses(participants: Sequence[str], cohort: Mapping[str, Any], seed: int) -> "xr.Dataset":
    """Draw the series of the cohort; parameters as for `numerical_features`.

    Returns
    -------
    Dataset
        Variable ``timecourses`` (participant, time, component).
    """
    from gradspec.cohort.datasets import numbered, timecourses_dataset

    section = cohort["numerical"]
    ids, wanted, group = _choose(participants, cohort)
    series = sinusoids(group, section["n_features"], section["n_volumes"], section["separation"], seed)[wanted]
    return timecourses_dataset(series, ids, [""] * len(ids), numbered("series", series.shape[2]), REPETITION_TIME)


def _choose(
    participants: Sequence[str], cohort: Mapping[str, Any]
) -> "tuple[list[str], np.ndarray, Int[np.ndarray, ' sample']]":
    """Return the ids that are wanted, where they are among all samples, and the group (0 or 1) of all."""
    import numpy as np

    levels = cohort["group"]["levels"]
    everybody = numerical_participants(cohort["numerical"]["n_samples"], levels)
    wanted = np.isin(list(everybody), list(participants))
    ids = [who for who, is_wanted in zip(everybody, wanted, strict=True) if is_wanted]
    return ids, wanted, np.array([levels.index(level) for level in everybody.values()])
