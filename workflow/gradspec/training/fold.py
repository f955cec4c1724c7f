"""One fold of one model: scale, train, watch, and say what was run."""

import logging
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import gradspec
from gradspec.capture.sampling import balanced_batches
from gradspec.errors import ConfigError
from gradspec.models.registry import build_model
from gradspec.training.device import choose_device, reproducible
from gradspec.training.evaluation import predict, probabilities, score
from gradspec.training.loop import fit
from gradspec.training.samples import Samples
from gradspec.training.sampling import cap_batch_size
from gradspec.training.scaling import scale
from gradspec.training.seeds import derive_seed

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fold:
    """What is to be trained, apart from the data.

    Parameters
    ----------
    model : str
        Name of the network in ``training.models``.
    hyperparameters : mapping
        Hyper-parameters of the network, all of them.
    repeat, fold : int
        Which fold of which repetition.
    seed : int
        Seed of the config; the fold's own seeds derive from it, the model's name, the repeat and the fold.
    levels : sequence of str
        Names of the two groups, the reference first.
    epochs, batch_size, learning_rate, weight_decay, device, kinds
        As in the config under ``training``.
    """

    model: str
    hyperparameters: Mapping[str, Any]
    repeat: int
    fold: int
    seed: int
    levels: Sequence[str]
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    device: str
    kinds: Sequence[str]

    def derive_seed(self, *purpose: str | int) -> int:
        """Seed of the fold's random numbers for a purpose."""
        return derive_seed(self.seed, self.model, self.repeat, self.fold, *purpose)


@dataclass(frozen=True)
class TrainedFold:
    """What came of a fold.

    Parameters
    ----------
    spectra : DataTree
        A node a parameter, with dims (step, group, index); see `gradspec.SpectraRecorder.spectra`.
    metrics : DataFrame
        A row an epoch and set (train, test).
    predictions : DataFrame
        A row a test sample, after the last epoch.
    weights : dict
        ``state_dict`` of the network, on the CPU.
    record : dict
        What was run, on what, and for how long.
    """

    spectra: "xr.DataTree"
    metrics: "pd.DataFrame"
    predictions: "pd.DataFrame"
    weights: dict[str, torch.Tensor]
    record: dict[str, Any]


def train_fold(samples: Samples, train_ids: Sequence[str], test_ids: Sequence[str], fold: Fold) -> TrainedFold:
    """Train one network on the training participants of a fold and try it on the test participants.

    There is no early stopping: the network that predicts is the one after the last epoch. On one machine, the same
    arguments give the same numbers to the last bit, in whatever order folds are run.

    Parameters
    ----------
    samples : Samples
        The cohort, as `load_samples` reads it.
    train_ids, test_ids : sequence of str
        Participants of the two sides.
    fold : Fold
        What to train.

    Returns
    -------
    TrainedFold
        Spectra, metrics, predictions, weights and a record of the run.

    Raises
    ------
    ConfigError
        If a participant is on neither side or has no data, if a side lacks one of the groups, if the network does
        not fit the data, or if the device does not exist.
    """
    import pandas as pd

    from gradspec.capture import SpectraRecorder

    start = time.monotonic()
    device = choose_device(fold.device)
    train = _side(samples, train_ids, test_ids)
    _check_groups(samples.groups[train], fold)
    values, scaling = scale(samples, train)
    inputs = torch.from_numpy(values).to(device)
    train_index, test_index = np.flatnonzero(train), np.flatnonzero(~train)
    batch_size = cap_batch_size(samples.groups[train], fold.batch_size)
    rows: list[dict[str, Any]] = []

    def draw_batches(epoch: int) -> list[np.ndarray]:
        rng = np.random.default_rng(fold.derive_seed("batches", epoch))
        drawn = balanced_batches(samples.groups[train], batch_size, rng)
        return [train_index[batch] for batch in drawn]

    def evaluate(epoch: int) -> None:
        logits = predict(model, inputs)
        for name, index in (("train", train_index), ("test", test_index)):
            rows.append({"epoch": epoch, "set": name, **score(logits[index], samples.groups[index])})

    with reproducible(fold.derive_seed("network"), device):
        model = build_model(fold.model, tuple(inputs.shape[1:]), fold.hyperparameters).to(device)
        recorder = SpectraRecorder(model, groups=fold.levels, kinds=fold.kinds)
        fit(
            model,
            inputs,
            torch.from_numpy(samples.groups).to(device),
            epochs=fold.epochs,
            draw_batches=draw_batches,
            learning_rate=fold.learning_rate,
            weight_decay=fold.weight_decay,
            recorder=recorder,
            after_epoch=evaluate,
        )
        logits = predict(model, inputs)[test_index]
    _log.info("%s, repeat %d, fold %d:\n%s", fold.model, fold.repeat, fold.fold, recorder.report())

    spectra = recorder.spectra()
    spectra.attrs.update(_identify(fold))
    record = {
        **_identify(fold),
        **_describe_data(samples, train, fold),
        "scaling": scaling,
        "hyperparameters": dict(fold.hyperparameters),
        "n_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "epochs": fold.epochs,
        "steps": spectra.sizes["step"],
        "batch_size": batch_size,
        "learning_rate": fold.learning_rate,
        "weight_decay": fold.weight_decay,
        "kinds": list(fold.kinds),
        "seeds": {"network": fold.derive_seed("network"), "batches_of_first_epoch": fold.derive_seed("batches", 0)},
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "threads": torch.get_num_threads(),
        "seconds": round(time.monotonic() - start, 3),
    }
    weights = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    return TrainedFold(
        spectra, pd.DataFrame(rows), _tabulate_predictions(samples, test_index, logits, fold), weights, record
    )


