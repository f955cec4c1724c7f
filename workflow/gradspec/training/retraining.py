"""Folds trained again under permuted groups: the test of the groups that are learnt.

Labels that are learnt, partition into folds, equal groups and batches all follow the permuted groups, as they would if
these were the true ones; initial weights and masks of dropout are the same under all. Networks of a fold are trained
together where PyTorch can stack them (`gradspec.training.stacked`), else one after the other. What was finished waits
beside the file, so that a job that is killed goes on from there.
"""

import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int

from gradspec.files import write_dataset
from gradspec.training.checkpoint import Checkpoint, fingerprint_of
from gradspec.training.device import choose_device
from gradspec.training.fold import Fold, fingerprint, train_fold
from gradspec.training.permutations import number_arrangements, permute_labels, stack_arrangements
from gradspec.training.prepared import Prepared, prepare
from gradspec.training.record import identify
from gradspec.training.samples import Samples
from gradspec.training.seeds import derive_seed
from gradspec.training.splits import split_repeat
from gradspec.training.stacked import TOGETHER, Layer, train_stacked, try_stack

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_ALONE = 10  # trainings between two checkpoints, where they are done one after the other
_MOST_BYTES = 2**29  # of the samples of a stack, each network of which may scale them for itself


@dataclass(frozen=True)
class Arrangement:
    """Groups of the participants as they are, or drawn by lot.

    Parameters
    ----------
    number : int
        0 for the labels as they are.
    participants : DataFrame
        A row a participant, ``group`` being the group in this arrangement.
    sides : list of dict
        Of each fold of a repeat, the ids of the participants of each side.
    """

    number: int
    participants: "pd.DataFrame"
    sides: list[dict[str, list[str]]]


def arrange(
    participants: "pd.DataFrame",
    levels: Sequence[str],
    *,
    n_permutations: int,
    repeat: int,
    seed: int,
    splitting: Mapping[str, Any],
    numbers: Sequence[int] | None = None,
) -> list[Arrangement]:
    """Draw groups by lot, and part the participants anew under each.

    Labels are permuted over all participants, within sites where ``splitting["site"]`` names their column. All folds,
    repeats and networks get the same.

    Parameters
    ----------
    participants : DataFrame
        A row a participant, with ``participant_id`` and ``group``.
    levels : sequence of str
        Names of the groups.
    n_permutations : int
        Number of permutations, beside the labels as they are.
    repeat : int
        Repeat of the cross-validation.
    seed : int
        Of the config.
    splitting : mapping
        Arguments of `split_repeat` beside participants, repeat and seed.
    numbers : sequence of int, optional
        Which arrangements to give; all by default.
    """
    table = participants.sort_values("participant_id", ignore_index=True)
    labels = table["group"].map(list(levels).index).to_numpy(dtype=np.int64)
    site = splitting["site"]
    strata = None if site is None else np.unique(table[site].astype(str), return_inverse=True)[1]
    rng = np.random.default_rng(derive_seed(seed, "permutations of the groups"))
    drawn: Int[np.ndarray, "arrangement participant"]
    drawn = np.concatenate([labels[None], permute_labels(labels, n_permutations, rng, strata)])
    arrangements = []
    for number in range(len(drawn)) if numbers is None else numbers:
        permuted = table.assign(group=np.array(levels)[drawn[number]])
        arrangements.append(
            Arrangement(number, permuted, split_repeat(permuted, repeat=repeat, seed=seed, **splitting))
        )
    return arrangements


def retrain_fold(samples: Samples, fold: Fold, arrangements: Sequence[Arrangement], file: Path) -> None:
    """Train a fold under each arrangement of the groups.

    Parameters
    ----------
    samples : Samples
        The cohort.
    fold : Fold
        What to train, and how often to record it.
    arrangements : sequence of Arrangement
        Of the fold's repeat.
    file : path
        Gets the spectra of all arrangements, like merged ones; ``arrangement`` numbers them along ``run_index``.

    Raises
    ------
    ConfigError
        As `train_fold` does.
    """
    fold = replace(fold, alignment=False, tensorboard=False)
    folder = file.with_name(f"checkpoint_{file.stem}")
    trainings = _prepare(samples, fold, arrangements)
    parts = list(_part(trainings))
    if len(parts) == 1:  # nothing that a checkpoint would save from being done again
        (numbers, layers), *_ = parts
        stacked = _train([trainings[number] for number in numbers], layers)
    else:
        found = [
            _finish(
                [trainings[number] for number in numbers], layers, folder / f"arrangements-{numbers[0]}-{numbers[-1]}"
            )
            for numbers, layers in parts
        ]
        numbers = [number for of_part, _ in parts for number in of_part]
        stacked = stack_arrangements(found, {**identify(fold), "by": "retraining"})
    write_dataset(number_arrangements(stacked, numbers), file)
    shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class _Training:
    """A training that is to be done, and the ids on each side, by which a checkpoint is known again."""

    prepared: Prepared
    sides: Mapping[str, Sequence[str]]


def _prepare(samples: Samples, fold: Fold, arrangements: Sequence[Arrangement]) -> dict[int, _Training]:
    """Make every training ready; time courses are scaled each by itself, so that all share them."""
    trainings: dict[int, _Training] = {}
    shared = None
    for each in arrangements:
        group_of = each.participants.set_index("participant_id")["group"].map(list(fold.levels).index)
        groups = group_of[samples.participants].to_numpy(dtype=np.int64, copy=True)
        sides = each.sides[fold.fold]
        prepared = prepare(replace(samples, groups=groups), sides, fold, shared)
        trainings[each.number] = _Training(prepared, sides)
        if shared is None and samples.kind == "timecourses":
            shared = prepared.scaled
    return trainings


def _part(trainings: Mapping[int, _Training]) -> Iterator[tuple[list[int], list[Layer] | None]]:
    """Numbers of the trainings that are done together, with the layers that are recorded, or one after the other."""
    alike = defaultdict(list)
    for number, training in trainings.items():
        alike[tuple(map(len, training.prepared.draw_batches(0)))].append(number)
    first = next(iter(trainings.values())).prepared
    most = min(TOGETHER[choose_device(first.fold.device).type], int(_MOST_BYTES // first.samples.values.nbytes))
    for numbers in alike.values():
        layers = try_stack([trainings[number].prepared for number in numbers[:2]]) if most > 1 else None
        size = _ALONE if layers is None else most
        for start in range(0, len(numbers), size):
            yield numbers[start : start + size], layers


def _finish(trainings: Sequence[_Training], layers: Sequence[Layer] | None, folder: Path) -> "xr.DataTree":
    """Train, unless a job that was killed had finished just these trainings."""
    import xarray as xr

    marks = [fingerprint(each.prepared.samples, each.sides, each.prepared.fold) for each in trainings]
    place = Checkpoint(folder, fingerprint_of({"trainings": marks}))
    if not place.is_finished:
        stacked = _train(trainings, layers)
        with place.finish() as finished:
            write_dataset(stacked, finished / "spectra.nc")
    return xr.load_datatree(place.finished / "spectra.nc", engine="h5netcdf")


def _train(trainings: Sequence[_Training], layers: Sequence[Layer] | None) -> "xr.DataTree":
    """Spectra of trainings that are done together, or one after the other."""
    if layers is not None:
        return train_stacked([each.prepared for each in trainings], layers)
    fold = trainings[0].prepared.fold
    trees = [
        train_fold(each.prepared.samples, each.sides, fold, watch=False, shared=each.prepared.shared).spectra
        for each in trainings
    ]
    return stack_arrangements(trees, {**identify(fold), "by": "retraining"})
