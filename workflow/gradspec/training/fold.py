"""One fold of one model: scale, train, watch, and say what was run."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gradspec.models.own import find_own_source, network_of
from gradspec.models.registry import build_model
from gradspec.training.alignment import add_alignment
from gradspec.training.checkpoint import Checkpoint, Progress, copy_weights, fingerprint_of
from gradspec.training.device import choose_device, place_inputs, reproducible
from gradspec.training.evaluation import predict
from gradspec.training.events import open_events, write_scores
from gradspec.training.groupings import Grouping
from gradspec.training.loop import fit
from gradspec.training.permutations import regroup_permutations
from gradspec.training.predictions import tabulate_predictions
from gradspec.training.prepared import Scaled, prepare
from gradspec.training.record import describe_data, describe_machine, describe_settings, identify
from gradspec.training.samples import Samples
from gradspec.training.seeds import derive_seed
from gradspec.training.tasks import task_of

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
    epochs, batch_size, learning_rate, weight_decay, patience, device, deterministic, amp, kinds
        As in the config under ``training``.
    record_every, checkpoint_every, groupings_every, alignment, tensorboard
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
    alignment: bool = False
    tensorboard: bool = False
    deterministic: bool = True

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
    permuted : dict of DataTree
        Spectra of every arrangement of the groupings that have permutations.
    """

    spectra: "xr.DataTree"
    groupings: "dict[str, xr.DataTree]"
    metrics: "pd.DataFrame"
    predictions: "pd.DataFrame"
    weights: dict[str, torch.Tensor]
    record: dict[str, Any]
    permuted: "dict[str, xr.DataTree]" = field(default_factory=dict)


def train_fold(
    samples: Samples,
    sides: Mapping[str, Sequence[str]],
    fold: Fold,
    *,
    groupings: Sequence[Grouping] = (),
    checkpoint: Checkpoint | None = None,
    watch: bool = True,
    shared: Scaled | None = None,
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
    checkpoint : Checkpoint, optional
        Where to write checkpoints and events to, and to go on from where there are some.
    watch : bool
        Whether the network is tried after every epoch. Without, there are no metrics, and the training is the same;
        with ``patience`` it is tried in any case.
    shared : (array, dict), optional
        Scaled values, where another training has the same.

    Returns
    -------
    TrainedFold
        Spectra, metrics, predictions, weights and a record of the run.

    Raises
    ------
    ConfigError
        If a participant is on neither side or has no data, if a side lacks one of the groups, if the network does
        not fit the data, or if the device does not exist or cannot repeat what the network does.
    """
    import pandas as pd

    from gradspec.capture import SpectraRecorder

    start = time.monotonic()
    device, task = choose_device(fold.device), task_of(network_of(fold.model, fold.hyperparameters)[0])
    prepared = prepare(samples, sides, fold, shared)
    index = prepared.index
    inputs = place_inputs(torch.from_numpy(prepared.values), device)
    is_watched = watch or fold.patience is not None
    place = checkpoint if 0 < fold.checkpoint_every < fold.epochs else None

    def draw_batches(epoch: int) -> list[np.ndarray]:
        batches = prepared.draw_batches(epoch)
        progress.step += len(batches)
        return batches

    def after_epoch(epoch: int) -> bool:
        scores = {}
        if is_watched:
            outcome = predict(model, inputs, task.outcome)
            scores = {side: task.score(outcome[rows], samples.groups[rows]) for side, rows in index.items()}
        progress.add(epoch, scores, model)
        if events is not None:
            write_scores(events, scores, progress.step - 1)
            events.flush()
        over = fold.patience is not None and epoch - progress.best_epoch >= fold.patience
        if place is not None and not over and progress.epoch % fold.checkpoint_every == 0:
            recorder.flush()
            place.save(progress, model, optimizer)
        return over

    with reproducible(fold.derive_seed("network"), device, deterministic=fold.deterministic):
        model = build_model(fold.model, tuple(inputs.shape[1:]), fold.hyperparameters).to(device)
        optimizer = make_optimizer(model.parameters(), fold)
        progress = Progress() if place is None else place.restore(model, optimizer)
        events = open_events(checkpoint.events, progress.step) if checkpoint and fold.tensorboard else None
        recorder = SpectraRecorder(
            model,
            groups=fold.levels,
            kinds=fold.kinds,
            every=fold.record_every,
            keep_grams=fold.groupings_every if groupings or fold.alignment else False,
            path=None if place is None else place.spectra,
            resume=progress.step or False,
            writer=events,
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
            task=task,
        )
        if progress.best_weights:
            model.load_state_dict(progress.best_weights)
        outcome = predict(model, inputs, task.outcome)[index["test"]]
    if events is not None:
        recorder.flush()
        events.close()
    _log.info("%s, repeat %d, fold %d:\n%s", fold.model, fold.repeat, fold.fold, recorder.report())

    spectra = recorder.spectra()
    if fold.alignment:
        spectra = add_alignment(spectra, recorder.alignment(torch.from_numpy(samples.groups)))
    spectra.attrs.update(identify(fold))
    regrouped, permuted = {}, {}
    for grouping in groupings:
        tree = recorder.regroup(torch.from_numpy(grouping.labels), grouping.levels)
        tree.attrs.update(identify(fold), grouping=grouping.name)
        regrouped[grouping.name] = tree
        if grouping.permutations is not None:
            permuted[grouping.name] = regroup_permutations(recorder, grouping, identify(fold))
    record = {
        **identify(fold),
        **describe_data(samples, index, fold.levels),
        "scaling": prepared.scaled[1],
        **describe_settings(fold, prepared.batch_size, groupings),
        "n_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "epochs": progress.epoch,
        "kept_epoch": progress.kept_epoch,
        "steps": progress.step,
        **describe_machine(device),
        "seconds": round(time.monotonic() - start, 3),
    }
    run = (fold.model, fold.repeat, fold.fold)
    predictions = tabulate_predictions(samples, index["test"], outcome, run, fold.levels)
    metrics = pd.DataFrame(progress.rows)
    return TrainedFold(spectra, regrouped, metrics, predictions, copy_weights(model), record, permuted)


def make_optimizer(parameters: Iterable[torch.nn.Parameter], fold: Fold) -> torch.optim.Optimizer:
    """AdamW with the settings of a fold; fused, since small networks spend most of a step in it."""
    return torch.optim.AdamW(parameters, lr=fold.learning_rate, weight_decay=fold.weight_decay, fused=True)


def fingerprint(
    samples: Samples, sides: Mapping[str, Sequence[str]], fold: Fold, groupings: Sequence[Grouping] = ()
) -> str:
    """Digest of all that the result of `train_fold` depends on, by which a checkpoint is known again."""
    settings = {**asdict(fold), **identify(fold), "device": str(choose_device(fold.device)), "sides": dict(sides)}
    if (source := find_own_source(fold.hyperparameters)) is not None:
        settings["network"] = source.read_text(encoding="utf-8")
    labels = [labels for each in groupings for labels in (each.labels, each.permutations) if labels is not None]
    return fingerprint_of(settings, samples.values, samples.groups, *labels)
