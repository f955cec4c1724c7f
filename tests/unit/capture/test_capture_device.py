"""The route of an accelerator, ``solve_on="device"``, gives what the host's does; here on tensors of the CPU."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from gradspec import SpectraRecorder
from gradspec.capture import CaptureError
from gradspec.capture._weight_capture import WeightCapture

GROUPS = ["control", "patient", "nobody"]


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 18), nn.ReLU(), nn.Linear(18, 3))


def conv() -> nn.Module:
    layers = (nn.Conv1d(4, 6, 3), nn.ReLU(), nn.Conv1d(6, 6, 3, groups=2), nn.AdaptiveAvgPool1d(1), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(6, 3))


CASES: dict[str, tuple[Any, tuple[int, ...], dict[str, Any]]] = {
    "sample side": (mlp, (12, 30), {}),
    "few rows": (mlp, (40, 30), {}),
    "parameter side": (mlp, (12, 9, 30), {}),
    "convolutions": (conv, (12, 4, 20), {}),
    "all kinds": (mlp, (12, 9, 30), {"kinds": ("gradient", "activation", "delta")}),
    "all kinds of few": (mlp, (12, 30), {"kinds": ("gradient", "activation", "delta")}),
    "worker": (mlp, (12, 30), {"worker": True}),
    "leading": (mlp, (12, 9, 30), {"spectrum": "leading", "leading": 1}),
    "kept steps": (mlp, (12, 30), {"keep_grams": 2}),
}


def record(build: Any, shape: tuple[int, ...], options: dict[str, Any], x: torch.Tensor | None = None) -> xr.DataTree:
    torch.manual_seed(0)
    model = build()
    generator = torch.Generator().manual_seed(1)
    with SpectraRecorder(model, GROUPS, **options) as recorder:
        for _ in range(3):
            inputs = torch.randn(shape, generator=generator) if x is None else x
            with recorder.step(torch.arange(shape[0]) % 2):
                model(inputs).square().mean().backward()
            model.zero_grad()
    return recorder.spectra()


@pytest.mark.parametrize("case", CASES)
def test_both_routes_agree(case: str) -> None:
    build, shape, options = CASES[case]
    host, device = (record(build, shape, {**options, "solve_on": where}) for where in ("host", "device"))
    for node in host.subtree:
        for kind in ("gradient", "activation", "delta"):
            if kind in node.data_vars:
                expected, found = node[kind].values, device[node.path][kind].values
                scale = np.nanmax(expected, initial=1e-300)
                np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * scale)


def test_nothing_is_looked_at_before_problems_are_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at a number would let the step wait for the device."""
    seen: list[str] = []
    model = mlp()
    recorder = SpectraRecorder(model, GROUPS, solve_on="device", check_rows="never")
    x, group = torch.randn(12, 30), torch.arange(12) % 2

    def step() -> None:
        with recorder.step(group):
            model(x).square().mean().backward()

    step()  # which checks that what is captured is what reaches the weights
    with monkeypatch.context() as patched:
        for name in ("__float__", "__bool__", "item", "tolist", "numpy", "cpu"):
            real = getattr(torch.Tensor, name)

            def spy(self: torch.Tensor, *args: Any, real: Any = real, name: str = name, **options: Any) -> Any:
                if self.is_floating_point():
                    seen.append(name)
                return real(self, *args, **options)

            patched.setattr(torch.Tensor, name, spy)
        step()
        assert seen == []
        recorder.flush()
        assert "cpu" in seen


def test_a_step_that_is_not_finite_is_unknown_and_the_others_are_not() -> None:
    torch.manual_seed(0)
    model = mlp()
    recorder = SpectraRecorder(model, GROUPS, solve_on="device")
    for bad in (False, True, False):
        x = torch.randn(12, 30)
        x[1, 0] = math.nan if bad else 0.0
        with recorder.step(torch.arange(12) % 2):
            model(x).square().mean().backward()
        model.zero_grad()
    tree = recorder.spectra()
    assert tree["finite"].values.tolist() == [True, False, True]
    assert np.isfinite(tree["0.weight"]["gradient"].values[[0, 2]][:, [0, 1, 3], 0]).all()


def test_steps_that_are_kept_are_solved_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    stayed = []
    real = WeightCapture.condense
    monkeypatch.setattr(WeightCapture, "condense", lambda self: stayed.append(self.step.stays_on_device) or real(self))
    record(mlp, (12, 30), {"keep_grams": 2, "solve_on": "device"})
    assert stayed == [False] * 3 + [True] * 3 + [False] * 3


def test_another_place_is_refused() -> None:
    with pytest.raises(CaptureError, match="solve_on must be 'host' or 'device', not 'cuda'"):
        SpectraRecorder(mlp(), GROUPS, solve_on="cuda")
