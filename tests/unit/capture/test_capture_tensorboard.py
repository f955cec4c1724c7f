"""TensorBoard reads what the recorder wrote while training ran."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from gradspec.capture import SpectraRecorder

NAMES = ["control", "patient"]


@pytest.mark.parametrize("worker", [False, True])
def test_events_hold_effective_rank_norm_and_contrast_of_every_step(worker: bool, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    with SummaryWriter(tmp_path) as writer, SpectraRecorder(model, NAMES, writer=writer, worker=worker) as recorder:
        for _ in range(4):
            with recorder.step(torch.tensor([0, 1, 1, 0])):
                model(torch.randn(4, 6)).square().mean().backward()
        recorder.flush()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert sorted(events.Tags()["scalars"]) == sorted(
        [
            *(f"effective_rank/{layer}/weight/{group}" for layer in (0, 2) for group in (*NAMES, "pooled")),
            *(f"spectral_norm/{layer}/weight/{group}" for layer in (0, 2) for group in (*NAMES, "pooled")),
            *(f"group_contrast/{layer}/weight/patient-control" for layer in (0, 2)),
        ]
    )
    spectra = recorder.spectra()["0.weight"]["gradient"]
    norms = events.Scalars("spectral_norm/0/weight/patient")
    assert [event.step for event in norms] == [0, 1, 2, 3]
    expected = spectra.sel(group="patient", index=0)
    np.testing.assert_allclose([event.value for event in norms], expected, rtol=1e-6)


def test_an_empty_group_is_left_out(tmp_path: Path) -> None:
    model = nn.Linear(6, 5)
    with SummaryWriter(tmp_path) as writer, SpectraRecorder(model, NAMES, writer=writer) as recorder:
        with recorder.step(torch.tensor([0, 0])):
            model(torch.randn(2, 6)).sum().backward()
        recorder.flush()
    tags = EventAccumulator(str(tmp_path)).Reload().Tags()["scalars"]
    assert sorted(tags) == [
        f"{what}/weight/{of}" for what in ("effective_rank", "spectral_norm") for of in ("control", "pooled")
    ]
