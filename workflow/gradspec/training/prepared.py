"""A fold made ready for training: who is on which side, scaled values, and the batches of every epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from gradspec.capture.sampling import balanced_batches
from gradspec.training.samples import Samples
from gradspec.training.sampling import cap_batch_size
from gradspec.training.scaling import scale
from gradspec.training.sides import place_samples

if TYPE_CHECKING:
    from gradspec.training.fold import Fold


Scaled = tuple[Float[np.ndarray, "sample ..."], dict[str, Any]]


@dataclass(frozen=True)
class Prepared:
    """What a training needs beside a network and an optimiser.

    Parameters
    ----------
    fold : Fold
        What is trained.
    samples : Samples
        The cohort; the group of each sample is also the class to learn.
    index : dict of array
        Samples of each side.
    batch_size : int
        That the smaller group allows.
    shared : (array, dict), optional
        Scaled values and how they were scaled, where another training has them already.
    """

    fold: "Fold"
    samples: Samples
    index: Mapping[str, Int[np.ndarray, "member"]]
    batch_size: int
    shared: Scaled | None = None

    @cached_property
    def scaled(self) -> Scaled:
        """Values of all samples, scaled as their kind asks for, and how that was done."""
        is_training = np.isin(np.arange(len(self.samples.groups)), self.index["train"])
        return self.shared or scale(self.samples, is_training)

    @property
    def values(self) -> Float[np.ndarray, "sample ..."]:
        """Scaled values of all samples."""
        return self.scaled[0]

    def draw_batches(self, epoch: int) -> list[Int[np.ndarray, "batch"]]:
        """Samples of each step of an epoch, group by group; the same whenever it is asked for."""
        rng = np.random.default_rng(self.fold.derive_seed("batches", epoch))
        train = self.index["train"]
        return [train[batch] for batch in balanced_batches(self.samples.groups[train], self.batch_size, rng)]


def prepare(
    samples: Samples, sides: Mapping[str, Sequence[str]], fold: "Fold", shared: Scaled | None = None
) -> Prepared:
    """Place and count the samples of a fold.

    Parameters
    ----------
    samples : Samples
        The cohort.
    sides : mapping
        Ids of the participants of each side, as `get_fold` gives them.
    fold : Fold
        What is to be trained.
    shared : (array, dict), optional
        Scaled values, where another training has the same.

    Returns
    -------
    Prepared

    Raises
    ------
    ConfigError
        If a participant is on neither side or has no data, or if a side lacks one of the groups.
    """
    index = place_samples(samples, sides, fold.levels)
    return Prepared(fold, samples, index, cap_batch_size(samples.groups[index["train"]], fold.batch_size), shared)
