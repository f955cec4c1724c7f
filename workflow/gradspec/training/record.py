"""What was run: on which data, with which settings, by which software and machine."""

import platform
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Int

import gradspec
from gradspec.training.groupings import Grouping
from gradspec.training.samples import Samples

if TYPE_CHECKING:
    from gradspec.training.fold import Fold


def identify(fold: "Fold") -> dict[str, Any]:
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


def describe_data(
    samples: Samples, index: Mapping[str, Int[np.ndarray, "sample"]], levels: Sequence[str]
) -> dict[str, Any]:
    """Form of the samples, and how many of each group are on each side."""
    return {
        "input": samples.kind,
        "sample_shape": list(samples.values.shape[1:]),
        "levels": list(levels),
        "n": {
            side: {level: int((samples.groups[rows] == label).sum()) for label, level in enumerate(levels)}
            for side, rows in index.items()
        },
    }


def describe_settings(fold: "Fold", batch_size: int, groupings: Sequence[Grouping]) -> dict[str, Any]:
    """What the config asked for, with the batch size that the smaller group allowed, and the seeds."""
    return {
        "hyperparameters": dict(fold.hyperparameters),
        "batch_size": batch_size,
        "learning_rate": fold.learning_rate,
        "weight_decay": fold.weight_decay,
        "deterministic": fold.deterministic,
        "amp": fold.amp,
        "kinds": list(fold.kinds),
        "record_every": fold.record_every,
        "groupings": {grouping.name: list(grouping.levels) for grouping in groupings},
        "seeds": {"network": fold.derive_seed("network"), "batches_of_first_epoch": fold.derive_seed("batches", 0)},
    }


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Where it was run."""
    return {
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "threads": torch.get_num_threads(),
    }
