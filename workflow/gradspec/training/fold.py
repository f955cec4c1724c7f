"""One fold of one model: scale, train, watch, and say what was run."""

import logging
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import gradspec
from gradspec.capture.sampling import balanced_batches
from gradspec.models.registry import build_model
from gradspec.training.checkpoint import Checkpoint, Progress, fingerprint_of
from gradspec.training.device import choose_device, reproducible
from gradspec.training.evaluation import predict, score
from gradspec.training.groupings import Grouping
from gradspec.training.loop import fit
from gradspec.training.predictions import tabulate_predictions
from gradspec.training.samples import Samples
from gradspec.training.sampling import cap_batch_size
from gradspec.training.scaling import scale
from gradspec.training.seeds import derive_seed
from gradspec.training.sides import place_samples

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
    epochs, batch_size, learning_rate, weight_decay, patience, device, amp, kinds
        As in the config under ``training``.
    record_every, checkpoint_every, groupings_every
        The same.
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
    patience: int | None
    device: str
    amp: bool
    kinds: Sequence[str]
    record_every: int
    checkpoint_every: int
    groupings_every: int

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
    groupings : dict of DataTree
        The same of every few steps, with the samples in other groups.
    metrics : DataFrame
        A row an epoch and set (train, test, and validation where there is one).
    predictions : DataFrame
        A row a test sample, from the network that is kept.
    weights : dict
        ``state_dict`` of that network, on the CPU.
    record : dict
        What was run, on what, and for how long.
    """

    spectra: "xr.DataTree"
    groupings: "dict[str, xr.DataTree]"
    metrics: "pd.DataFrame"
    predictions: "pd.DataFrame"
    weights: dict[str, torch.Tensor]
    record: dict[str, Any]


def train_fold(
    samples: Samples,
    sides: Mapping[str, Sequence[str]],
    fold: Fold,
    *,
    groupings: Sequence[Grouping] = (),
    checkpoint: Path | None = None,
) -> TrainedFold:
    """Train one network on the training participants of a fold and try it on the test participants.

    The network that is kept is the one after the last epoch or, with a validation set, after the epoch of its lowest
    loss there. On one machine, the same arguments give the same numbers to the last bit, in whatever order folds are
    run, and whether or not the run was stopped and went on from a checkpoint.

    Parameters
    ----------
    samples : Samples
        The cohort, as `load_samples` reads it.
    sides : mapping
        Ids of the participants of each side, as `get_fold` gives them.
    fold : Fold
        What to train.
    groupings : sequence of Grouping
        Further groupings of the samples to take spectra of.
    checkpoint : path, optional
        Folder to write checkpoints to, and to go on from where there are some; deleted in the end.

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
    index = place_samples(samples, sides, fold.levels)
    train = np.isin(np.arange(len(samples.groups)), index["train"])
    values, scaling = scale(samples, train)
    inputs = torch.from_numpy(values).to(device)
    batch_size = cap_batch_size(samples.groups[train], fold.batch_size)
    place = None
    if checkpoint is not None and 0 < fold.checkpoint_every < fold.epochs:
        settings = {**asdict(fold), **_identify(fold), "device": str(device), "sides": dict(sides)}
        labels = [grouping.labels for grouping in groupings]
        place = Checkpoint(checkpoint, fingerprint_of(settings, values, samples.groups, *labels))

    def draw_batches(epoch: int) -> list[np.ndarray]:
        rng = np.random.default_rng(fold.derive_seed("batches", epoch))
        batches = [index["train"][batch] for batch in balanced_batches(samples.groups[train], batch_size, rng)]
        progress.step += len(batches)
        return batches

    def after_epoch(epoch: int) -> bool:
        logits = predict(model, inputs)
        scores = {side: score(logits[rows], samples.groups[rows]) for side, rows in index.items()}
        progress.rows += [{"epoch": epoch, "set": side, **scored} for side, scored in scores.items()]
        progress.epoch = epoch + 1
        if "validation" in scores and scores["validation"]["loss"] < progress.best_loss:
            progress.best_epoch, progress.best_loss = epoch, scores["validation"]["loss"]
            progress.best_weights = _copy_weights(model)
        if fold.patience is not None and epoch - progress.best_epoch >= fold.patience:
            return True
        if place is not None and progress.epoch < fold.epochs and progress.epoch % fold.checkpoint_every == 0:
            recorder.flush()
            place.save(progress, model, optimizer)
        return False

    with reproducible(fold.derive_seed("network"), device):
        model = build_model(fold.model, tuple(inputs.shape[1:]), fold.hyperparameters).to(device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=fold.learning_rate, weight_decay=fold.weight_decay)
        progress = Progress() if place is None else place.restore(model, optimizer)
        recorder = SpectraRecorder(
            model,
            groups=fold.levels,
            kinds=fold.kinds,
            every=fold.record_every,
            keep_grams=fold.groupings_every if groupings else False,
            path=None if place is None else place.spectra,
            resume=progress.step or False,
        )
        fit(
            model,
            inputs,
            torch.from_numpy(samples.groups).to(device),
            epochs=range(progress.epoch, fold.epochs),
            draw_batches=draw_batches,
            optimizer=optimizer,
            recorder=recorder,
            after_epoch=after_epoch,
            amp=fold.amp,
        )
        if progress.best_weights:
            model.load_state_dict(progress.best_weights)
        logits = predict(model, inputs)[index["test"]]
    _log.info("%s, repeat %d, fold %d:\n%s", fold.model, fold.repeat, fold.fold, recorder.report())

    spectra = recorder.spectra()
    spectra.attrs.update(_identify(fold))
    regrouped = {}
    for grouping in groupings:
        tree = recorder.regroup(torch.from_numpy(grouping.labels), grouping.levels)
        tree.attrs.update(_identify(fold), grouping=grouping.name)
        regrouped[grouping.name] = tree
    if place is not None:
        place.remove()
    record = {
        **_identify(fold),
        **_describe_data(samples, index, fold),
        "scaling": scaling,
        "hyperparameters": dict(fold.hyperparameters),
        "n_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "epochs": progress.epoch,
        "kept_epoch": progress.best_epoch if progress.best_weights else progress.epoch - 1,
        "steps": spectra.sizes["step"],
        "batch_size": batch_size,
        "learning_rate": fold.learning_rate,
        "weight_decay": fold.weight_decay,
        "kinds": list(fold.kinds),
        "groupings": {grouping.name: list(grouping.levels) for grouping in groupings},
        "seeds": {"network": fold.derive_seed("network"), "batches_of_first_epoch": fold.derive_seed("batches", 0)},
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "amp": fold.amp,
        "threads": torch.get_num_threads(),
        "seconds": round(time.monotonic() - start, 3),
    }
    run = (fold.model, fold.repeat, fold.fold)
    predictions = tabulate_predictions(samples, index["test"], logits, run, fold.levels)
    return TrainedFold(spectra, regrouped, pd.DataFrame(progress.rows), predictions, _copy_weights(model), record)


def _copy_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.cpu().clone() for name, tensor in model.state_dict().items()}


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


def _describe_data(samples: Samples, index: Mapping[str, np.ndarray], fold: Fold) -> dict[str, Any]:
    return {
        "input": samples.kind,
        "sample_shape": list(samples.values.shape[1:]),
        "levels": list(fold.levels),
        "n": {
            side: {level: int((samples.groups[rows] == i).sum()) for i, level in enumerate(fold.levels)}
            for side, rows in index.items()
        },
    }
