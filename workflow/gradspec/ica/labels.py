"""Names of components, where their peaks lie, and the tables that say so."""

import numpy as np
import pandas as pd
from jaxtyping import Float
from nibabel.affines import apply_affine
from nibabel.spatialimages import SpatialImage

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
    "label": "Best fitting volume of the template (counted from 1), or the component's own name without a template",
    "correlation": "Spatial correlation with that volume; n/a without a template",
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


def label_components(
    components: Float[np.ndarray, "component voxel"], mask: SpatialImage, template: Image | None = None
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

    Returns
    -------
    DataFrame
        A row a component; columns are described in `LABELS_COLUMNS`.

    Raises
    ------
    ConfigError
        If the template cannot be read, or has volumes that are empty within the mask.
    """
    inside = np.asanyarray(mask.dataobj) > 0
    names = component_names(len(components))
    labels, best = names, np.full(len(components), np.nan)
    if template is not None:
        correlations = spatial_correlation(components, read_reference(template, mask, inside))
        network = np.abs(correlations).argmax(axis=1)
        labels = [f"template-{k + 1}" for k in network]
        best = correlations[np.arange(len(components)), network]
    peaks = apply_affine(mask.affine, np.argwhere(inside)[components.argmax(axis=1)])
    return pd.DataFrame(
        {
            "component": names,
            "label": labels,
            "correlation": best,
            "peak_x": peaks[:, 0],
            "peak_y": peaks[:, 1],
            "peak_z": peaks[:, 2],
        }
    )
