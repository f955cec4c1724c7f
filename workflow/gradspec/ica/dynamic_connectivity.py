r"""Dynamic functional network connectivity: windows of a run, and the states that the windows of all runs fall into.

Allen et al. 2014, Cereb. Cortex 24:663. A window slides over the time courses; in each position the (weighted)
correlation of all pairs is taken. Windows of all participants are clustered by k-means; a state is the centre of a
cluster. With no number of states given it is chosen between 2 and the most that is allowed, by the mean silhouette
(Rousseeuw 1987); the elbow of the within-cluster sum of squares, the point of the curve farthest below its chord, is
reported beside it.

States come in the order of how many windows they hold, largest first. As the windows of all participants are clustered
together, states are no input for a classifier that is tested on some of them.
"""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float, Int
from scipy.ndimage import gaussian_filter1d
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from gradspec.errors import ConfigError, ParticipantError

logger = logging.getLogger(__name__)

_LARGEST = 1 - 1e-6  # as in static connectivity
_FEWEST = 10  # volumes in a window: correlations of fewer say nothing
_MOST_SCORED = 2000  # windows that the silhouette is taken over
_STARTS = 10
_STAYED = 0.5  # share of the runs without a change of state beyond which a warning is due

STATES_COLUMNS = {
    "n_states": "Number of states that was tried",
    "inertia": "Sum of squared distances of windows to the centre of their state",
    "silhouette": "Mean silhouette of the windows (of a sample of 2000 where there are more)",
    "elbow": "Whether this number is the elbow of the inertia",
    "chosen": "Whether this number was taken",
}


@dataclass(frozen=True)
class States:
    """States of connectivity.

    Attributes
    ----------
    centres : array, (state, pair)
        Centre of each state, Fisher z.
    state : array, (window,)
        State of each window.
    curve : DataFrame
        A row a number of states that was tried; columns as in `STATES_COLUMNS`.
    """

    centres: Float[np.ndarray, "state pair"]
    state: Int[np.ndarray, " window"]
    curve: pd.DataFrame


def window_weights(width: int, taper: float) -> Float[np.ndarray, " window_time"]:
    """Return the weights of the volumes of a window.

    Parameters
    ----------
    width : int
        Volumes of the rectangle.
    taper : float
        Standard deviation, in volumes, of the Gaussian that it is convolved with; 0 for a plain window.

    Returns
    -------
    array, (window_time,)
        Weights that add up to 1; three standard deviations longer at either end if tapered.
    """
    margin = int(np.ceil(3 * taper))
    rectangle = np.pad(np.ones(width), margin)
    weights = gaussian_filter1d(rectangle, taper, mode="constant", radius=margin) if taper else rectangle
    return np.asarray(weights / weights.sum())


def windowed_fnc(
    timecourses: Float[np.ndarray, "time component"], weights: Float[np.ndarray, " window_time"], step: int = 1
) -> Float[np.ndarray, "window pair"]:
    """Return the connectivity in every position of a window.

    Parameters
    ----------
    timecourses : array, (time, component)
        Time courses of one run.
    weights : array, (window_time,)
        Weights of the volumes of a window.
    step : int
        Volumes between windows.

    Returns
    -------
    array, (window, pair)
        Fisher z of the weighted correlation of each pair (upper triangle, row by row); zero where a component does not
        vary within a window.

    Raises
    ------
    ParticipantError
        If the run is shorter than a window.
    """
    n_volumes, n_components = timecourses.shape
    if n_volumes < len(weights):
        raise ParticipantError(
            f"{n_volumes} volumes are fewer than the {len(weights)} of a window; lower ica.dynamic.window or "
            "ica.dynamic.taper"
        )
    series = np.asarray(timecourses, dtype=np.float64)
    views = np.lib.stride_tricks.sliding_window_view(series, len(weights), axis=0)[::step]  # (window, component, time)
    centred = views - (views @ weights)[..., None]
    covariance = np.einsum("wit,t,wjt->wij", centred, weights, centred, optimize=True)
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    constant = variance <= (1e-6 * np.abs(series).max(axis=0)) ** 2
    scale = np.where(constant, np.inf, np.sqrt(variance))
    first, second = np.triu_indices(n_components, 1)
    correlation = covariance[:, first, second] / (scale[:, first] * scale[:, second])
    return np.asarray(np.arctanh(np.clip(correlation, -_LARGEST, _LARGEST)))


