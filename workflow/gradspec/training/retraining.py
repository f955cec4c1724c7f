"""A fold trained again under permuted groups, as often as there are permutations: the gold standard of the tests.

Each of the trainings has a checkpoint of its own, so that a job that is killed has those that it had finished.
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int

from gradspec.files import write_dataset
from gradspec.training.fold import Fold, TrainedFold
from gradspec.training.folds import finish_fold
from gradspec.training.permutations import permute_labels, stack_arrangements
from gradspec.training.record import identify
from gradspec.training.samples import Samples
from gradspec.training.seeds import derive_seed
from gradspec.training.splits import get_fold, make_splits

if TYPE_CHECKING:
    import pandas as pd


def retrain_fold(
    samples: Samples,
    participants: "pd.DataFrame",
    fold: Fold,
    *,
    n_permutations: int,
    splitting: Mapping[str, Any],
    file: Path,
) -> None:
    """Train a fold again under permuted groups, everything that follows from the groups being made anew.

    Labels that are learnt, partition into folds, equal groups and batches all follow the permuted groups, as they would
    if these were the true ones. With ``splitting["site"]`` groups are exchanged within sites only.

    Parameters
    ----------
    samples : Samples
        The cohort.
    participants : DataFrame
        A row a participant, with ``participant_id`` and ``group``.
    fold : Fold
        What to train; one in ``groupings_every`` steps is recorded.
    n_permutations : int
        Number of permutations: of trainings, beside the one of the labels as they are.
    splitting : mapping
        Arguments of `make_splits` beside participants and seed.
    file : path
        Gets the spectra of all arrangements, like merged ones; ``run_index`` counts the arrangements, 0 being the
        labels as they are. Until then checkpoints wait beside it.

    Raises
    ------
    ConfigError
        As `train_fold` does.
    """
    import xarray as xr

    fold = replace(fold, record_every=fold.groupings_every, alignment=False, tensorboard=False)
    checkpoints = file.with_name(f"checkpoint_{file.stem}")
    trees = []
    for number, permuted in enumerate(_arrange(participants, fold, n_permutations, splitting["site"])):
        sides = get_fold(make_splits(permuted, seed=fold.seed, **splitting), fold.repeat, fold.fold)
        group_of = permuted.set_index("participant_id")["group"].map(list(fold.levels).index)
        groups = group_of[samples.participants].to_numpy(dtype=np.int64, copy=True)
        place = finish_fold(
            replace(samples, groups=groups), sides, fold, checkpoints / f"arrangement-{number}", write=_write_spectra
        )
        trees.append(xr.load_datatree(place.finished / "spectra.nc", engine="h5netcdf"))
    write_dataset(stack_arrangements(trees, {**identify(fold), "by": "retraining"}), file)
    shutil.rmtree(checkpoints)


def _arrange(
    participants: "pd.DataFrame", fold: Fold, n_permutations: int, site: str | None
) -> "Iterator[pd.DataFrame]":
    """The participants with the groups as they are, and with permuted ones; all folds get the same."""
    table = participants.sort_values("participant_id", ignore_index=True)
    labels = table["group"].map(list(fold.levels).index).to_numpy(dtype=np.int64)
    strata = None if site is None else np.unique(table[site].astype(str), return_inverse=True)[1]
    rng = np.random.default_rng(derive_seed(fold.seed, "permutations of the groups"))
    arrangements: Int[np.ndarray, "arrangement participant"]
    arrangements = np.concatenate([labels[None], permute_labels(labels, n_permutations, rng, strata)])
    for arrangement in arrangements:
        yield table.assign(group=np.array(fold.levels)[arrangement])


def _write_spectra(trained: TrainedFold, folder: Path) -> None:
    write_dataset(trained.spectra, folder / "spectra.nc")
