"""How many components: stability against their number, and minimum description length beside it.

Minimum description length (Li, Adalı & Calhoun 2007, Hum. Brain Mapp. 28:1251) asks how many sources of one run stand
out of noise; in runs from which confounds were regressed out, directions without noise mislead it, up to their rank.
Reproducibility between halves of the participants asks what the group is for: up to which number are the components
found again in other people?
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from nibabel.spatialimages import SpatialImage
from sklearn.base import clone

from gradspec.errors import ConfigError
from gradspec.files import PathLike
from gradspec.ica.group import GroupICA
from gradspec.ica.images import Image, load, name_of
from gradspec.progress import track

ORDER_COLUMNS: dict[str, str] = {
    "method": "How the number was judged: stability of a decomposition, or minimum description length (mdl) of a run",
    "n_components": "Number of components: compared (stability), or found (mdl)",
    "run": "Run whose order was estimated; n/a for decompositions of the group",
    "stability": "Mean ICASSO index Iq of the components; n/a for mdl",
    "reproducibility": "Mean correlation of the components between halves of the participants; n/a for mdl",
    "n_reproducible": "Number of components whose correlation between halves is not below the limit; n/a for mdl",
    "converged": "Whether the decomposition converged; n/a for mdl",
}


def stability_curve(
    reductions: Sequence[PathLike | Float[np.ndarray, "_ voxel"]],
    mask: Image,
    orders: Sequence[int],
    estimator: GroupICA,
    participants: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Decompose with several numbers of components and say how stable they are.

    Parameters
    ----------
    reductions : sequence of path or array, (component, voxel)
        Reductions of the runs, see `gradspec.ica.group.GroupICA.fit_reduced`.
    mask : path or image
        Their mask.
    orders : sequence of int
        Numbers of components.
    estimator : GroupICA
        Its other parameters are used; it is not changed.
    participants : sequence of str, optional
        Participant of each reduction.

    Returns
    -------
    DataFrame
        A row for each number, in ascending order; columns are described in `ORDER_COLUMNS`.

    Raises
    ------
    ConfigError
        If the data do not support one of the numbers.
    """
    rows = []
    for n_components in sorted(orders):
        ica = clone(estimator).set_params(n_components=n_components).fit_reduced(reductions, mask, participants)
        rows.append(
            {
                "method": "stability",
                "n_components": n_components,
                "run": None,
                "stability": ica.stability_.mean(),
                "reproducibility": ica.reproducibility_.mean(),
                "n_reproducible": int((ica.reproducibility_ >= ica.min_reproducibility).sum()),
                "converged": ica.converged_,
            }
        )
    return pd.DataFrame(rows, columns=list(ORDER_COLUMNS))


def mdl_orders(images: Sequence[Image], mask: SpatialImage, names: Sequence[str]) -> pd.DataFrame:
    """Estimate the number of components of each run by minimum description length, with the package mapca.

    Parameters
    ----------
    images : sequence of path or image
        4-D runs on the grid of the mask.
    mask : image
        Group mask.
    names : sequence of str
        What to call the runs.

    Returns
    -------
    DataFrame
        A row a run; columns are described in `ORDER_COLUMNS`.

    Raises
    ------
    ConfigError
        If mapca is not installed.
    """
    try:
        from mapca import MovingAveragePCA
    except ImportError as error:
        raise ConfigError(
            "ica.mdl needs the package mapca: `pip install mapca` (into the environment of envs/ica.yaml), or set "
            "ica.mdl to false"
        ) from error
    rows = []
    for name, image in zip(names, track(images, "Minimum description length"), strict=True):
        run = load(image, 4)
        pca = MovingAveragePCA(criterion="mdl", normalize=True)
        pca.fit(run, mask)
        rows.append({"method": "mdl", "n_components": int(pca.n_components_), "run": name or name_of(image)})
    return pd.DataFrame(rows, columns=list(ORDER_COLUMNS))
