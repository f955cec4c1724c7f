r"""Permutation of group labels: what the features would be if the groups were drawn by lot.

Labels are permuted over *participants*, and everything else stays. Where the recorder kept its Gram matrices, the
spectra of the permuted groups follow from the same training (`permute_by_regrouping`); the gold standard is to train
again under each permutation and hand the results to `permutation_p`.

Regrouping is exact where labels are exchangeable given the training: the target of training, and the draw of batches,
must not depend on the grouping. Sex or site of networks that learn a diagnosis qualify; the diagnosis itself does not,
since its gradients differ by construction (p − y), and batches that hold equally many of both groups do so for the
true labels only. Then train again.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from gradspec.training.permutations import permute_labels

if TYPE_CHECKING:
    import xarray as xr

    from gradspec.capture import SpectraRecorder


def permutation_p(
    observed: Float[np.ndarray, "*test"], permuted: Float[np.ndarray, "permutation *test"]
) -> Float[np.ndarray, "*test"]:
    r"""Two-sided p-value of statistics among those of permutations, which the observed labels count among.

    Parameters
    ----------
    observed : array
        Statistic of each test, with zero for no difference.
    permuted : array, shape (permutation, …)
        The same under permuted labels.

    Returns
    -------
    array
        :math:`(1 + \#\{|T^*| \ge |T|\}) / (1 + \text{permutations})`; never 0, and NaN where T is undefined.

    References
    ----------
    Phipson and Smyth 2010, "Permutation p-values should never be zero", equation 2.
    """
    # Equal arrangements give equal statistics but for rounding, which must not decide.
    as_large = np.abs(permuted) >= np.abs(observed) * (1 - 1e-12)
    p_values = (1 + as_large.sum(axis=0)) / (1 + len(permuted))
    return np.where(np.isnan(observed), np.nan, p_values)


def max_permutation_p(
    observed: Float[np.ndarray, "test"], permuted: Float[np.ndarray, "permutation test"]
) -> Float[np.ndarray, "test"]:
    """P-values corrected for all tests: against the largest statistic of each permutation.

    Parameters
    ----------
    observed : array, shape (test,)
        Statistics in a common unit, such as t.
    permuted : array, shape (permutation, test)
        The same under permuted labels.

    Returns
    -------
    array, shape (test,)
        The chance of any false discovery in the family is at most the level.

    References
    ----------
    Westfall and Young 1993, "Resampling-based multiple testing", single-step maxT.
    """
    largest = np.nanmax(np.abs(permuted), axis=1)
    return permutation_p(observed, np.repeat(largest[:, None], len(observed), axis=1))


def permute_by_regrouping(
    recorder: "SpectraRecorder",
    statistic: "Callable[[xr.DataTree], Float[np.ndarray, 'test']]",
    labels: Int[np.ndarray, "participant"],
    groups: Sequence[str],
    *,
    n_permutations: int,
    seed: int,
    strata: Int[np.ndarray, "participant"] | None = None,
) -> tuple[Float[np.ndarray, "test"], Float[np.ndarray, "permutation test"]]:
    """Statistics of the groups, and of groups drawn by lot, from the steps that a recorder kept.

    Parameters
    ----------
    recorder : SpectraRecorder
        Made with ``keep_grams``, and told by ``step(…, samples=…)`` which participants each step saw.
    statistic : callable
        Statistics of the spectra of a grouping.
    labels : array of int, shape (participant,)
        Group of each sample of the data set; one sample a participant.
    groups : sequence of str
        Names of the groups.
    n_permutations : int
        Number of permutations.
    seed : int
        Seed of the permutations.
    strata : array of int, optional
        Labels are exchanged only within a stratum.

    Returns
    -------
    array, shape (test,)
        Statistics under the labels.
    array, shape (permutation, test)
        Statistics under permuted labels; `permutation_p` takes both.

    Raises
    ------
    CaptureError
        If the recorder kept no step, or does not know the samples.
    """
    import torch

    permutations = permute_labels(labels, n_permutations, np.random.default_rng(seed), strata)
    observed, *permuted = (
        statistic(recorder.regroup(torch.as_tensor(one), groups)) for one in (np.asarray(labels), *permutations)
    )
    return observed, np.stack(permuted)
