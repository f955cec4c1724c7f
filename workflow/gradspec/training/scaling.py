"""Scaling of the inputs, without a look at the test participants."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from gradspec.training.samples import Samples

# A constant leaves at most this share of its own size when its standard deviation is taken in single precision.
_CONSTANT = 1e-6


def scale(
    samples: Samples, train: Bool[np.ndarray, "sample"]
) -> tuple[Float[np.ndarray, "sample ..."], dict[str, Any]]:
    """Scale the values of all samples as their kind asks for.

    Parameters
    ----------
    samples : Samples
        The whole cohort.
    train : array of bool
        Which samples are trained on; for vectors and maps, mean and standard deviation are theirs.

    Returns
    -------
    values : array, float32
        Scaled values of every sample.
    scaling : dict
        What was done, for the record.
    """
    if samples.kind == "timecourses":
        values = standardize_timecourses(samples.values)
        return values, {"method": "z-score of each run and component over time", "fitted_on": "each run by itself"}
    values, n_constant = standardize_features(samples.values, train)
    return values, {
        "method": "z-score of each feature",
        "fitted_on": "training samples",
        "n_constant_features": n_constant,
    }


def standardize_timecourses(
    timecourses: Float[np.ndarray, "sample time component"],
) -> Float[np.ndarray, "sample time component"]:
    """Bring each time course to zero mean and unit standard deviation; constant ones become zeros."""
    return _standardize(timecourses, timecourses, axis=1)[0]


def standardize_features(
    features: Float[np.ndarray, "sample ..."], train: Bool[np.ndarray, "sample"]
) -> tuple[Float[np.ndarray, "sample ..."], int]:
    """Subtract the training samples' mean of each feature and divide by their standard deviation.

    Parameters
    ----------
    features : array
        Features of all samples.
    train : array of bool
        The samples that mean and standard deviation are taken of.

    Returns
    -------
    scaled : array, float32
        Features that are constant over the training samples are zero in all samples.
    n_constant : int
        Number of such features.
    """
    return _standardize(features, features[train], axis=0)


def _standardize(values: np.ndarray, reference: np.ndarray, axis: int) -> tuple[np.ndarray, int]:
    """z-score `values` with mean and standard deviation of `reference` along `axis`."""
    mean = reference.mean(axis=axis, keepdims=True, dtype=np.float64)
    deviation = reference.std(axis=axis, keepdims=True, dtype=np.float64)
    constant = deviation <= _CONSTANT * np.abs(reference).max(axis=axis, keepdims=True)
    divisor = np.where(constant, 1.0, deviation)
    scaled = np.empty(values.shape, dtype=np.float32)
    of_samples = (np.broadcast_to(each, (len(values), *each.shape[1:])) for each in (mean, divisor, constant))
    for row, sample, centre, spread, still in zip(scaled, values, *of_samples, strict=True):
        # A sample at a time, for maps are large in double precision.
        row[:] = np.where(still, 0.0, (sample - centre) / spread)
    return scaled, int(constant.sum())
