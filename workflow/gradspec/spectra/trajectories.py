"""Trajectories: what a feature does over the epochs of a run, in five numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from gradspec.spectra.alignment import ALIGNMENT_COLUMNS
from gradspec.spectra.table import FEATURE_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

EARLY = LATE = 0.25
"""Shares of the epochs that count as early and as late."""

_ROUNDING = float(np.finfo(np.float32).eps)  # relative, of the networks

_KEYS = ["model", "repeat", "fold", "layer", "kind", "group"]
_FEATURES = [name for name in FEATURE_COLUMNS if name not in (*_KEYS, "epoch", "n")]

Trajectories = Float[np.ndarray, "trajectory epoch"]
Epochs = Float[np.ndarray, "epoch"]
Summary = Float[np.ndarray, "trajectory"]


@dataclass(frozen=True)
class SummaryDefinition:
    """What a summary is, for tables and documentation.

    Attributes
    ----------
    name, formula, unit : str
        Name of the column, formula in terms of the feature y at epochs e, with what happens at the edges, and unit.
    function : callable
        Computes it.
    """

    name: str
    formula: str
    unit: str
    function: Callable[[Trajectories, Epochs], Summary]


def area(values: Trajectories, epochs: Epochs) -> Summary:
    r"""Area under the curve over its width, :math:`\int y \, de / (e_{last} - e_{first})`, by trapezoids.

    Over its width, so that runs with other numbers of epochs compare: it is the mean height of the curve. Epochs
    without a value are bridged by a straight line, those before the first and after the last value left out; a single
    value is its own area.
    """
    bridged = _bridge(values, epochs)
    width = np.where(np.isnan(bridged), np.nan, epochs)
    inside = ~np.isnan(bridged[:, 1:]) & ~np.isnan(bridged[:, :-1])
    trapezoids = np.where(inside, (bridged[:, 1:] + bridged[:, :-1]) / 2 * np.diff(epochs), 0.0).sum(axis=1)
    span = _last(width) - _first(width)
    return np.where(span > 0, trapezoids / np.where(span > 0, span, 1.0), _first(values))


def slope(values: Trajectories, epochs: Epochs) -> Summary:
    r"""Slope of the least-squares line, :math:`\sum (e - \bar e)(y - \bar y) / \sum (e - \bar e)^2`.

    Over the epochs with a value; undefined for fewer than two.
    """
    defined = ~np.isnan(values)
    at = epochs - _mean(np.where(defined, epochs, np.nan))[:, None]
    deviation = np.where(defined, values - _mean(values)[:, None], 0.0)
    squares = np.where(defined, np.square(at), 0.0).sum(axis=1)
    return np.where(
        squares > 0, (at * deviation).sum(axis=1, where=defined) / np.where(squares > 0, squares, 1), np.nan
    )


def early_mean(values: Trajectories, epochs: Epochs) -> Summary:
    """Mean over the first quarter of the epochs, at least one; undefined if none of them has a value."""
    return _mean(values[:, : _count(epochs, EARLY)])


def late_mean(values: Trajectories, epochs: Epochs) -> Summary:
    """Mean over the last quarter of the epochs, at least one; undefined if none of them has a value."""
    return _mean(values[:, -_count(epochs, LATE) :])


def time_to_half(values: Trajectories, epochs: Epochs) -> Summary:
    r"""Epochs until half of the change is done, :math:`\min \{e : y(e) = (y_{first} + y_{last}) / 2\} - e_{first}`.

    Between the first and the last value, on straight lines from value to value; the first time, if there are several.
    Undefined where first and last are equal but for rounding, and for fewer than two values.
    """
    bridged = _bridge(values, epochs)
    first, last = _first(bridged), _last(bridged)
    with np.errstate(divide="ignore", invalid="ignore"):
        done = (bridged - first[:, None]) / (last - first)[:, None]
    done[~np.isfinite(done) | (np.abs(last - first) <= _ROUNDING * np.abs(first))[:, None]] = np.nan
    after = np.argmax(done >= 0.5, axis=1)  # where there is none, 0
    rows = np.arange(len(values))
    before = np.maximum(after - 1, 0)
    rise = done[rows, after] - done[rows, before]
    share = np.divide(0.5 - done[rows, before], rise, out=np.full(len(values), np.nan), where=rise > 0)
    start = _first(np.where(np.isnan(bridged), np.nan, epochs))
    result: Summary = epochs[before] + share * (epochs[after] - epochs[before]) - start
    return result


SUMMARIES = {
    definition.name: definition
    for definition in (
        SummaryDefinition(
            "area",
            "∫ y de / (e_last - e_first), trapezoids; gaps are bridged by straight lines, one value is its own area",
            "of the feature",
            area,
        ),
        SummaryDefinition(
            "slope",
            "Σ (e - mean e)(y - mean y) / Σ (e - mean e)², least squares; undefined for fewer than two values",
            "of the feature an epoch",
            slope,
        ),
        SummaryDefinition(
            "early_mean", "mean of y over the first quarter of the epochs, rounded up", "of the feature", early_mean
        ),
        SummaryDefinition(
            "late_mean", "mean of y over the last quarter of the epochs, rounded up", "of the feature", late_mean
        ),
        SummaryDefinition(
            "time_to_half",
            "first e with y = (y_first + y_last) / 2, straight lines between values, less e_first; undefined where "
            "y_first = y_last",
            "epoch",
            time_to_half,
        ),
    )
}

TRAJECTORY_COLUMNS: dict[str, Any] = {
    **{name: FEATURE_COLUMNS[name] for name in _KEYS},
    "feature": "Feature of the spectrum; formula and source in the sidecar of the features table",
    "n_epochs": {"Description": "Epochs in which the feature is defined", "Units": "epoch"},
    **{
        name: {"Description": f"{definition.formula}; y: feature at epoch e", "Units": definition.unit}
        for name, definition in SUMMARIES.items()
    },
}


def summarise_trajectories(features: "pd.DataFrame") -> "pd.DataFrame":
    """Summarise every feature of every run, layer, kind and group over the epochs.

    Parameters
    ----------
    features : DataFrame
        As `gradspec.spectra.table.extract_features` gives it.

    Returns
    -------
    DataFrame
        A row a run, layer, kind, group and feature, columns as in `TRAJECTORY_COLUMNS`.
    """
    import pandas as pd

    keys = features[_KEYS].drop_duplicates()
    trajectory = features.groupby(_KEYS, sort=False).ngroup().to_numpy()
    epochs, place = np.unique(features["epoch"].to_numpy(dtype=float), return_inverse=True)
    tables = []
    for name in [*_FEATURES, *(name for name in ALIGNMENT_COLUMNS if name in features)]:
        values = np.full((len(keys), len(epochs)), np.nan)
        values[trajectory, place] = features[name]
        summaries = {summary: definition.function(values, epochs) for summary, definition in SUMMARIES.items()}
        tables.append(keys.assign(feature=name, n_epochs=np.isfinite(values).sum(axis=1), **summaries))
    table = pd.concat(tables).sort_index(kind="stable").reset_index(drop=True)
    return table[list(TRAJECTORY_COLUMNS)]


def _count(epochs: Epochs, share: float) -> int:
    """Epochs that make up a share of all, rounded up."""
    return int(np.ceil(share * len(epochs)))


def _mean(values: Trajectories) -> Summary:
    """Mean of the values that are not NaN."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=1)
    total = np.where(defined, values, 0.0).sum(axis=1)
    mean: Summary = np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
    return mean


def _first(values: Trajectories) -> Summary:
    """First value that is not NaN."""
    first: Summary = values[np.arange(len(values)), np.argmax(~np.isnan(values), axis=1)]
    return first


def _last(values: Trajectories) -> Summary:
    """Last value that is not NaN."""
    return _first(values[:, ::-1])


def _bridge(values: Trajectories, epochs: Epochs) -> Trajectories:
    """Fill what is NaN between two values by a straight line."""
    bridged = values.copy()
    defined = ~np.isnan(values)
    for row in np.flatnonzero(~defined.all(axis=1) & defined.any(axis=1)):
        there = defined[row]
        bridged[row] = np.interp(epochs, epochs[there], values[row, there], left=np.nan, right=np.nan)
    return bridged
