r"""The omnibus test: do the spectra of the groups differ at all? Asked of a network first, then of its layers.

Of every arrangement p of the groups there is a vector :math:`d_p`, how far the groups are apart in each singular value
of a layer early and late in the permuted trainings (`gradspec.spectra.retrained`). Each component is standardised over
all arrangements, which gives x, with the correlation matrix R of all. The statistic of a layer is

.. math:: Q_p = x_p^\top (R + \bar\lambda I)^{-1} x_p ,

:math:`\bar\lambda` being the mean of the eigenvalues of R that are not zero: Hotelling's T² with its matrix shrunk
towards independence, since few arrangements tell few of its directions. A difference in the *shape* of a spectrum moves
directions in which chance makes little of it, and weighs more there than in a sum of squares. The fourth root of a sum
of squares is near normal, and has no longer tail, from one degree of freedom on (Hawkins and Wixley 1986): that of each
layer, standardised over all arrangements, is :math:`z_l`, and the statistic of a network is

.. math:: \log \sum_l \exp(2 z_l) ,

which sees one layer that differs among many that do not nearly as well as the largest does, and many that differ a
little nearly as well as their mean. The weight of :math:`\bar\lambda`, the factor 2, the two halves and the early
epochs were chosen on invented cohorts with planted differences, others than those that the power was measured on. As
every arrangement is treated alike, counting is exact whatever the distribution; `gradspec.stats.permutation_tail` says
where a tail takes its place.

The tree is closed from above. The networks are corrected for each other (Holm); a layer is corrected for all layers of
its network, and its corrected p is no smaller than that of the network. Where no network differs, the chance to name
any network or layer is at most the level; in a network that does differ, the same holds for its layers (Westfall and
Young 1993; Meinshausen 2008 for the gate).
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from gradspec.stats.multiplicity import correct
from gradspec.stats.permutation_tail import METHODS, corrected_p, tail_p

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_SHRINKAGE = 1.0
_SHARPNESS = 2.0  # of the sum over layers: at 0 their mean, at infinity the largest

NETWORK, LAYER = "network", "layer"
TEST = "omnibus, by training under permuted groups"

OMNIBUS_COLUMNS: dict[str, Any] = {
    "model": "Network",
    "level": {
        "Description": "What is asked about",
        "Levels": {NETWORK: "All layers of the network together", LAYER: "One layer"},
    },
    "layer": "Parameter, as in model.named_parameters(); n/a for the whole network",
    "n_runs": "Training runs (repeat × fold), which are averaged",
    "n_permutations": "Permutations of the groups over participants, all runs trained again under each",
    "n_values": "Differences of singular values, early and late, that are asked about together",
    "statistic": (
        "Of a layer the distance of the groups (fourth root of its square, in units of the spread of arrangements), "
        "less its mean over all arrangements and over its standard deviation; of a network the logarithm of the sum of "
        "exp(2 z) over the z of its layers"
    ),
    "z": "Statistic less its mean under permuted groups, over its standard deviation there",
    "p_value": "One-sided, not corrected",
    "p_method": {"Description": "How the p-value was found", "Levels": METHODS},
    "p_corrected": (
        "Of a network: Holm over the networks. Of a layer: for all layers of the network by the smallest p of each "
        "permutation, and no smaller than that of the network"
    ),
    "test": "Test that was done, or 'not tested' and why",
}


def squared_distance(
    values: Float[np.ndarray, "arrangement value"],
) -> Float[np.ndarray, "arrangement"]:
    """Q of every arrangement, zero where all are equal; see the head of this page."""
    spread = values.std(axis=0)
    varying = spread > 1e-12 * np.abs(values).max(axis=0, initial=0.0)
    standardised = (values[:, varying] - values[:, varying].mean(axis=0)) / spread[varying]
    left, singular, _ = np.linalg.svd(standardised, full_matrices=False)
    eigenvalues = np.square(singular) / len(values)
    if not (eigenvalues > 0).any():
        return np.zeros(len(values))
    ridge = _SHRINKAGE * eigenvalues[eigenvalues > 1e-10 * eigenvalues[0]].mean()
    distance: Float[np.ndarray, arrangement] = (np.square(left * singular) / (eigenvalues + ridge)).sum(axis=1)
    return distance


def test_omnibus(networks: "Sequence[xr.DataTree]") -> "pd.DataFrame":
    """Test every network, and every layer of it.

    Parameters
    ----------
    networks : sequence of DataTree
        Of each, what `gradspec.spectra.retrained.summarise_retrained` gives.

    Returns
    -------
    DataFrame
        Columns as in `OMNIBUS_COLUMNS`; of each network a row of its own and one a layer.
    """
    import pandas as pd

    tables = [_test_network(tree) for tree in networks]
    whole = correct(np.array([table["p_value"].iloc[0] for table in tables], dtype=float), "holm")
    for table, p_corrected in zip(tables, whole, strict=True):
        table.loc[0, "p_corrected"] = p_corrected
        table.loc[1:, "p_corrected"] = np.maximum(table.loc[1:, "p_corrected"], p_corrected)
    return pd.concat(tables, ignore_index=True)[list(OMNIBUS_COLUMNS)]


test_omnibus.__test__ = False  # type: ignore[attr-defined]


def _test_network(tree: "xr.DataTree") -> "pd.DataFrame":
    import pandas as pd

    tail = partial(tail_p, two_sided=False)
    about = {"model": tree.attrs["model"], "n_runs": int(tree.attrs["n_runs"])}
    values = _read_values(tree)
    if not values:
        row = {"level": NETWORK, "layer": None, "test": "not tested: no singular value is above rounding in every step"}
        return pd.DataFrame([{**about, **row}]).reindex(columns=list(OMNIBUS_COLUMNS))
    standardised = _measure_layers(values)
    network = _combine_layers(standardised)
    standardised_network = _standardise(network)[:, None]
    of_network, of_layers = tail(standardised_network), tail(standardised)
    table = pd.DataFrame({"layer": [None, *values], "statistic": [network[0], *standardised[0]]})
    permuted = np.column_stack([standardised_network, standardised])
    sizes = [of_layer.shape[1] for of_layer in values.values()]
    table = table.assign(
        **about,
        level=[NETWORK] + [LAYER] * len(values),
        n_permutations=len(network) - 1,
        n_values=[sum(sizes), *sizes],
        z=(permuted[0] - permuted[1:].mean(axis=0)) / permuted[1:].std(axis=0, ddof=1),
        p_value=[*of_network[0], *of_layers[0]],
        p_method=[*of_network[1], *of_layers[1]],
        p_corrected=[np.nan, *corrected_p(standardised, two_sided=False)[0]],
        test=TEST,
    )
    return table.reindex(columns=list(OMNIBUS_COLUMNS))


def network_statistic(tree: "xr.DataTree") -> Float[np.ndarray, "arrangement"] | None:
    """Give the statistic of a network under every arrangement, the groups as they are first; None without values."""
    values = _read_values(tree)
    return _standardise(_combine_layers(_measure_layers(values))) if values else None


def _combine_layers(
    standardised: Float[np.ndarray, "arrangement layer"],
) -> Float[np.ndarray, "arrangement"]:
    """Soft maximum over layers; see the head of this page."""
    combined: Float[np.ndarray, arrangement] = np.log(np.exp(_SHARPNESS * standardised).sum(axis=1))
    return combined


def _read_values(tree: "xr.DataTree") -> dict[str, Float[np.ndarray, "arrangement value"]]:
    return {
        node.path.removeprefix("/"): node["log_ratio"].values.reshape(node.sizes["arrangement"], -1)
        for node in tree.subtree
        if "log_ratio" in node.data_vars
    }


def _measure_layers(
    values: dict[str, Float[np.ndarray, "arrangement value"]],
) -> Float[np.ndarray, "arrangement layer"]:
    return np.stack([_standardise(np.sqrt(np.sqrt(squared_distance(each)))) for each in values.values()], axis=1)


def _standardise(statistics: Float[np.ndarray, "arrangement"]) -> Float[np.ndarray, "arrangement"]:
    spread = statistics.std()
    return (statistics - statistics.mean()) / spread if spread else np.zeros_like(statistics)
