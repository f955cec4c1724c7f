"""The components in one grid: three slices through the peak of each, its spectrum, its stability and its name."""

import math
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from gradspec.figures.slices import HALF_HEIGHT, LETTERS, MAP_COLOURS, cut, draw_slice, peak_of
from gradspec.figures.style import new_figure, styled

THRESHOLD = 2.0
_UNMARKED, _MARKED = "black", "#882255"  # neither group's colour

COLUMNS = {
    "component": "Component",
    "label": "Name of the network it resembles most; its own name without a template",
    "domain": "Domain of that network; n/a where none is known",
    "correlation": "Spatial correlation with that network; n/a without a template",
    "stability": "Stability over random starts (Iq of ICASSO: similarity within minus between clusters)",
    "n_starts": "Random starts that were compared",
    "peak_x": {"Description": "Left to right position of the slices, the peak of the map", "Units": "mm"},
    "peak_y": {"Description": "Back to front position of the slices", "Units": "mm"},
    "peak_z": {"Description": "Bottom to top position of the slices", "Units": "mm"},
    "peak_value": {"Description": "Value of the map at its peak", "Units": "z"},
    "falff": "Share of the amplitude between 0.01 and 0.1 Hz in that of all frequencies",
    "dynamic_range": "Largest share of a frequency in the variance, less the smallest at a higher frequency",
    "edge_fraction": "Share of the map (|z| above 2) at the edge of the mask",
    "csf_fraction": "Share of the map (|z| above 2) in cerebrospinal fluid",
    "artefact": "Whether the component is likely an artefact",
    "reason": "Why it is: spectrum, edge or csf",
    "frequency": {"Description": "Frequency, in rows that hold a spectrum; n/a in those of a component", "Units": "Hz"},
    "power": "Share of the frequency in the variance of the time course, mean over runs, before filtering",
}


def describe_components(
    maps: Any, stability: pd.DataFrame, labels: pd.DataFrame, artefacts: pd.DataFrame
) -> pd.DataFrame:
    """Gather what the grid says of each component.

    Parameters
    ----------
    maps : Nifti1Image
        4-D maps (z).
    stability : DataFrame
        ``component``, ``stability``, ``n_starts``, in the order of the maps.
    labels : DataFrame
        ``component``, ``label``, ``domain``, ``correlation``, ``peak_x``, ``peak_y``, ``peak_z`` (mm).
    artefacts : DataFrame
        ``component`` and its features, ``artefact``, ``reason``.

    Returns
    -------
    DataFrame
        A row a component, columns as in `COLUMNS`. A peak that is missing is taken from the map.
    """
    table = stability.merge(labels, on="component", how="left").merge(artefacts, on="component", how="left")
    table = table.reindex(columns=list(COLUMNS))
    volumes = np.asarray(maps.dataobj, dtype=np.float32)
    peaks = ["peak_x", "peak_y", "peak_z"]
    for row in table.index:
        volume = volumes[..., row]
        if table.loc[row, peaks].isna().any():
            table.loc[row, peaks] = peak_of(volume, maps.affine)
        table.loc[row, "peak_value"] = float(volume.flat[int(np.argmax(np.abs(np.nan_to_num(volume))))])
    return table


def describe_spectra(timecourses: xr.Dataset) -> pd.DataFrame:
    """Average the spectra of the time courses over runs.

    Parameters
    ----------
    timecourses : Dataset
        ``power`` (participant, frequency, component).

    Returns
    -------
    DataFrame
        ``component``, ``frequency`` (Hz) and ``power``, a row a frequency of each component.
    """
    mean = timecourses["power"].mean("participant").transpose("component", "frequency")
    n_components, n_frequencies = mean.shape
    return pd.DataFrame(
        {
            "component": np.repeat(mean["component"].to_numpy().astype(str), n_frequencies),
            "frequency": np.tile(mean["frequency"].to_numpy(), n_components),
            "power": mean.to_numpy().ravel(),
        }
    )