def find_states(windows: Float[np.ndarray, "window pair"], n_states: int | None, most: int, seed: int) -> States:
    """Cluster the windows of all runs.

    Parameters
    ----------
    windows : array, (window, pair)
        Connectivity of every window.
    n_states : int, optional
        Number of states; chosen by the silhouette if not given.
    most : int
        Largest number that is tried.
    seed : int
        Seed of k-means and of the sample for the silhouette.

    Returns
    -------
    States
        The states, the state of every window, and the curve that the number was chosen by.

    Raises
    ------
    ConfigError
        If there are fewer windows than states.
    """
    most = min(most, len(np.unique(windows, axis=0)) - 1)
    tried = range(2, max(most, n_states or 0) + 1)
    if len(windows) <= (n_states or 2) or not tried:
        raise ConfigError(
            f"{len(windows)} windows are too few for {n_states or 'several'} states; lower ica.dynamic.window, "
            ".step or .states"
        )
    fits = {k: KMeans(k, n_init=_STARTS, random_state=seed).fit(windows) for k in tried}
    sample = min(_MOST_SCORED, len(windows))
    scores = [silhouette_score(windows, fit.labels_, sample_size=sample, random_state=seed) for fit in fits.values()]
    inertia = np.array([fit.inertia_ for fit in fits.values()])
    elbow = list(tried)[_elbow(inertia)]
    chosen = n_states or list(tried)[int(np.argmax(scores))]
    fit = fits[chosen]
    order = np.argsort(-np.bincount(fit.labels_, minlength=chosen), kind="stable")
    curve = pd.DataFrame(
        {
            "n_states": list(tried),
            "inertia": inertia,
            "silhouette": scores,
            "elbow": [k == elbow for k in tried],
            "chosen": [k == chosen for k in tried],
        }
    )
    return States(fit.cluster_centers_[order], np.argsort(order)[fit.labels_].astype(np.int64), curve)


def _elbow(inertia: Float[np.ndarray, " tried"]) -> int:
    """Return the point of a falling curve that is farthest below the line between its ends."""
    chord = np.linspace(inertia[0], inertia[-1], len(inertia))
    return int(np.argmax(chord - inertia))


