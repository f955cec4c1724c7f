"""The folds of a model, merged into one file with a leading dim ``run_index``."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from gradspec.errors import ConfigError
from gradspec.files import PathLike
from gradspec.progress import track
from gradspec.spectra.alignment import ALIGNMENT
from gradspec.spectra.file import KINDS, iterate_layers, open_spectra

if TYPE_CHECKING:
    import xarray as xr

_RUN_ATTRIBUTES = ("repeat", "fold", "seed")
_SAME_ATTRIBUTES = ("model", "loss_reduction", "group_definition")


@dataclass
class Fold:
    """One spectra file: root, layers, and where its steps go on the common axis of steps."""

    path: PathLike
    root: "xr.Dataset"
    layers: "dict[str, xr.Dataset]"
    positions: np.ndarray | None = None

    @property
    def run(self) -> tuple[int, int]:
        """Repeat and fold."""
        return int(self.root.attrs["repeat"]), int(self.root.attrs["fold"])


def merge_folds(paths: Sequence[PathLike]) -> "xr.DataTree":
    """Merge the spectra of all folds and repeats of a model.

    Where the folds took the same steps these are kept. Where they differ (a smaller fold has fewer batches in an
    epoch) steps are aligned by epoch and batch and numbered anew from 0, so that ``epoch`` (step) holds for every run;
    a run without a certain batch has NaN there and ``n`` = 0.

    Parameters
    ----------
    paths : sequence of path
        A ``spectra.nc`` a fold, in any order.

    Returns
    -------
    DataTree
        Like that of a fold with a leading dim ``run_index``, ordered by repeat and fold, and the root coordinates
        ``repeat``, ``fold`` and ``seed`` (run_index).

    Raises
    ------
    ConfigError
        If a file is not a fold's spectra, if two are of the same fold, or if they disagree in model, groups, layers,
        shapes or kinds; both files are named.
    """
    import xarray as xr

    with ExitStack() as stack:
        trees = [(path, stack.enter_context(open_spectra(path))) for path in paths]
        folds = sorted((_as_fold(path, tree) for path, tree in trees), key=lambda fold: fold.run)
        _check_agreement(folds)
        steps, epochs = _align_steps(folds)
        nodes = {"/": _merge_roots(folds, steps, epochs)}
        for layer in track(folds[0].layers, "layers"):
            nodes.setdefault(layer.partition("/")[0], xr.Dataset())  # a packed weight keeps its place among the others
            nodes[layer] = _merge_layer([fold.layers[layer] for fold in folds], folds, len(steps))
        return xr.DataTree.from_dict(nodes)


def _as_fold(path: PathLike, tree: "xr.DataTree") -> Fold:
    root = tree.to_dataset().load()
    lacking = [name for name in ("repeat", "fold") if name not in root.attrs]
    if lacking or "run_index" in root.dims:
        raise ConfigError(
            f"{path}: is not the spectra of one fold (attributes 'repeat' and 'fold'); give those of folds"
        )
    return Fold(path, root, dict(iterate_layers(tree)))


def _check_agreement(folds: Sequence[Fold]) -> None:
    """Raise unless all folds are of one model, recorded alike, and no two are the same."""
    if not folds:
        raise ConfigError("There are no spectra to merge: no fold was given")
    for one, other in pairwise(folds):
        if one.run == other.run:
            raise ConfigError(f"{one.path} and {other.path} are both repeat {one.run[0]}, fold {one.run[1]}; keep one")
    first = folds[0]
    for fold in folds[1:]:
        for what, expected in _signature(first).items():
            found = _signature(fold)[what]
            if found != expected:
                raise ConfigError(
                    f"{first.path} and {fold.path} cannot be merged: {what} differ: {_difference(expected, found)}; "
                    "delete the folder of the one that is out of date and run again"
                )


def _signature(fold: Fold) -> dict[str, Any]:
    """What must be the same in all folds, by the word for it."""
    return {
        **{f"attributes {name!r}": fold.root.attrs.get(name) for name in _SAME_ATTRIBUTES},
        "groups": [str(group) for group in fold.root["group"].values],
        "layers": list(fold.layers),
        "shapes or kinds of layers": [
            f"{name}: {'×'.join(map(str, np.atleast_1d(spectra.attrs['shape'])))} "
            f"({', '.join(kind for kind in KINDS if kind in spectra)})"
            for name, spectra in fold.layers.items()
        ],
    }


def _difference(expected: Any, found: Any) -> str:
    if isinstance(expected, list) and set(expected) != set(found):
        expected, found = (
            [item for item in one if item not in other] for one, other in ((expected, found), (found, expected))
        )
    one, other = (", ".join(side) or "nothing" if isinstance(side, list) else repr(side) for side in (expected, found))
    return f"{one} against {other}"


def _align_steps(folds: Sequence[Fold]) -> tuple[np.ndarray, np.ndarray]:
    """Place the steps of every fold on a common axis.

    Returns
    -------
    array of int
        Number of each step of the common axis.
    array of int
        Its epoch.
    """
    steps, epochs = folds[0].root["step"].values, folds[0].root["epoch"].values
    if all(
        np.array_equal(fold.root["step"].values, steps) and np.array_equal(fold.root["epoch"].values, epochs)
        for fold in folds
    ):
        for fold in folds:
            fold.positions = np.arange(len(steps))
        return steps, epochs
    batches: dict[int, int] = {}
    for fold in folds:
        for epoch, count in zip(*np.unique(fold.root["epoch"].values, return_counts=True), strict=True):
            batches[int(epoch)] = max(batches.get(int(epoch), 0), int(count))
    common = np.repeat(sorted(batches), [batches[epoch] for epoch in sorted(batches)])
    for fold in folds:
        own = fold.root["epoch"].values
        batch = np.array([np.sum(own[:i] == epoch) for i, epoch in enumerate(own)], dtype=int)
        fold.positions = np.searchsorted(common, own) + batch
    return np.arange(len(common)), common


def _merge_roots(folds: Sequence[Fold], steps: np.ndarray, epochs: np.ndarray) -> "xr.Dataset":
    import xarray as xr

    first = folds[0].root
    variables = {
        name: (
            ("run_index", *variable.dims),
            _stack([fold.root[name].values for fold in folds], folds, len(steps)),
            variable.attrs,
        )
        for name, variable in first.data_vars.items()
        if name != "epoch" and variable.dims[:1] == ("step",) and all(name in fold.root for fold in folds)
    }
    attrs = {
        name: value
        for name, value in first.attrs.items()
        if name not in _RUN_ATTRIBUTES and all(np.array_equal(value, fold.root.attrs.get(name)) for fold in folds)
    }
    runs = {
        name: ("run_index", [int(fold.root.attrs[name]) for fold in folds])
        for name in _RUN_ATTRIBUTES
        if all(name in fold.root.attrs for fold in folds)
    }
    return xr.Dataset(
        {"epoch": ("step", epochs), **variables},
        coords={"step": steps, "group": first["group"].values, "run_index": np.arange(len(folds)), **runs},
        attrs=attrs,
    )


def _merge_layer(spectra: "Sequence[xr.Dataset]", folds: Sequence[Fold], n_steps: int) -> "xr.Dataset":
    import xarray as xr

    routes = sorted({route for one in spectra for route in str(one.attrs.get("route", "")).split(", ")})
    return xr.Dataset(
        {
            kind: (
                ("run_index", "step", "group", "index"),
                _stack([one[kind].values for one in spectra], folds, n_steps),
                spectra[0][kind].attrs,
            )
            for kind in KINDS
            if kind in spectra[0]
        }
        | {
            name: (("run_index", "step", "group"), _stack([one[name].values for one in spectra], folds, n_steps))
            for name in ALIGNMENT
            if all(name in one for one in spectra)
        },
        attrs={**spectra[0].attrs, "route": ", ".join(routes)},
    )


def _stack(arrays: Sequence[np.ndarray], folds: Sequence[Fold], n_steps: int) -> np.ndarray:
    """Stack arrays (step, …), each at the positions of its steps, padded with NaN, or 0 where they are integers."""
    shape = np.max([array.shape[1:] for array in arrays], axis=0).astype(int)
    fill = np.nan if arrays[0].dtype.kind == "f" else 0
    merged = np.full((len(arrays), n_steps, *shape), fill, dtype=arrays[0].dtype)
    for target, array, fold in zip(merged, arrays, folds, strict=True):
        target[(fold.positions, *map(slice, array.shape[1:]))] = array
    return merged
