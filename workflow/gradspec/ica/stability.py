"""How well the random starts of a decomposition agree (ICASSO: Himberg, Hyvärinen & Esposito 2004, NeuroImage 22:1214).

Components of all starts are clustered by the absolute correlation of their maps (average linkage) into as many clusters
as a start has components. A cluster that is tight, and far from all others, is a component that does not depend on the
start. The decomposition that is kept is the start that agrees best with the centres of the clusters: unlike the centres
themselves it is one solution, its components fit together. Starts may also differ in the voxels they see (bootstrap).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.cluster.hierarchy import average, cut_tree
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import squareform

_ALIKE = 1e-6  # difference of similarity between starts that stopped at the same solution, a component

RESAMPLINGS = ("starts", "bootstrap", "both")


def is_bootstrap(start: int, resampling: str) -> bool:
    """Say whether a start decomposes a bootstrap sample of the voxels: all of them, none, or every other one."""
    return resampling == "bootstrap" or (resampling == "both" and start % 2 == 1)


@dataclass(frozen=True)
class Agreement:
    """What the comparison of the starts gave.

    Attributes
    ----------
    best_start : int
        The start that agrees best with the cluster centres; the first of those that agree alike.
    stability : array, (component,)
        Quality index Iq of the cluster of each component of the best start: mean similarity within less mean similarity
        to the components outside, 1 for a perfect component; NaN where there is only one start.
    n_found : array, (component,)
        Number of starts that have a component in that cluster.
    """

    best_start: int
    stability: Float[np.ndarray, " component"]
    n_found: Int[np.ndarray, " component"]


def compare_starts(unmixings: Sequence[Float[np.ndarray, "component component"]]) -> Agreement:
    """Cluster the components of all starts and choose the most typical start.

    Parameters
    ----------
    unmixings : sequence of arrays, (component, component)
        Unmixing of each start, of the same whitened data; so the correlation of two maps is the cosine of two rows.

    Returns
    -------
    Agreement
        The chosen start and the stability of its components.
    """
    n_starts, n_components = len(unmixings), len(unmixings[0])
    if n_starts == 1:
        return Agreement(0, np.full(n_components, np.nan), np.ones(n_components, dtype=np.int64))
    rows = np.concatenate([w / np.linalg.norm(w, axis=1, keepdims=True) for w in unmixings])
    similarity = np.clip(np.abs(rows @ rows.T), 0, 1)
    np.fill_diagonal(similarity, 1)
    cluster = cut_tree(average(squareform(1 - similarity, checks=False)), n_clusters=n_components).ravel()
    start = np.repeat(np.arange(n_starts), n_components)

    index = np.empty(n_components)
    found = np.empty(n_components, dtype=np.int64)
    centre = np.empty(n_components, dtype=np.int64)
    for c in range(n_components):
        inside = cluster == c
        within = similarity[np.ix_(inside, inside)]
        index[c] = within.mean() - (similarity[np.ix_(inside, ~inside)].mean() if n_components > 1 else 0)
        found[c] = len(np.unique(start[inside]))
        centre[c] = np.flatnonzero(inside)[within.sum(axis=1).argmax()]

    matches = [linear_sum_assignment(-similarity[start == s][:, centre]) for s in range(n_starts)]
    agreement = [similarity[start == s][:, centre][match].sum() for s, match in enumerate(matches)]
    # Starts that reached the same solution agree alike but for where they stopped: rounding must not choose among them.
    best = int(np.flatnonzero(np.array(agreement) >= max(agreement) - _ALIKE * n_components)[0])
    of_component = matches[best][1]
    return Agreement(best, index[of_component], found[of_component])
