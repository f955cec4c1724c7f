"""What the analysis found of a simulated truth: maps, time courses, and the group difference of connectivity."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from gradspec.figures.slices import best_axial, cut, draw_slice
from gradspec.figures.style import MISSING_COLOUR, POOLED_COLOUR, name_panel, new_figure, styled

# Okabe-Ito's bluish green and sky blue: neither group's colour.
_MAPS, _COURSES = "#009E73", "#56B4E9"
_PER_LINE = 10

COLUMNS = {
    "measure": {
        "Description": "What is compared with the truth",
        "Levels": {
            "map": "spatial correlation of a true map and the component that matches it",
            "time course": "correlation of a participant's true and recovered time course",
            "connectivity difference": "difference of the groups' mean connectivity, comparison minus reference",
        },
    },
    "component": "True network",
    "component_2": "Second true network of a pair",
    "recovered_component": "Component that matches the true network",
    "participant_id": "Participant",
    "correlation": "Correlation of true and recovered (absolute for maps, sign of the map applied for time courses)",
    "true": {"Description": "True difference of the groups in this sample", "Units": "Fisher z"},
    "recovered": {"Description": "Recovered difference of the groups", "Units": "Fisher z"},
    "planted": "Whether the simulation gives the pair a group difference",
}

Match = tuple[np.ndarray, np.ndarray, np.ndarray]


def compare_with_truth(
    match: Match,
    timecourses: xr.Dataset,
    fnc: xr.Dataset,
    participants: pd.DataFrame,
    design: xr.Dataset,
    truth: Mapping[str, xr.Dataset],
    levels: Sequence[str],
) -> pd.DataFrame:
    """Compare maps, time courses and connectivity with what was simulated.

    Parameters
    ----------
    match : tuple of arrays
        For each true map the index of its component (-1 for none), the sign, and the absolute correlation.
    timecourses : Dataset
        ``timecourses`` (participant, time, component).
    fnc : Dataset
        ``fnc`` (participant, component, component_2), Fisher z.
    participants : DataFrame
        ``participant_id``, ``group`` of those who were analysed.
    design : Dataset
        ``connectivity`` (group, component, component_2): population correlation of each group.
    truth : mapping
        For each participant a Dataset with ``timecourses`` (time, component) and ``connectivity``.
    levels : sequence of str
        The two groups, the reference first.

    Returns
    -------
    DataFrame
        Columns as in `COLUMNS`; a row a map, a time course, or a pair of networks.
    """
    index, sign, correlation = match
    networks = design["component"].to_numpy().astype(str)
    names = fnc["component"].to_numpy().astype(str)
    maps = pd.DataFrame(
        {
            "measure": "map",
            "component": networks,
            "recovered_component": [names[k] if k >= 0 else None for k in index],
            "correlation": np.where(index >= 0, correlation, np.nan),
        }
    )
    courses = _compare_courses(index, sign, networks, timecourses, truth)
    pairs = _compare_differences(index, sign, networks, fnc, participants, design, truth, levels)
    return pd.concat([maps, courses, pairs], ignore_index=True).reindex(columns=list(COLUMNS))


def _compare_courses(
    index: np.ndarray,
    sign: np.ndarray,
    networks: np.ndarray,
    timecourses: xr.Dataset,
    truth: Mapping[str, xr.Dataset],
) -> pd.DataFrame:
    """Correlate the time courses of each participant, over the volumes that both have."""
    rows = []
    for place, participant in enumerate(timecourses["participant"].to_numpy().astype(str)):
        found = timecourses["timecourses"].isel(participant=place).transpose("time", "component").to_numpy()
        true = truth[participant]["timecourses"].transpose("time", "component").to_numpy()
        n = min(len(found), len(true))
        for network in np.flatnonzero(index >= 0):
            pair = np.stack([true[:n, network], sign[network] * found[:n, index[network]]]).astype(float)
            pair = pair[:, np.isfinite(pair).all(axis=0)]
            varies = pair.shape[1] > 2 and bool((pair.std(axis=1) > 0).all())
            r = float(np.corrcoef(pair)[0, 1]) if varies else math.nan
            rows.append(("time course", networks[network], participant, r))
    return pd.DataFrame(rows, columns=["measure", "component", "participant_id", "correlation"])


def _compare_differences(
    index: np.ndarray,
    sign: np.ndarray,
    networks: np.ndarray,
    fnc: xr.Dataset,
    participants: pd.DataFrame,
    design: xr.Dataset,
    truth: Mapping[str, xr.Dataset],
    levels: Sequence[str],
) -> pd.DataFrame:
    """Compare the difference of group means, pair by pair, for the participants who were analysed."""
    group = participants.set_index("participant_id")["group"]
    people = fnc["participant"].to_numpy().astype(str)
    is_reference, is_comparison = ((group.reindex(people) == level).to_numpy() for level in levels)
    true = np.stack([truth[person]["connectivity"].to_numpy() for person in people])
    found = fnc["fnc"].to_numpy()
    planted = np.abs(np.diff(design["connectivity"].sel(group=list(levels)).to_numpy(), axis=0)[0]) > 1e-9
    rows = []
    matched = np.flatnonzero(index >= 0)
    for place, a in enumerate(matched):
        for b in matched[place + 1 :]:
            true_z = np.arctanh(np.clip(true[:, a, b], -0.999999, 0.999999))
            found_z = sign[a] * sign[b] * found[:, index[a], index[b]]
            difference = [z[is_comparison].mean() - z[is_reference].mean() for z in (true_z, found_z)]
            rows.append(("connectivity difference", networks[a], networks[b], *difference, bool(planted[a, b])))
    return pd.DataFrame(rows, columns=["measure", "component", "component_2", "true", "recovered", "planted"])


@styled
def plot_recovery(
    table: pd.DataFrame, true_maps: Any, maps: Any, match: Match, template: Any, levels: Sequence[str]
) -> Figure:
    """Draw true and recovered maps side by side, and below them how well each kind of truth was recovered.

    Parameters
    ----------
    table : DataFrame
        What `compare_with_truth` returns.
    true_maps, maps : Nifti1Image
        4-D images of the true networks and of the components.
    match : tuple of arrays
        As for `compare_with_truth`.
    template : Nifti1Image
        Brain in the same space, from 0 to 1.
    levels : sequence of str
        The two groups, the reference first.
    """
    networks = table.loc[table["measure"] == "map", "component"].to_list()
    n_lines = math.ceil(len(networks) / _PER_LINE)
    figure = new_figure(13.0, 2.9 * n_lines + 4.6)
    grid = figure.add_gridspec(n_lines + 1, 1, height_ratios=[2.9] * n_lines + [4.2])
    _draw_maps(figure, grid, networks, true_maps, maps, match, template)
    below = grid[-1].subgridspec(1, 3)
    map_ax, course_ax, pair_ax = (figure.add_subplot(below[column]) for column in range(3))
    _draw_correlations(map_ax, course_ax, table, networks)
    _draw_differences(pair_ax, table[table["measure"] == "connectivity difference"], levels)
    n_participants = table["participant_id"].nunique()
    n_found = int((match[0] >= 0).sum())
    figure.suptitle(f"Recovery of the simulated truth: {n_found} of {len(networks)} networks, n = {n_participants}")
    return figure


def _draw_maps(
    figure: Figure, grid: Any, networks: Sequence[str], true_maps: Any, maps: Any, match: Match, template: Any
) -> None:
    """Draw, for each network, the axial slice that holds most of it: the truth above what was recovered."""
    index, sign, correlation = match
    anatomy = np.asarray(template.dataobj, dtype=np.float32)
    truth = np.asarray(true_maps.dataobj, dtype=np.float32)
    found = np.asarray(maps.dataobj, dtype=np.float32)
    n_lines = math.ceil(len(networks) / _PER_LINE)
    lines = [grid[line].subgridspec(2, min(_PER_LINE, len(networks))) for line in range(n_lines)]
    for place, network in enumerate(networks):
        line, column = divmod(place, _PER_LINE)
        upper, lower = (figure.add_subplot(lines[line][row, column]) for row in range(2))
        height = best_axial(truth[..., place], true_maps.affine)
        background = cut(anatomy, template.affine, 2, height)
        for ax, volume, affine in (
            (upper, truth[..., place], true_maps.affine),
            (lower, sign[place] * found[..., index[place]] if index[place] >= 0 else None, maps.affine),
        ):
            if volume is None:
                name_panel(ax, "not found")
                continue
            largest = float(np.nanmax(np.abs(volume))) or 1.0
            draw_slice(ax, cut(volume, affine, 2, height), background, 0.3 * largest, largest)
        upper.set_title(f"{network}\nz = {height:.0f} mm", fontsize=8, loc="center")
        lower.set_title(
            f"|r| = {correlation[place]:.2f}" if index[place] >= 0 else "", fontsize=8, loc="center", y=-0.16
        )
        if column == 0:
            for ax, name in ((upper, "true"), (lower, "recovered")):
                ax.text(-12, 0, name, rotation=90, ha="right", va="center", fontsize=9)


def _draw_correlations(map_ax: Any, course_ax: Any, table: pd.DataFrame, networks: Sequence[str]) -> None:
    maps = table[table["measure"] == "map"]
    places = range(len(networks))
    map_ax.barh(places, maps["correlation"].fillna(0.0), color=_MAPS, height=0.7)
    map_ax.set(xlim=(0, 1), xlabel="Spatial correlation |r|", title="Maps")
    courses = table[table["measure"] == "time course"]
    for place, network in enumerate(networks):
        values = courses.loc[courses["component"] == network, "correlation"].dropna().to_numpy()
        # Spread by rank, not by chance, so that the picture is the same each time.
        spread = 0.28 * (((np.arange(values.size) * 0.618) % 1) - 0.5) * 2
        course_ax.plot(values, place + spread, "o", ms=3, mew=0, alpha=0.7, color=_COURSES)
        if values.size:
            course_ax.plot([np.median(values)] * 2, [place - 0.38, place + 0.38], color="black", lw=1.8)
    n = courses["participant_id"].nunique()
    median = courses["correlation"].median()
    course_ax.set(xlabel="Correlation of time courses r", title=f"Time courses (n = {n}, median r = {median:.2f})")
    course_ax.set_xlim(min(0.0, float(courses["correlation"].min(skipna=True) or 0.0)) - 0.02, 1.0)
    for ax in (map_ax, course_ax):
        ax.set_ylim(len(networks) - 0.5, -0.5)
        ax.set_yticks(places, networks)
        ax.grid(axis="x", color=MISSING_COLOUR, lw=0.5)
        ax.set_axisbelow(True)


def _draw_differences(ax: Any, pairs: pd.DataFrame, levels: Sequence[str]) -> None:
    ax.set_title("Group difference of connectivity")
    ax.set_xlabel(f"True {levels[1]} − {levels[0]} (Fisher z)")
    ax.set_ylabel(f"Recovered {levels[1]} − {levels[0]} (Fisher z)")
    known = pairs.dropna(subset=["true", "recovered"])
    if len(known) < 3:
        return
    end = 1.08 * float(known[["true", "recovered"]].abs().to_numpy().max())
    ax.plot([-end, end], [-end, end], ":", color="black", lw=1, label="equal")
    for planted, colour, label in (
        (False, POOLED_COLOUR, "no difference planted"),
        (True, _MAPS, "difference planted"),
    ):
        rows = known[known["planted"].astype(bool) == planted]
        if rows.empty:
            continue
        ax.plot(
            rows["true"], rows["recovered"], "o", ms=5, mew=0, alpha=0.8, color=colour, label=f"{label} ({len(rows)})"
        )
    r = known["true"].astype(float).corr(known["recovered"].astype(float))
    ax.set_title(f"Group difference of connectivity\n{len(known)} pairs, r = {r:.2f}")
    ax.set(xlim=(-end, end), ylim=(-end, end))
    ax.set_box_aspect(1)
    ax.legend(loc="upper left", fontsize=8)
