"""Groups drawn by lot: permuted labels, and the spectra that they give, from the steps that one training kept.

Labels are permuted over participants, so that all runs of one keep together. The first arrangement is always the labels
as they are. Spectra of all arrangements are stacked to one tree, whose ``run_index`` counts them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int

from gradspec.training.groupings import Grouping
from gradspec.training.seeds import derive_seed

if TYPE_CHECKING:
    import xarray as xr

    from gradspec.capture import SpectraRecorder
    from gradspec.training.samples import Samples


def permute_labels(
    labels: Int[np.ndarray, "participant"],
    n_permutations: int,
    rng: np.random.Generator,
    strata: Int[np.ndarray, "participant"] | None = None,
) -> Int[np.ndarray, "permutation participant"]:
    """Permute labels over participants, so that the groups keep their sizes.

    Parameters
    ----------
    labels : array of int, shape (participant,)
        Group of each participant.
    n_permutations : int
        Number of permutations; each is drawn anew.
    rng : Generator
        Source of the permutations.
    strata : array of int, optional
        Labels are exchanged only within a stratum, such as a site.

    Returns
    -------
    array of int, shape (permutation, participant)
        Permuted labels.
    """
    permuted = np.repeat(np.asarray(labels)[None], n_permutations, axis=0)
    strata = np.zeros(len(labels), dtype=int) if strata is None else strata
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        permuted[:, members] = rng.permuted(permuted[:, members], axis=1)
    return permuted


def permute_grouping(grouping: Grouping, samples: "Samples", n_permutations: int, seed: int) -> Grouping:
    """Draw arrangements of a grouping by lot, within each group that is learnt.

    Given what was learnt of whom, the labels of a further grouping are exchangeable if the grouping plays no part; but
    where it goes together with the group that is learnt, as sex often does, only those of the same group are.

    Parameters
    ----------
    grouping : Grouping
        Of the samples. Who has no label (-1) keeps none.
    samples : Samples
        The cohort.
    n_permutations : int
        Number of permutations.
    seed : int
        Seed of the config; every fold draws the same.

    Returns
    -------
    Grouping
        With ``permutations``, the labels as they are first.
    """
    _, first, participant = np.unique(samples.participants, return_index=True, return_inverse=True)
    labels = grouping.labels[first]
    strata = np.where(labels < 0, -1, samples.groups[first])
    rng = np.random.default_rng(derive_seed(seed, "permutations", grouping.name))
    arrangements = np.concatenate([labels[None], permute_labels(labels, n_permutations, rng, strata)])
    return replace(grouping, permutations=arrangements[:, participant])


def regroup_permutations(recorder: "SpectraRecorder", grouping: Grouping, attrs: Mapping[str, Any]) -> "xr.DataTree":
    """Spectra of every arrangement of a grouping, from the steps that a recorder kept.

    Parameters
    ----------
    recorder : SpectraRecorder
        Made with ``keep_grams``, and told which samples each step saw.
    grouping : Grouping
        As `permute_grouping` gives it.
    attrs : mapping
        Attributes of the tree, repeat and fold among them.

    Returns
    -------
    DataTree
        Like merged spectra; ``run_index`` counts the arrangements, 0 being the labels as they are.
    """
    import torch

    if grouping.permutations is None:
        raise ValueError(f"the grouping {grouping.name} has no permutations; take permute_grouping first")
    trees = [recorder.regroup(torch.from_numpy(labels), grouping.levels) for labels in grouping.permutations]
    return stack_arrangements(trees, {**attrs, "grouping": grouping.name, "by": "regrouping"})


def number_arrangements(stacked: "xr.DataTree", numbers: Sequence[int]) -> "xr.DataTree":
    """Say along ``run_index`` which arrangements were stacked, 0 being the labels as they are."""
    stacked.dataset = stacked.to_dataset(inherit=False).assign_coords(arrangement=("run_index", list(numbers)))
    return stacked


def stack_arrangements(trees: "Sequence[xr.DataTree]", attrs: Mapping[str, Any]) -> "xr.DataTree":
    """Stack spectra of one fold under several arrangements of the groups, steps being matched by epoch and batch.

    Parameters
    ----------
    trees : sequence of DataTree
        Spectra of a fold, of the same layers and groups: each of one arrangement, or of some that are stacked already.
    attrs : mapping
        Attributes of the whole.

    Returns
    -------
    DataTree
        With the leading dim ``run_index``; a step that an arrangement does not have is NaN and has no samples.
    """
    import xarray as xr

    keys = [_number_batches(tree["epoch"].values) for tree in trees]
    common = sorted(set().union(*keys))
    place = {key: position for position, key in enumerate(common)}
    positions = [[place[key] for key in of_tree] for of_tree in keys]
    names = ["n", *(["group_loss"] if attrs["by"] == "retraining" else [])]
    root = {
        name: (("run_index", "step", "group"), _stack([tree[name].values for tree in trees], 2, positions, len(common)))
        for name in names
    }
    n_arrangements = len(root["n"][1])
    runs = {name: ("run_index", np.full(n_arrangements, attrs[name])) for name in ("repeat", "fold")}
    runs["arrangement"] = ("run_index", np.arange(n_arrangements))
    nodes = {
        "/": xr.Dataset(
            {"epoch": ("step", np.array([epoch for epoch, _ in common])), **root},
            coords={"step": np.arange(len(common)), "group": trees[0]["group"].values, **runs},
            attrs=dict(attrs),
        )
    }
    for node in trees[0].subtree:
        own = node.to_dataset(inherit=False)
        if node.path == "/":
            continue
        kinds = {
            name: (
                ("run_index", "step", "group", "index"),
                _stack([tree[node.path][name].values for tree in trees], 3, positions, len(common)),
            )
            for name, variable in own.data_vars.items()
            if variable.dims[-3:] == ("step", "group", "index")
        }
        nodes[node.path] = xr.Dataset(kinds, attrs=own.attrs)
    return xr.DataTree.from_dict(nodes)


def _number_batches(epochs: Int[np.ndarray, "step"]) -> list[tuple[int, int]]:
    """Epoch of each step, and its number among the recorded ones of that epoch."""
    return [(int(epoch), int((epochs[:step] == epoch).sum())) for step, epoch in enumerate(epochs)]


def _stack(arrays: Sequence[np.ndarray], ndim: int, positions: Sequence[Sequence[int]], n_steps: int) -> np.ndarray:
    """Put the steps of arrays, or of stacks of arrays of `ndim` dims, where they belong; the rest is NaN or 0."""
    arrays = [array if array.ndim > ndim else array[None] for array in arrays]
    shape = np.max([array.shape[2:] for array in arrays], axis=0).astype(int)
    fill = np.nan if arrays[0].dtype.kind == "f" else 0
    stacks = []
    for array, position in zip(arrays, positions, strict=True):
        target = np.full((len(array), n_steps, *shape), fill, dtype=arrays[0].dtype)
        place: Any = (slice(None), list(position), *map(slice, array.shape[2:]))
        target[place] = array
        stacks.append(target)
    return np.concatenate(stacks)
