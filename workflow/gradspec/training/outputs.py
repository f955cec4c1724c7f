"""The files of a fold."""

from pathlib import Path
from typing import Any

import torch

from gradspec.files import atomic_path, write_dataset, write_json, write_table
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
    "loss": (
        "Mean over the samples of the cross-entropy in nats; of a network that reconstructs, of the mean squared error"
    ),
    "loss_reference": "The same over the samples of the reference group",
    "loss_comparison": "The same over the samples of the comparison group",
    "balanced_accuracy": (
        "Mean of the shares of each group that are told right; chance is 0.5. n/a for a network that reconstructs"
    ),
    "roc_auc": "Area under the receiver operating characteristic; chance is 0.5. n/a for a network that reconstructs",
}


def write_fold(trained: TrainedFold, folder: Path) -> None:
    """Write what came of a fold; only the record holds anything (time, device) that may differ between equal runs.

    Parameters
    ----------
    trained : TrainedFold
        From `train_fold`.
    folder : path
        Gets ``spectra.nc``, ``spectra_by-<name>.nc`` of each further grouping, ``spectra_by-<name>_permuted.nc`` of
        its permutations where it has some, ``metrics.tsv``, ``predictions.tsv``, ``model.pt`` (the ``state_dict``;
        read it with ``torch.load(…, weights_only=True)``) and ``training.json``.
    """
    write_dataset(trained.spectra, folder / "spectra.nc")
    for name, spectra in trained.groupings.items():
        write_dataset(spectra, folder / f"spectra_by-{name}.nc")
    for name, spectra in trained.permuted.items():
        write_dataset(spectra, folder / f"spectra_by-{name}_permuted.nc")
    write_table(trained.metrics, folder / "metrics.tsv", METRIC_COLUMNS)
    write_table(trained.predictions, folder / "predictions.tsv", PREDICTION_COLUMNS)
    with atomic_path(folder / "model.pt") as partial:
        torch.save(trained.weights, partial)
    write_json(trained.record, folder / "training.json")