@styled
def plot_components(maps: Any, table: pd.DataFrame, template: Any, spectra: pd.DataFrame) -> Figure:
    """Draw the components in a grid, each as a sagittal, coronal and axial slice over the template, and its spectrum.

    Those of a domain stand together, where domains are known, in the order in which they are met; the others come last.

    Parameters
    ----------
    maps : Nifti1Image
        4-D maps (z).
    table : DataFrame
        What `describe_components` returns.
    template : Nifti1Image
        Brain in the same space, from 0 to 1.
    spectra : DataFrame
        What `describe_spectra` returns.
    """
    n_columns = 1 if len(table) == 1 else min(3, max(2, math.ceil(math.sqrt(len(table)))))
    n_rows = math.ceil(len(table) / n_columns)
    two_lines = any("\n" in _heading(component) for _, component in table.iterrows())
    figure = new_figure(max(6.5, 4.4 * n_columns), (1.8 if two_lines else 1.6) * n_rows + 1.0)
    volumes = np.asarray(maps.dataobj, dtype=np.float32)
    anatomy = np.asarray(template.dataobj, dtype=np.float32)
    # One outlying peak shall not take the colour from all the others.
    largest = max(2 * THRESHOLD, float(np.nanpercentile(np.abs(table["peak_value"].astype(float)), 75)))
    grid = figure.subplots(n_rows, 2 * n_columns, squeeze=False, width_ratios=[3.4, 1] * n_columns)
    slices, courses = grid[:, ::2].ravel(), grid[:, 1::2].ravel()
    for ax in (*slices[len(table) :], *courses[len(table) :]):
        ax.set_axis_off()
    top = 105 * float(spectra["power"].max())
    for ax, below, (row, component) in zip(slices, courses, _by_domain(table).iterrows(), strict=False):
        _draw_map(ax, component, volumes[..., row], maps.affine, anatomy, template.affine, largest)
        _draw_spectrum(below, spectra[spectra["component"] == component["component"]], top, _colour(component))
    figure.suptitle(_title(table))
    image = ScalarMappable(Normalize(-largest, largest), MAP_COLOURS)
    bar = figure.colorbar(
        image, ax=grid, location="bottom", aspect=50, fraction=0.12 / n_rows, shrink=0.5, extend="both"
    )
    bar.ax.axvspan(-THRESHOLD, THRESHOLD, color="white")
    bar.set_label(f"Component map (z); |z| < {THRESHOLD:g} not shown; right of the image is right of the brain")
    return figure


def _draw_map(
    ax: Any,
    component: pd.Series,
    volume: np.ndarray,
    affine: np.ndarray,
    anatomy: np.ndarray,
    anatomy_affine: np.ndarray,
    largest: float,
) -> None:
    """Draw three slices through the peak side by side."""
    ax.set_title(_heading(component), fontsize=9, loc="center", color=_colour(component))
    shift = 0.0
    for axis, name in enumerate(("peak_x", "peak_y", "peak_z")):
        position = float(component[name])
        plane = cut(volume, affine, axis, position)
        end = draw_slice(ax, plane, cut(anatomy, anatomy_affine, axis, position), THRESHOLD, largest, shift)
        ax.text((shift + end) / 2, -HALF_HEIGHT, f"{LETTERS[axis]} = {position:.0f}", ha="center", va="top", fontsize=8)
        shift = end + 4


def _draw_spectrum(ax: Any, spectrum: pd.DataFrame, top: float, colour: str) -> None:
    """Draw the share of each frequency in the variance, in percent."""
    ax.fill_between(spectrum["frequency"], 100 * spectrum["power"], color=colour, alpha=0.3, lw=0)
    ax.plot(spectrum["frequency"], 100 * spectrum["power"], color=colour, lw=1)
    ax.set_xlim(0, None)
    ax.set_ylim(0, top)
    ax.tick_params(labelsize=7)
    ax.locator_params(nbins=3)
    ax.set_xlabel("Frequency (Hz)", fontsize=7, labelpad=1)
    ax.set_ylabel("Power (%)", fontsize=7, labelpad=1)


def _by_domain(table: pd.DataFrame) -> pd.DataFrame:
    """Bring the components of each domain together; the index still says which map is whose."""
    place = {domain: index for index, domain in enumerate(table["domain"].dropna().unique())}
    return table.iloc[table["domain"].map(place).fillna(len(place)).argsort(kind="stable")]


def _colour(component: pd.Series) -> str:
    return _MARKED if _is_artefact(component["artefact"]) else _UNMARKED


def _is_artefact(mark: Any) -> bool:
    return bool(pd.notna(mark) and mark)


def _title(table: pd.DataFrame) -> str:
    """Say how many components there are, what Iq means, and how many are marked."""
    parts = [f"{len(table)} components at their peaks (mm), with the spectra of their time courses"]
    if table["stability"].notna().any():
        parts.append(f"stability (Iq) over {int(table['n_starts'].max())} starts")
    if marked := sum(map(_is_artefact, table["artefact"])):
        parts.append(f"{marked} likely artefacts in colour")
    return "; ".join(parts)


def _heading(component: pd.Series) -> str:
    """Name a component, with its stability, label and domain where they are known, and why it may be an artefact."""
    heading = str(component["component"])
    if pd.notna(component["stability"]):
        heading += f"   Iq = {component['stability']:.2f}"
    second = []
    if component["label"] != component["component"] and pd.notna(component["label"]):
        fit = f" (r = {component['correlation']:.2f})" if pd.notna(component["correlation"]) else ""
        domain = f"{component['domain']}: " if pd.notna(component["domain"]) else ""
        second.append(f"{domain}{component['label']}{fit}")
    if pd.notna(component["reason"]):
        second.append(f"artefact? {component['reason']}")
    return "\n".join([heading, *(["; ".join(second)] if second else [])])
