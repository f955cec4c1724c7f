"""A training run with a file that kills itself at a chosen moment, as a batch system would."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5netcdf
import numpy as np
import torch
from capture_processes import forkserver
from torch import nn

from gradspec.capture import SpectraRecorder

NAMES = ["control", "patient"]


def train(path: Path | None, n_steps: int, resume: bool = False) -> SpectraRecorder:
    """Record so many steps, always the same ones, going on after those that the file has; flush every other step."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(9, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    recorder = SpectraRecorder(model, NAMES, keep_grams=path is not None, path=path, resume=resume)
    for index in range(recorder.spectra().sizes["step"], n_steps):
        with recorder.step(torch.tensor([0, 1, 1, 0])) as step:
            assert step.index == index
            x = torch.randn(4, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(index))
            model(x).square().sum().backward()
        if index % 2:
            recorder.flush()
    return recorder


def _dying(function: Callable[..., Any], countdown: int, is_after: bool = False) -> Callable[..., Any]:
    """A function that kills the process when it is called for the last time."""
    calls = iter(range(countdown, 0, -1))

    def call(*args: Any, **kwargs: Any) -> Any:
        is_last = next(calls) == 1
        if is_last and not is_after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **kwargs)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return call


MOMENTS = ("copy", "write", "replace", "keep", "step")


def run(path: Path, moment: str, countdown: int) -> int:
    """Train in a process that dies when the moment comes for the so manieth time; gives its exit status."""
    process = forkserver().Process(target=_train_and_die, args=(path, moment, countdown))
    process.start()
    process.join(60)
    process.kill()
    status = process.exitcode
    assert status is not None
    return status


def _train_and_die(path: Path, moment: str, countdown: int) -> None:
    match moment:
        case "copy":
            shutil.copyfile = _dying(shutil.copyfile, countdown, is_after=True)
        case "write":
            h5netcdf.File.resize_dimension = _dying(h5netcdf.File.resize_dimension, countdown, is_after=True)
        case "replace":
            Path.replace = _dying(Path.replace, countdown)
        case "keep":
            np.savez = _dying(np.savez, countdown, is_after=True)
        case "step":
            SpectraRecorder._take = _dying(SpectraRecorder._take, countdown)
    train(path, 10, resume=True)
