"""The files of a fold."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gradspec.files import PathLike, atomic_path, write_dataset, write_json, write_table
from gradspec.training.fold import TrainedFold
from gradspec.training.predictions import PREDICTION_COLUMNS

METRIC_COLUMNS: dict[str, str | dict[str, Any]] = {
    "epoch": "Epoch that had just ended, from 0",
    "set": {
        "Description": "Samples that the network was tried on, in evaluation mode",
        "Levels": {
            "train": "All training samples of the fold",
            "validation": "All validation samples of the fold",
            "test": "All test samples of the fold",
        },
    },
    "loss": {"Description": "Mean cross-entropy over the samples", "Units": "nat"},
    "loss_reference": {"Description": "The same over the samples of the reference group", "Units": "nat"},
    "loss_comparison": {"Description": "The same over the samples of the comparison group", "Units": "nat"},
    "balanced_accuracy": "Mean of the shares of each group that are told right; chance is 0.5",
    "roc_auc": "Area under the receiver operating characteristic; chance is 0.5",
}


def write_fold(
    trained: TrainedFold,
    *,
    spectra: PathLike,
    metrics: PathLike,
    predictions: PathLike,
    model: PathLike,
    record: PathLike,
    groupings: Mapping[str, PathLike] | None = None,
    permuted: Mapping[str, PathLike] | None = None,
    checkpoint: Path | None = None,
) -> None:
    """Write what came of a fold; only the record holds anything (time, device) that may differ between equal runs.

    Parameters
    ----------
    trained : TrainedFold
        From `train_fold`.
    spectra, metrics, predictions, model, record : path
        ``spectra.nc``, ``metrics.tsv``, ``predictions.tsv``, ``model.pt`` (the ``state_dict``; read it with
        ``torch.load(…, weights_only=True)``) and ``training.json``.
    groupings : mapping, optional
        File of the spectra of each further grouping.
    permuted : mapping, optional
        File of the spectra of the permutations of each further grouping.
    checkpoint : path, optional
        Folder of the checkpoints, which nobody needs when all is written; deleted.
    """
    write_dataset(trained.spectra, spectra)
    for name, path in (groupings or {}).items():
        write_dataset(trained.groupings[name], path)
    for name, path in (permuted or {}).items():
        write_dataset(trained.permuted[name], path)
    write_table(trained.metrics, metrics, METRIC_COLUMNS)
    write_table(trained.predictions, predictions, PREDICTION_COLUMNS)
    with atomic_path(model) as partial:
        torch.save(trained.weights, partial)
    write_json(trained.record, record)
    if checkpoint is not None:
        shutil.rmtree(checkpoint, ignore_errors=True)
