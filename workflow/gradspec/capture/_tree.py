"""A history of spectra as an `xarray.DataTree`: a node a parameter, with dims (step, group, index)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from gradspec.capture._alignment import ALIGNMENTS, AlignedStep
from gradspec.capture._history import History, Record
from gradspec.capture._layer import Weight
from gradspec.capture._leading import BOUND, NORM

DESCRIPTIONS = {
    "n": {"long_name": "samples"},
    "weight_sum": {"long_name": "sum of the weights of the samples in the loss"},
    "finite": {"long_name": "whether all spectra are finite"},
    "epoch": {"long_name": "epoch, -1 where unknown"},
    "loss": {"long_name": "loss of the batch"},
    "group_loss": {"long_name": "loss of the group"},
}
SPECTRA = {
    BOUND: {"long_name": "largest error of the singular values of the gradient"},
    NORM: {"long_name": "Frobenius norm of the gradient"},
}


def spectra_tree(history: History, weights: Sequence[Weight], attrs: dict[str, Any]) -> xr.DataTree:
    """All spectra of some weights, with the attributes `attrs` at the root."""
    nodes = {"/": _root(history.records, history.groups, attrs)}
    for weight in weights:
        nodes[weight.node] = _node(history, weight)
        if weight.node != weight.parameter:
            nodes.setdefault(weight.parameter, xr.Dataset(attrs={"layer": weight.layer}))
    return xr.DataTree.from_dict(nodes)


def alignment_tree(steps: Sequence[AlignedStep], groups: list[str], attrs: dict[str, Any]) -> xr.DataTree:
    """Alignments of groups in some steps, a node a weight, with dims (step, group)."""
    epochs = [-1 if each.step.epoch is None else each.step.epoch for each in steps]
    coords = {"step": [each.step.index for each in steps], "group": groups}
    nodes = {"/": xr.Dataset({"epoch": ("step", epochs)}, coords=coords, attrs=attrs)}
    for weight in dict.fromkeys(weight for each in steps for weight in each.weights):
        unknown = np.full((len(groups), len(ALIGNMENTS)), np.nan)
        values = np.stack([each.weights.get(weight, unknown) for each in steps])
        variables = {name: (("step", "group"), values[..., i]) for i, name in enumerate(ALIGNMENTS)}
        nodes[weight.node] = xr.Dataset(variables, attrs={"layer": weight.layer, "shape": list(weight.shape)})
        if weight.node != weight.parameter:
            nodes.setdefault(weight.parameter, xr.Dataset(attrs={"layer": weight.layer}))
    return xr.DataTree.from_dict(nodes)


def step_variables(records: Sequence[Record], n_groups: int) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """What is known of each step beside its spectra, pooled being one of the groups: dims and values."""
    steps = [record.step for record in records]
    of_groups = {
        "n": np.array([record.counts for record in records], dtype=np.int64),
        "weight_sum": np.array([record.weight_sums for record in records], dtype=np.float64),
        "group_loss": np.array([record.group_loss() for record in records], dtype=np.float64),
    }
    return {
        **{name: (("step", "group"), values.reshape(-1, n_groups)) for name, values in of_groups.items()},
        "finite": (("step",), np.array([record.finite for record in records], dtype=bool)),
        "epoch": (("step",), np.array([-1 if step.epoch is None else step.epoch for step in steps], dtype=np.int64)),
        "loss": (("step",), np.array([np.nan if step.loss is None else step.loss for step in steps], dtype=float)),
    }


def stack_spectra(records: Sequence[Record], weight: Weight) -> dict[str, np.ndarray]:
    """Spectra (step, group, index) of each kind of a weight, NaN where a step has fewer; norms (step, group)."""
    spectra = [record.solved[weight].spectra if weight in record.solved else {} for record in records]
    width = max((spectrum.shape[1] for kinds in spectra for spectrum in kinds.values()), default=0)
    unknown = np.empty((len(records[0].counts) if records else 0, 0))
    kinds = dict.fromkeys(kind for kinds in spectra for kind in kinds)
    stacks = {kind: np.stack([_widen(step.get(kind, unknown), max(width, 1)) for step in spectra]) for kind in kinds}
    return {kind: stack[..., 0] if kind == NORM else stack[..., :width] for kind, stack in stacks.items()}


def _root(records: Sequence[Record], groups: list[str], attrs: dict[str, Any]) -> xr.Dataset:
    variables = {
        name: (dims, values, DESCRIPTIONS[name])
        for name, (dims, values) in step_variables(records, len(groups)).items()
    }
    steps = np.array([record.step.index for record in records], dtype=np.int64)
    return xr.Dataset(variables, coords={"step": steps, "group": groups}, attrs=attrs)


def _node(history: History, weight: Weight) -> xr.Dataset:
    variables = {
        kind: (("step", "group", "index")[: values.ndim], values, SPECTRA.get(kind, {}))
        for kind, values in stack_spectra(history.records, weight).items()
    }
    attrs = {"layer": weight.layer, "shape": list(weight.shape), "route": history.route(weight)}
    return xr.Dataset(variables, attrs=attrs)


def _widen(spectrum: np.ndarray, width: int) -> np.ndarray:
    return np.pad(spectrum, ((0, 0), (0, width - spectrum.shape[1])), constant_values=np.nan)