def _tabulate_predictions(samples: Samples, test_index: np.ndarray, logits: np.ndarray, fold: Fold) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(
        {
            "model": fold.model,
            "repeat": fold.repeat,
            "fold": fold.fold,
            "participant_id": samples.participants[test_index],
            "run": [label or None for label in samples.runs[test_index]],
            "group": [fold.levels[group] for group in samples.groups[test_index]],
            "probability": probabilities(logits),
            "predicted": [fold.levels[group] for group in logits.argmax(axis=1)],
        }
    )


def _side(samples: Samples, train_ids: Sequence[str], test_ids: Sequence[str]) -> np.ndarray:
    """True for the samples to train on; every sample must be on one side."""
    train, test = (np.isin(samples.participants, list(ids)) for ids in (train_ids, test_ids))
    absent = sorted({*train_ids, *test_ids} - set(samples.participants))
    stray = sorted(set(samples.participants[train == test]))
    if absent or stray:
        raise ConfigError(
            f"The folds and the data disagree: {', '.join(absent or stray)} "
            + ("have no data" if absent else "must be on exactly one side of the fold")
            + "; delete training/splits.tsv and run again"
        )
    return train


def _check_groups(groups: np.ndarray, fold: Fold) -> None:
    for label, level in enumerate(fold.levels):
        if not (groups == label).any():
            raise ConfigError(
                f"Fold {fold.fold} of repeat {fold.repeat} has no training sample of group {level!r}: "
                "the folds must hold both groups"
            )


def _identify(fold: Fold) -> dict[str, Any]:
    """Which run it is and what made it; the same wherever it is run, so that equal runs give equal files."""
    return {
        "model": fold.model,
        "repeat": fold.repeat,
        "fold": fold.fold,
        "seed": fold.seed,
        "loss_reduction": "mean",
        "gradspec_version": gradspec.__version__,
        "torch_version": str(torch.__version__),
        "numpy_version": np.__version__,
    }


def _describe_data(samples: Samples, train: np.ndarray, fold: Fold) -> dict[str, Any]:
    return {
        "input": samples.kind,
        "sample_shape": list(samples.values.shape[1:]),
        "levels": list(fold.levels),
        "n": {
            name: {level: int((samples.groups[side] == i).sum()) for i, level in enumerate(fold.levels)}
            for name, side in (("train", train), ("test", ~train))
        },
    }
