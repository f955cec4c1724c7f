"""Spectra files of invented networks, in the form in which the recorder and the training write them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from gradspec.files import write_dataset

GROUPS = ("control", "patient", "pooled")
SHAPES = {"hidden.weight": (12, 20), "attention.in_proj_weight/q": (6, 6), "output.weight": (2, 12)}


def make_fold(
    repeat: int = 0,
    fold: int = 0,
    *,
    model: str = "mlp",
    batches: tuple[int, ...] = (2, 2, 2),
    counts: tuple[int, int] = (4, 4),
    shapes: Mapping[str, tuple[int, int]] = SHAPES,
    kinds: tuple[str, ...] = ("gradient",),
    groups: tuple[str, ...] = GROUPS,
    loss_reduction: str = "mean",
) -> xr.DataTree:
    """Spectra of random gradients: `batches` steps in each epoch, `counts` samples of each group in a step."""
    rng = np.random.default_rng([repeat, fold])
    epochs = np.repeat(np.arange(len(batches)), batches)
    n = np.tile([*counts, sum(counts)], (len(epochs), 1))
    root = xr.Dataset(
        {
            "n": (("step", "group"), n),
            "epoch": ("step", epochs),
            "loss": ("step", rng.random(len(epochs))),
            "group_loss": (("step", "group"), rng.random((len(epochs), 3))),
        },
        coords={"step": np.arange(len(epochs)), "group": list(groups)},
        attrs={
            "model": model,
            "repeat": repeat,
            "fold": fold,
            "seed": 100 + fold,
            "loss_reduction": loss_reduction,
            "group_definition": "rows",
        },
    )
    nodes = {"/": root}
    for layer, shape in shapes.items():
        rank = min(*shape, n.max())
        spectra = {
            kind: (("step", "group", "index"), _draw_spectra(rng, n, shape, rank) * (i + 1))
            for i, kind in enumerate(kinds)
        }
        nodes.setdefault(layer.partition("/")[0], xr.Dataset())
        nodes[layer] = xr.Dataset(spectra, attrs={"layer": "Linear", "shape": list(shape), "route": "sample side"})
    return xr.DataTree.from_dict(nodes)


def write_folds(folder: Path, *folds: xr.DataTree) -> list[Path]:
    """Write each fold to a file of its own, named by its position."""
    paths = [folder / f"fold {i}" / "spectra.nc" for i in range(len(folds))]
    for tree, path in zip(folds, paths, strict=True):
        write_dataset(tree, path)
    return paths


def _draw_spectra(rng: np.random.Generator, n: np.ndarray, shape: tuple[int, int], rank: int) -> np.ndarray:
    """Descending positive numbers, NaN beyond the rank that each group can have."""
    spectra = -np.sort(-rng.gamma(2.0, size=(*n.shape, rank)), axis=-1)
    spectra[np.arange(rank) >= np.minimum(n, min(shape))[..., None]] = np.nan
    return spectra
