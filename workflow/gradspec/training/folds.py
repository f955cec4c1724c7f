"""Folds of a model in one process: what is started, read and set up once serves all of them."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from gradspec.training.checkpoint import Checkpoint
from gradspec.training.fold import Fold, fingerprint, train_fold
from gradspec.training.groupings import Grouping
from gradspec.training.outputs import write_fold
from gradspec.training.samples import Samples

_log = logging.getLogger(__name__)


def train_folds(
    folds: Sequence[Fold],
    data: Sequence[tuple[Samples, Sequence[Grouping]]],
    sides: Sequence[Mapping[str, Sequence[str]]],
    folders: Sequence[Path],
) -> None:
    """Train folds one after the other, and write the files of each.

    All files are put in place when the last fold is done; until then they wait in the folder ``checkpoint`` of their
    fold, from which a job that was killed takes the folds that it had finished. The files are the same to the last
    byte, however folds are parted into jobs.

    Parameters
    ----------
    folds : sequence of Fold
        What to train.
    data : sequence of (Samples, sequence of Grouping)
        Samples that each fold learns from, and their further groupings.
    sides : sequence of mapping
        Ids of the participants of each side of each fold, as `get_fold` gives them.
    folders : sequence of path
        Folder of each fold.

    Raises
    ------
    ConfigError
        As `train_fold` does.
    """
    places = []
    for fold, (samples, groupings), parts, folder in zip(folds, data, sides, folders, strict=True):
        places.append(finish_fold(samples, parts, fold, folder / "checkpoint", groupings=groupings))
    for place, folder in zip(places, folders, strict=True):
        place.publish(folder)
    for place in places:
        place.remove()


def finish_fold(
    samples: Samples,
    sides: Mapping[str, Sequence[str]],
    fold: Fold,
    folder: Path,
    *,
    groupings: Sequence[Grouping] = (),
) -> Checkpoint:
    """Train a fold, from its last checkpoint if there is one, unless its files wait there already.

    Parameters
    ----------
    samples, sides, fold, groupings
        As `train_fold` takes them.
    folder : path
        Of the checkpoint.

    Returns
    -------
    Checkpoint
        Its folder ``finished`` holds the files.

    Raises
    ------
    ConfigError
        As `train_fold` does.
    """
    place = Checkpoint(folder, fingerprint(samples, sides, fold, groupings))
    if place.is_finished:
        _log.info("Repeat %d, fold %d is finished, in %s", fold.repeat, fold.fold, place.finished)
    else:
        trained = train_fold(samples, sides, fold, groupings=groupings, checkpoint=place)
        with place.finish() as finished:
            write_fold(trained, finished)
    return place
