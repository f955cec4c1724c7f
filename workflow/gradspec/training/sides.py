"""The samples of each side of a fold."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from gradspec.errors import ConfigError
from gradspec.training.samples import Samples


def place_samples(
    samples: Samples, sides: Mapping[str, Sequence[str]], levels: Sequence[str]
) -> dict[str, Int[np.ndarray, "sample"]]:
    """Find the samples of each side; every sample must be on one.

    Parameters
    ----------
    samples : Samples
        The cohort.
    sides : mapping
        Ids of the participants on each side, as `get_fold` gives them.
    levels : sequence of str
        Names of the two groups, for the messages.

    Returns
    -------
    dict
        Indices of the samples on each side, ascending; those of the side ``unused`` are left out.

    Raises
    ------
    ConfigError
        If a participant is on no side, on two, or has no data, or if a side that is learnt from lacks a group.
    """
    members = {side: np.isin(samples.participants, list(ids)) for side, ids in sides.items()}
    absent = sorted({who for ids in sides.values() for who in ids} - set(samples.participants))
    stray = sorted(set(samples.participants[np.sum(list(members.values()), axis=0) != 1]))
    if absent or stray:
        raise ConfigError(
            f"The folds and the data disagree: {', '.join(absent or stray)} "
            + ("have no data" if absent else "must be on exactly one side of the fold")
            + "; delete training/splits.tsv and run again"
        )
    for side in sides.keys() - {"test", "unused"}:
        for label, level in enumerate(levels):
            if not (samples.groups[members[side]] == label).any():
                raise ConfigError(
                    f"A fold has no {'training' if side == 'train' else side} sample of group {level!r}: "
                    "it must hold both groups"
                )
    return {side: np.flatnonzero(member) for side, member in members.items() if side != "unused"}
