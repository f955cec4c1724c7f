r"""Spectra under permuted groups as the omnibus test takes them: how far the groups are apart, singular value by value.

Of every arrangement, layer and singular value i it is the mean over all training runs of :math:`\log \sigma_i` of the
comparison group minus that of the reference group, apart for the first and the second half of the recorded steps: a
difference that turns round in training shall not cancel.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from gradspec.errors import ConfigError
from gradspec.files import PathLike
from gradspec.spectra.features import drop_rounding, rounding_tolerance
from gradspec.spectra.file import iterate_layers, open_spectra

if TYPE_CHECKING:
    import xarray as xr

HALVES = ("first", "second")


def summarise_retrained(files: Sequence[PathLike]) -> "xr.DataTree":
    """Average what parts the groups over the steps of each half and over all runs of a network.

    Parameters
    ----------
    files : sequence of path
        Spectra of every fold under arrangements of the groups, each of which may be shared out over files.

    Returns
    -------
    DataTree
        A node a layer with ``log_ratio`` (arrangement, half, index), of the singular values that are defined and above
        rounding in every step; a layer without any is not there. Attributes: model, n_runs.

    Raises
    ------
    ConfigError
        If an arrangement was not trained in all runs.
    """
    import xarray as xr

    means: dict[str, dict[int, list[np.ndarray]]] = {}
    model = ""
    for file in files:
        with open_spectra(file) as tree:
            model, numbers = tree.attrs["model"], tree["arrangement"].values.tolist()
            taken = tree["n"].values[..., -1] > 0
            for layer, spectra in iterate_layers(tree):
                if "gradient" not in spectra:
                    continue
                tolerance = rounding_tolerance(tuple(map(int, np.atleast_1d(spectra.attrs["shape"]))))
                values = drop_rounding(spectra["gradient"].values[:, :, :2], tolerance)
                for number, run, steps in zip(numbers, values, taken, strict=True):
                    means.setdefault(layer, {}).setdefault(number, []).append(_log_ratio(run[steps]))
    n_runs = {len(runs) for by_number in means.values() for runs in by_number.values()}
    if len(n_runs) > 1:
        raise ConfigError(
            f"{model}: permuted groups were trained in {', '.join(map(str, sorted(n_runs)))} runs, not all in the same "
            "ones; delete the files spectra_permuted-*.nc of this network and run again"
        )
    nodes: dict[str, xr.Dataset] = {"/": xr.Dataset(attrs={"model": model, "n_runs": max(n_runs, default=0)})}
    for layer, by_number in means.items():
        width = min(run.shape[-1] for runs in by_number.values() for run in runs)
        with np.errstate(invalid="ignore"):
            ratios = np.stack(
                [np.mean([run[:, :width] for run in by_number[number]], axis=0) for number in sorted(by_number)]
            )
        defined = np.isfinite(ratios).all(axis=(0, 1))
        if defined.any():
            nodes[layer] = xr.Dataset(
                {"log_ratio": (("arrangement", "half", "index"), ratios[..., defined])},
                coords={"arrangement": sorted(by_number), "half": list(HALVES), "index": np.flatnonzero(defined)},
            )
    return xr.DataTree.from_dict(nodes)


def _log_ratio(spectra: Float[np.ndarray, "step group index"]) -> Float[np.ndarray, "half index"]:
    """Mean of the difference of the logarithms over each half of the steps; not finite where any step lacks one."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(spectra)
        ratios = logs[:, 1] - logs[:, 0]
        middle = max(len(ratios) // 2, 1)
        return np.stack([ratios[:middle].mean(axis=0), ratios[middle if len(ratios) > 1 else 0 :].mean(axis=0)])
