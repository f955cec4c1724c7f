"""Spectra in a NetCDF file that grows while training runs, and is whole at every moment.

A flush adds the steps since the last one to a copy of the file, which then takes its place: whoever kills the process
leaves the file of the last flush, and whoever reads it meanwhile reads a complete one. Copying costs more as the file
grows, so that a flush waits until a hundred times as long as the last one took has gone by.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import h5netcdf
import numpy as np
import xarray as xr

from gradspec.capture._history import History, Record
from gradspec.capture._layer import Weight
from gradspec.capture._leading import NORM, Leading
from gradspec.capture._tree import spectra_tree, stack_spectra, step_variables
from gradspec.capture.errors import CaptureError

_PATIENCE = 100
_CHUNK_STEPS = 64


class SpectraFile:
    """The file of a recorder.

    Parameters
    ----------
    path : Path
        Where it is, or is to be.
    groups : list of str
        Names of the groups, then pooled.
    weights : sequence of Weight
        What has a node.
    kinds : sequence of str
        Kinds of spectra.
    leading : Leading
        Which weights have leading singular values only.

    Attributes
    ----------
    routes : dict
        The routes that each weight took in the steps of a file that was taken up.

    Raises
    ------
    CaptureError
        When there is no such folder and it cannot be made, or nothing can be written there.
    """

    def __init__(
        self, path: Path, groups: list[str], weights: Sequence[Weight], kinds: Sequence[str], leading: Leading
    ) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CaptureError(f"{path} cannot be written: {error}") from error
        if not os.access(path.parent, os.W_OK):
            raise CaptureError(f"{path} cannot be written: the folder gives no permission")
        self.path = path
        self._groups = groups
        self._weights = weights
        self._kinds = tuple(kinds)
        self._leading = leading
        self.routes: dict[Weight, set[str]] = {}
        self._last = monotonic()
        self._took = 0.0
        self._partial = path.with_name(f".partial-{path.name}")

    @property
    def is_due(self) -> bool:
        """Whether the next flush would cost little of the time that has gone by."""
        return monotonic() - self._last >= _PATIENCE * self._took

    def append(self, history: History, attrs: dict[str, Any]) -> None:
        """Add the steps of a history."""
        start = monotonic()
        if self.path.exists():
            shutil.copyfile(self.path, self._partial)
            with h5netcdf.File(self._partial, "a") as file:
                self._extend(file, history, attrs)
        else:
            self._create(history, attrs)
        self._publish()
        self._last = monotonic()
        self._took = self._last - start

    def read(self) -> xr.DataTree:
        """Everything in the file."""
        with xr.open_datatree(self.path, engine="h5netcdf") as tree:
            return tree.load()

    def resume(self, step: int | None) -> int:
        """Take up a file that is there, without the steps from a number on; gives the number of the next step.

        Raises
        ------
        CaptureError
            When the file holds spectra of other groups, kinds or weights, or can't be read.
        """
        try:
            tree = self.read()
        except (OSError, ValueError, KeyError) as error:
            raise CaptureError(f"{self.path} cannot be read as spectra: {error}") from error
        self._check_same(tree)
        self.routes = {weight: set(tree[weight.node].attrs["route"].split(", ")) - {""} for weight in self._weights}
        steps = tree["step"].values
        kept = steps if step is None else steps[steps < step]
        if len(kept) < len(steps):
            tree = tree.isel(step=slice(0, len(kept)))
            self._write(tree)
            self._publish()
        if step is not None:
            return step
        return int(steps[-1]) + 1 if len(steps) else 0

    def _check_same(self, tree: xr.DataTree) -> None:
        nodes = {node.path.lstrip("/") for node in tree.subtree if "gradient" in node.data_vars}
        expected = {
            "groups": (list(tree["group"].values), self._groups),
            "kinds": (tree.attrs.get("kinds"), ", ".join(self._kinds)),
            "spectra": (tree.attrs.get("spectrum", "exact"), str(self._leading)),
            "weights": (sorted(nodes), sorted(weight.node for weight in self._weights)),
        }
        for what, (found, wanted) in expected.items():
            if found != wanted:
                raise CaptureError(f"{self.path} holds other {what}: {found}, but the recorder has {wanted}")

    def _create(self, history: History, attrs: dict[str, Any]) -> None:
        self._write(spectra_tree(history, self._weights, attrs))

    def _write(self, tree: xr.DataTree) -> None:
        encoding = {
            node.path: {
                name: {"chunksizes": _chunks(variable), "_FillValue": np.nan if variable.dtype.kind == "f" else None}
                for name, variable in node.data_vars.items()
            }
            for node in tree.subtree
        }
        encoding["/"]["step"] = {"chunksizes": (_CHUNK_STEPS,)}
        unlimited = {
            node.path: {dim for dim in ("step", "index") if dim in node.to_dataset(inherit=False).dims}
            for node in tree.subtree
        }
        tree.to_netcdf(self._partial, engine="h5netcdf", encoding=encoding, unlimited_dims=unlimited)

    def _extend(self, file: h5netcdf.File, history: History, attrs: dict[str, Any]) -> None:
        records = history.records
        old = file.dimensions["step"].size
        new = old + len(records)
        file.resize_dimension("step", new)
        file.variables["step"][old:new] = [record.step.index for record in records]
        for name, (_, values) in step_variables(records, len(self._groups)).items():
            file.variables[name][old:new] = values
        for weight in self._weights:
            self._extend_node(file[weight.node], old, records, weight)
            file[weight.node].attrs["route"] = history.route(weight)
        for name, value in attrs.items():
            file.attrs[name] = value

    def _extend_node(self, node: h5netcdf.Group, old: int, records: Sequence[Record], weight: Weight) -> None:
        new = old + len(records)
        for kind, values in stack_spectra(records, weight).items():
            if kind == NORM:
                node.variables[kind][old:new] = values
                continue
            width = values.shape[-1]
            if node.dimensions["index"].size < width:
                node.resize_dimension("index", width)
            if width:
                node.variables[kind][old:new, :, :width] = values

    def _publish(self) -> None:
        with self._partial.open("rb") as file:
            os.fsync(file.fileno())
        self._partial.replace(self.path)


def _chunks(variable: xr.DataArray) -> tuple[int, ...]:
    return (_CHUNK_STEPS, *(max(size, 1) for size in variable.shape[1:]))
