"""A history of spectra as an `xarray.DataTree`: a node a parameter, with dims (step, group, index)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from gradspec.capture._history import History, Step
from gradspec.capture._layer import Weight


def spectra_tree(history: History, weights: Sequence[Weight], attrs: dict[str, Any]) -> xr.DataTree:
    """All spectra of some weights, with the attributes `attrs` at the root."""
    nodes = {"/": _root(history, attrs)}
    for weight in weights:
        nodes[weight.node] = _node(history, weight)
        if weight.node != weight.parameter:
            nodes.setdefault(weight.parameter, xr.Dataset(attrs={"layer": weight.layer}))
    return xr.DataTree.from_dict(nodes)


def _root(history: History, attrs: dict[str, Any]) -> xr.Dataset:
    steps = history.steps
    counts = np.array(history.counts, dtype=np.int64).reshape(-1, len(history.groups))
    root = xr.Dataset(
        {"n": (("step", "group"), counts, {"long_name": "samples"}), "finite": ("step", _finite(history))},
        coords={"step": [step.index for step in steps], "group": history.groups},
        attrs=attrs,
    )
    if any(step.epoch is not None for step in steps):
        root["epoch"] = ("step", [-1 if step.epoch is None else step.epoch for step in steps])
    if any(step.loss is not None for step in steps):
        root["loss"] = ("step", [np.nan if step.loss is None else step.loss for step in steps])
    if any(step.group_loss is not None for step in steps):
        losses = [_group_loss(step, len(history.groups)) for step in steps]
        root["group_loss"] = (("step", "group"), np.array(losses))
    return root


def _group_loss(step: Step, size: int) -> list[float]:
    """Loss of each group, then pooled."""
    losses = [np.nan] * (size - 1) if step.group_loss is None else step.group_loss
    pooled = np.nan if step.loss is None else step.loss
    return losses if len(losses) == size else [*losses, pooled]


def _finite(history: History) -> list[bool]:
    """Whether every spectrum of the step is finite where its group has samples."""
    return [
        all(
            np.isfinite(spectrum[count > 0, 0]).all()
            for weight in solved.values()
            for spectrum in weight.spectra.values()
        )
        for solved, count in zip(history.solved, history.counts, strict=True)
    ]


def _node(history: History, weight: Weight) -> xr.Dataset:
    spectra = [solved[weight].spectra for solved in history.solved]
    width = max((spectrum.shape[1] for kinds in spectra for spectrum in kinds.values()), default=0)
    variables = {
        kind: (("step", "group", "index"), np.stack([_widen(step[kind], width) for step in spectra]))
        for kind in (spectra[0] if spectra else ())
    }
    attrs = {"layer": weight.layer, "shape": list(weight.shape), "route": history.route(weight)}
    return xr.Dataset(variables, attrs=attrs)


def _widen(spectrum: np.ndarray, width: int) -> np.ndarray:
    return np.pad(spectrum, ((0, 0), (0, width - spectrum.shape[1])), constant_values=np.nan)
