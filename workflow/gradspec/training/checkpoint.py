"""Checkpoints: all that a fold needs to go on as if it had never been stopped.

What is drawn anew in every epoch comes from the fold's seed and the number of the epoch. What is left to keep are the
weights, the state of the optimiser and of PyTorch's random numbers, the scores so far, and the spectra, which the
recorder keeps in a file of its own beside.
"""

import hashlib
import json
import logging
import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradspec.files import atomic_path

_log = logging.getLogger(__name__)

_SEAL = "fingerprint"  # file that says of which training the others are


@dataclass
class Progress:
    """How far a fold has come.

    Attributes
    ----------
    epoch, step : int
        The next epoch and the next step, from 0.
    rows : list of dict
        Scores of the epochs so far.
    best_epoch : int
        Epoch of the lowest loss of the validation set, -1 where there is none.
    best_loss : float
        That loss, in nats.
    best_weights : dict
        Weights after that epoch, on the CPU.
    """

    epoch: int = 0
    step: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = -1
    best_loss: float = math.inf
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    @property
    def kept_epoch(self) -> int:
        """Epoch whose network is kept: the best on the validation set, or the last."""
        return self.best_epoch if self.best_weights else self.epoch - 1

    def add(self, epoch: int, scores: Mapping[str, Mapping[str, float]], model: nn.Module) -> None:
        """Take the scores of each side after an epoch, and the weights where the validation set has its lowest loss."""
        self.rows += [{"epoch": epoch, "set": side, **scored} for side, scored in scores.items()]
        self.epoch = epoch + 1
        loss = scores["validation"]["loss"] if "validation" in scores else math.nan
        if loss < self.best_loss:
            self.best_epoch, self.best_loss, self.best_weights = epoch, loss, copy_weights(model)


class Checkpoint:
    """A folder that holds a fold on its way.

    Parameters
    ----------
    folder : path
        Made when it is needed; nothing else may lie in it.
    fingerprint : str
        Of all that the result depends on, see `fingerprint_of`; what was written under another is thrown away.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self._fingerprint = fingerprint
        self._path = folder / "state.pt"

    @property
    def spectra(self) -> Path:
        """File of the recorder."""
        return self.folder / "spectra.nc"

    @property
    def events(self) -> Path:
        """Folder of the events for TensorBoard."""
        return self.folder / "tensorboard"

    @property
    def finished(self) -> Path:
        """Folder of the files of a fold that is done, while other folds of its job are not."""
        return self.folder / "finished"

    @property
    def is_finished(self) -> bool:
        """Whether the files of this very training are all there."""
        seal = self.finished / _SEAL
        return seal.is_file() and seal.read_text(encoding="utf-8") == self._fingerprint

    @contextmanager
    def finish(self) -> Iterator[Path]:
        """Give a folder to write the files to, which is there whole or not at all; nothing else is kept then."""
        with atomic_path(self.finished) as partial:
            partial.mkdir()
            yield partial
            if self.events.is_dir():
                shutil.copytree(self.events, partial / self.events.name)
            (partial / _SEAL).write_text(self._fingerprint, encoding="utf-8")
        for left in (self._path, self.spectra):
            left.unlink(missing_ok=True)
        shutil.rmtree(self.events, ignore_errors=True)

    def publish(self, folder: Path) -> None:
        """Copy the files to where they belong; a job that is killed meanwhile still has them."""
        for file in sorted(self.finished.iterdir()):
            if file.name != _SEAL:
                with atomic_path(folder / file.name) as partial:
                    (shutil.copytree if file.is_dir() else shutil.copyfile)(file, partial)

    def save(self, progress: Progress, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Write a checkpoint in place of the last; the spectra up to this step must be in their file already."""
        device = next(model.parameters()).device
        state = {
            "fingerprint": self._fingerprint,
            "progress": asdict(progress),
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        }
        with atomic_path(self._path) as partial:
            torch.save(state, partial)

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
        """Bring network, optimiser and random numbers to the last checkpoint, and say how far that was.

        Where there is no checkpoint of this very training the folder is emptied, and the fold begins anew.
        """
        device = next(model.parameters()).device
        state = torch.load(self._path, map_location="cpu", weights_only=True) if self._path.exists() else {}
        if state.get("fingerprint") != self._fingerprint:
            if state:
                _log.info("%s is of a training with other settings or data; this one begins anew", self.folder)
            self.remove()
            self.folder.mkdir(parents=True)
            return Progress()
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        if device.type == "cuda":
            torch.cuda.set_rng_state(state["random_cuda"], device)
        progress = Progress(**state["progress"])
        _log.info("Goes on after epoch %d, from the checkpoint in %s", progress.epoch - 1, self.folder)
        return progress

    def remove(self) -> None:
        """Delete the folder; harmless when it is not there."""
        shutil.rmtree(self.folder, ignore_errors=True)


def copy_weights(model: nn.Module) -> dict[str, Tensor]:
    """Copy the ``state_dict`` of a network to the CPU."""
    return {name: tensor.cpu().clone() for name, tensor in model.state_dict().items()}


def fingerprint_of(settings: Mapping[str, Any], *arrays: np.ndarray) -> str:
    """Digest of what a result depends on.

    Parameters
    ----------
    settings : mapping
        Whatever JSON can hold.
    *arrays : array
        Data, of which dtype, shape and every value count.

    Returns
    -------
    str
        SHA-256, in hexadecimal digits.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
