"""The spectra file: opened, checked, and walked layer by layer.

A file is an `xarray.DataTree`. The root holds ``step``, ``group`` (the last is ``pooled``), ``epoch`` (step), ``n``
(step, group) and the loss; each parameter is a node with ``gradient`` and perhaps ``activation`` and ``delta``
(step, group, index), descending, NaN where undefined. Merged files have a leading dim ``run_index``.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gradspec.errors import ConfigError, raise_machine_fault
from gradspec.files import PathLike

if TYPE_CHECKING:
    import xarray as xr

KINDS = ("gradient", "activation", "delta")
POOLED = "pooled"
LOSS_REDUCTIONS = ("mean", "sum")

_ROOT_ATTRIBUTES = ("model", "loss_reduction")
_AGAIN = "delete the file and run its fold again"


def open_spectra(path: PathLike) -> "xr.DataTree":
    """Open the spectra of a fold, or the merged spectra of a model; values are read when they are used.

    Parameters
    ----------
    path : path
        The ``.nc`` file.

    Returns
    -------
    DataTree
        To be closed by the caller, best in a ``with`` block.

    Raises
    ------
    ConfigError
        If the file is not NetCDF, or lacks what every spectra file has.
    """
    import xarray as xr

    try:
        tree = xr.open_datatree(path, engine="h5netcdf")
    except (OSError, ValueError) as error:
        raise_machine_fault(error)
        raise ConfigError(f"{path}: cannot be read as NetCDF ({error}); {_AGAIN}") from error
    try:
        _check(tree, path)
    except ConfigError:
        tree.close()
        raise
    return tree


def iterate_layers(tree: "xr.DataTree") -> Iterator[tuple[str, "xr.Dataset"]]:
    """Name and spectra of every layer, in the order of the file.

    Yields
    ------
    str
        Name of the parameter as in ``model.named_parameters()``; parts of packed weights with a slash, as in
        ``attention.in_proj_weight/q``.
    Dataset
        Its spectra, of the kinds that were recorded.
    """
    for node in tree.children.values():  # depth first: parts of a packed weight stay where the weight is
        spectra = node.to_dataset(inherit=False)
        if any(kind in spectra for kind in KINDS):
            yield node.path.removeprefix("/"), spectra
        yield from iterate_layers(node)


def _check(tree: "xr.DataTree", path: PathLike) -> None:
    """Raise unless the tree has the form that the docstring of this file describes."""
    lacking = [name for name in ("step", "group", "epoch", "n") if name not in tree.variables]
    lacking += [f"attribute {name!r}" for name in _ROOT_ATTRIBUTES if name not in tree.attrs]
    if lacking:
        raise ConfigError(f"{path}: lacks {', '.join(lacking)}, so it is not a file of gradient spectra; {_AGAIN}")
    groups = [str(group) for group in tree["group"].values]
    if groups[-1] != POOLED:
        raise ConfigError(
            f"{path}: the last group must be {POOLED!r}, but the groups are {', '.join(groups)}; {_AGAIN}"
        )
    if tree.attrs["loss_reduction"] not in LOSS_REDUCTIONS:
        raise ConfigError(
            f"{path}: loss_reduction is {tree.attrs['loss_reduction']!r}, expected {' or '.join(LOSS_REDUCTIONS)}: "
            f"without it norms cannot be made independent of the size of a group; {_AGAIN}"
        )
    layers = dict(iterate_layers(tree))
    if not layers:
        raise ConfigError(f"{path}: holds no spectrum of any layer; {_AGAIN}")
    leading = ("run_index",) if "run_index" in tree.dims else ()
    for layer, spectra in layers.items():
        if "shape" not in spectra.attrs:
            raise ConfigError(f"{path}: layer {layer} lacks the attribute 'shape'; {_AGAIN}")
        if "gradient_bound" in spectra:
            raise ConfigError(
                f"{path}: layer {layer} has leading singular values only, of which tables and figures need all; record "
                "with spectrum='exact', or take gradspec.spectra.intervals.feature_intervals of them"
            )
        for kind in KINDS:
            if kind in spectra and spectra[kind].dims != (*leading, "step", "group", "index"):
                raise ConfigError(
                    f"{path}: {kind} of layer {layer} has dims {spectra[kind].dims}, "
                    f"expected {(*leading, 'step', 'group', 'index')}; {_AGAIN}"
                )