def cohort_dynamic_fnc(
    dataset: xr.Dataset,
    window: float,
    taper: float,
    step: int,
    n_states: int | None,
    most_states: int,
    seed: int,
) -> tuple[xr.Dataset, pd.DataFrame]:
    """Compute windowed connectivity and its states for a cohort.

    Parameters
    ----------
    dataset : Dataset
        Variable ``timecourses`` (participant, time, component) and attribute ``repetition_time``.
    window, taper : float
        Width of the window and standard deviation of its taper (0 for none), in seconds.
    step : int
        Volumes between windows.
    n_states : int, optional
        Number of states; chosen by the silhouette if not given.
    most_states : int
        Largest number that is tried.
    seed : int
        Seed of the clustering.

    Returns
    -------
    Dataset
        ``dfnc`` (participant, window, pair), Fisher z; ``state`` (participant, window), counted from 0; ``centres``
        (state, pair); ``occupancy`` (participant, state), share of windows; ``dwell_time`` (participant, state), mean
        seconds of an uninterrupted stay, NaN where there is none; ``transitions`` (participant), changes of state.
    DataFrame
        A row a number of states that was tried; columns as in `STATES_COLUMNS`.

    Raises
    ------
    ConfigError
        If the window is too short, or there are too few windows.
    ParticipantError
        If time courses are not finite, or shorter than a window.
    """
    timecourses = dataset["timecourses"].transpose("participant", "time", "component")
    repetition_time = float(dataset.attrs["repetition_time"])
    width = round(window / repetition_time)
    if width < _FEWEST:
        raise ConfigError(
            f"ica.dynamic.window of {window:g} s holds {width} volumes of {repetition_time:g} s; at least {_FEWEST} "
            "are needed to estimate a correlation"
        )
    weights = window_weights(width, taper / repetition_time)
    participants = [str(name) for name in timecourses["participant"].values]
    rows = []
    for participant, series in zip(participants, timecourses.values, strict=True):
        if not np.isfinite(series).all():
            raise ParticipantError(
                "its time courses hold values that are not finite (NaN or infinity); mend or remove its file",
                participant=participant,
            )
        rows.append(windowed_fnc(series, weights, step))
    windows = np.stack(rows)
    states = find_states(windows.reshape(-1, windows.shape[2]), n_states, most_states, seed)
    state = states.state.reshape(windows.shape[:2])
    occupancy, dwell, transitions = _sojourns(state, len(states.centres), step * repetition_time)
    if (stayed := float((transitions == 0).mean())) > _STAYED:
        logger.warning(
            "%.0f %% of the runs never leave their state: the states tell participants apart rather than times. Runs "
            "may be too short for windows of %g s, or the states (ica.dynamic.max_states) too many",
            100 * stayed,
            window,
        )
    centres_of_windows = (np.arange(windows.shape[1]) * step + (len(weights) - 1) / 2) * repetition_time
    names = timecourses["component"].values
    first, second = np.triu_indices(len(names), 1)
    logger.info("%d states over %d windows a run", len(states.centres), windows.shape[1])
    description = {"long_name": "windowed functional network connectivity", "units": "1", "measure": "Fisher z"}
    result = xr.Dataset(
        {
            "dfnc": (("participant", "window", "pair"), windows.astype(np.float32), description),
            "state": (("participant", "window"), state.astype(np.int16), {"long_name": "state, counted from 0"}),
            "centres": (("state_index", "pair"), states.centres.astype(np.float32), description),
            "occupancy": (("participant", "state_index"), occupancy, {"long_name": "share of windows", "units": "1"}),
            "dwell_time": (("participant", "state_index"), dwell, {"long_name": "mean stay", "units": "s"}),
            "transitions": (("participant",), transitions, {"long_name": "changes of state", "units": "1"}),
        },
        coords={
            **{name: c for name, c in timecourses.coords.items() if c.dims == ("participant",)},
            "window": ("window", centres_of_windows, {"long_name": "middle of the window", "units": "s"}),
            "pair_component": ("pair", names[first]),
            "pair_component_2": ("pair", names[second]),
        },
        attrs={"window": window, "taper": taper, "step": step, "repetition_time": repetition_time},
    )
    return result, states.curve


def _sojourns(
    state: Int[np.ndarray, "participant window"], n_states: int, seconds: float
) -> tuple[Float[np.ndarray, "participant state"], Float[np.ndarray, "participant state"], np.ndarray]:
    """Return the share of windows in each state, the mean length of a stay (s), and the number of changes."""
    occupancy = np.stack([(state == k).mean(axis=1) for k in range(n_states)], axis=1)
    changes = state[:, 1:] != state[:, :-1]
    begins = np.concatenate([np.ones((len(state), 1), dtype=bool), changes], axis=1)
    stays = np.stack([((state == k) & begins).sum(axis=1) for k in range(n_states)], axis=1)
    dwell = occupancy * state.shape[1] * seconds / np.where(stays > 0, stays, np.nan)
    return occupancy, dwell, changes.sum(axis=1).astype(np.int64)
