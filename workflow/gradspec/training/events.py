"""Events for TensorBoard, where they are asked for: scores of every epoch, and spectra of every recorded step."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gradspec.errors import ConfigError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def open_events(folder: Path, step: int) -> "SummaryWriter":
    """Write events to a folder, after those of an earlier process that came to this step.

    Parameters
    ----------
    folder : path
        Emptied where training begins anew; of a training that goes on, TensorBoard forgets what the earlier process
        wrote of this step and later ones.
    step : int
        The next step, from 0.

    Returns
    -------
    SummaryWriter

    Raises
    ------
    ConfigError
        If the package tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            "training.tensorboard needs the package tensorboard: install it (pip install tensorboard), or set the key "
            "to false"
        ) from error
    if not step:
        shutil.rmtree(folder, ignore_errors=True)
    return SummaryWriter(folder, purge_step=step or None)


def write_scores(events: "SummaryWriter", scores: Mapping[str, Mapping[str, float]], step: int) -> None:
    """Write the scores of each side after an epoch, at the number of steps so far; those that are undefined are not."""
    for side, scored in scores.items():
        for name, value in scored.items():
            if np.isfinite(value):
                events.add_scalar(f"{name}/{side}", value, step)
