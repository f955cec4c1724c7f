"""Names of components, where their peaks lie, and the tables that say so."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from nibabel.affines import apply_affine
from nibabel.spatialimages import SpatialImage

from gradspec.cohort.tables import read_rows
from gradspec.errors import ConfigError
from gradspec.files import PathLike
from gradspec.ica.group import GroupICA
from gradspec.ica.images import Image
from gradspec.ica.matching import read_reference, spatial_correlation

STABILITY_COLUMNS = {
    "component": "Name of the component; in the order of the volumes of components.nii.gz",
    "stability": "ICASSO quality index Iq over the random starts, 1 for a perfectly reproducible component; n/a with "
    "one start",
    "reproducibility": "Correlation of the component's maps between halves of the participants, mean over random "
    "splits; n/a without splits",
    "stable": "Whether neither stability nor reproducibility is below its limit",
    "n_starts": "Number of random starts that were compared",
    "n_found": "Number of them that have this component",
    "explained_variance": "Share of the variance of the reduced group data that the component explains",
    "converged": "Whether the decomposition that was kept converged",
}
LABELS_COLUMNS = {
    "component": "Name of the component; in the order of the volumes of components.nii.gz",
    "label": "Name of the best fitting network, template-K for volume K of networks without names; the component's own "
    "name where there are no networks to compare with",
    "domain": "Domain of that network; n/a where none is known",
    "correlation": "Spatial correlation with that network; n/a where there is none to compare with, and for a template",
    "peak_x": {"Description": "Position of the highest value, x of the space of the images", "Units": "mm"},
    "peak_y": {"Description": "Position of the highest value, y", "Units": "mm"},
    "peak_z": {"Description": "Position of the highest value, z", "Units": "mm"},
}


def component_names(n_components: int) -> list[str]:
    """Return ``component-01``, ``component-02`` … with as many digits as it takes, at least two."""
    digits = max(2, len(str(n_components)))
    return [f"component-{k:0{digits}d}" for k in range(1, n_components + 1)]


def stability_table(ica: GroupICA) -> pd.DataFrame:
    """Return a row a component with its stability; columns are described in `STABILITY_COLUMNS`."""
    return pd.DataFrame(
        {
            "component": component_names(len(ica.components_)),
            "stability": ica.stability_,
            "reproducibility": ica.reproducibility_,
            "stable": ica.stable_,
            "n_starts": ica.n_starts,
            "n_found": ica.n_found_,
            "explained_variance": ica.explained_variance_,
            "converged": ica.converged_,
        }
    )


def unestimated_table(n_components: int) -> pd.DataFrame:
    """Return the table of stability for maps of a template: they were not estimated, so nothing is known."""
    table = pd.DataFrame({"component": component_names(n_components)})
    return table.reindex(columns=list(STABILITY_COLUMNS))


def read_names(path: PathLike | None, n_networks: int) -> pd.DataFrame:
    """Read the names of the networks in a 4-D image.

    Parameters
    ----------
    path : path, optional
        Tab-separated table with a row a volume, in their order, and the columns ``label`` and, if known, ``domain``.
    n_networks : int
        Number of volumes.

    Returns
    -------
    DataFrame
        ``label`` and ``domain``, a row a volume; without a table the labels are ``template-1`` and so on.

    Raises
    ------
    ConfigError
        If the table cannot be read, has no column ``label``, or another number of rows.
    """
    if not path:
        return pd.DataFrame({"label": [f"template-{k + 1}" for k in range(n_networks)], "domain": None})
    table = read_rows(Path(path), key=None).to_frame()
    if "label" not in table:
        raise ConfigError(f"{path}: has no column 'label'; its columns are {', '.join(table.columns)}")
    if len(table) != n_networks:
        raise ConfigError(f"{path}: has {len(table)} rows, but the image has {n_networks} volumes; give a row a volume")
    return table.reindex(columns=["label", "domain"]).astype({"label": str})


def label_components(
    components: Float[np.ndarray, "component voxel"],
    mask: SpatialImage,
    template: Image | None = None,
    names: PathLike | None = None,
) -> pd.DataFrame:
    """Name components by the networks of a template, and find their peaks.

    Each component gets the template volume with which its spatial correlation is largest (in absolute value); several
    components may get the same one, as a network can split. Judge a label by its correlation.

    Parameters
    ----------
    components : array, (component, voxel)
        Maps within the mask.
    mask : image
        Group mask.
    template : path or image, optional
        4-D image of networks; resampled to the grid of the mask where it has another.
    names : path, optional
        Table of their names, as `read_names` takes it.

    Returns
    -------
    DataFrame
        A row a component; columns are described in `LABELS_COLUMNS`.

    Raises
    ------
    ConfigError
        If the template or the names cannot be read, or volumes are empty within the mask.
    """
    inside = np.asanyarray(mask.dataobj) > 0
    own = component_names(len(components))
    if template is None:
        return _table(components, mask, own, [None] * len(own), np.full(len(own), np.nan))
    reference = read_reference(template, mask, inside)
    networks = read_names(names, len(reference))
    correlations = spatial_correlation(components, reference)
    best = np.abs(correlations).argmax(axis=1)
    chosen = networks.iloc[best]
    fit = correlations[np.arange(len(best)), best]
    return _table(components, mask, list(chosen["label"]), list(chosen["domain"]), fit)


def label_template(
    components: Float[np.ndarray, "component voxel"], mask: SpatialImage, names: PathLike | None = None
) -> pd.DataFrame:
    """Name the maps of a template, which are their own networks, and find their peaks; see `label_components`."""
    networks = read_names(names, len(components))
    unknown = np.full(len(components), np.nan)
    return _table(components, mask, list(networks["label"]), list(networks["domain"]), unknown)


def _table(
    components: Float[np.ndarray, "component voxel"],
    mask: SpatialImage,
    labels: Sequence[str],
    domains: Sequence[str | float | None],
    correlations: Float[np.ndarray, " component"],
) -> pd.DataFrame:
    voxels = np.argwhere(np.asanyarray(mask.dataobj) > 0)
    peaks = apply_affine(mask.affine, voxels[components.argmax(axis=1)])
    return pd.DataFrame(
        {
            "component": component_names(len(components)),
            "label": labels,
            "domain": domains,
            "correlation": correlations,
            "peak_x": peaks[:, 0],
            "peak_y": peaks[:, 1],
            "peak_z": peaks[:, 2],
        }
    )
