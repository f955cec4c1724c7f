"""Everything that needs an accelerator, in one table: ``make test-gpu``.

It runs with what an ordinary image with CUDA has, torch and numpy: spectra are read without xarray, and a check whose
packages are missing is left out, and says so. It ends after eight minutes, with what is left then named. Single
precision is computed as such, not in TF32.
"""

import math
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from capture_cases import CASES, GROUPS, Case
from torch import Tensor, nn

from gradspec.capture import SpectraRecorder

MINUTES = 8
# Of float64, and of float32 by other kernels; of low precision, beside the gradient that training gets.
TOLERANCES = {torch.float64: 1e-9, torch.float32: 2e-4}
LOW_PRECISION = 3e-2

# Runs a check on a device, and gives a line about what was seen.
Check = Callable[[torch.device], str]
Spectra = dict[tuple[str, str], np.ndarray]


def spectra_of(recorder: SpectraRecorder) -> Spectra:
    """Values of each weight and kind (step, group, index), without the packages that files need."""
    recorder._collect(everything=True)
    records = recorder._history.records
    return {
        (weight.node, kind): np.stack([record.solved[weight].spectra[kind] for record in records])
        for weight, solved in records[0].solved.items()
        for kind in solved.spectra
    }


def record(case: Case, device: torch.device, dtype: torch.dtype, **options: Any) -> Spectra:
    """Spectra of two steps of a case."""
    model, x, y = case.make(dtype)
    model, x, y = model.to(device), x.to(device), y.to(device)
    group = torch.tensor(GROUPS["mixed"], device=device)
    with SpectraRecorder(model, ["control", "patient"], extras=case.extras, **options) as recorder:
        for _ in range(2):
            with recorder.step(group):
                nn.functional.cross_entropy(model(x), y).backward()
            model.zero_grad()
        return spectra_of(recorder)


def compare(found: Spectra, expected: Spectra, tolerance: float) -> float:
    """Largest difference relative to the largest value of the pooled spectrum; raise where it is too large."""
    assert found.keys() == expected.keys()
    worst = 0.0
    for key, values in expected.items():
        assert found[key].shape == values.shape, key
        assert (np.isfinite(found[key]) == np.isfinite(values)).all(), f"{key}: other values are defined"
        scale = np.nanmax(values, initial=1e-300)
        worst = max(worst, float(np.nanmax(abs(found[key] - values), initial=0.0) / scale))
        assert worst <= tolerance, f"{key}: {worst:.1e} of the largest value off"
    return worst


def check_case(case: Case) -> Check:
    """Whether a layer has the same spectra as on the CPU, solved on the host and on the device."""

    def check(device: torch.device) -> str:
        seen = []
        for dtype, tolerance in TOLERANCES.items():
            expected = record(case, torch.device("cpu"), dtype)
            for place in ("host", "device"):
                seen.append(compare(record(case, device, dtype, solve_on=place), expected, tolerance))
        return f"off by {max(seen[:2]):.0e} in float64, {max(seen[2:]):.0e} in float32"

    return check


def _sequence_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(60, 200), nn.Tanh(), nn.Linear(200, 200), nn.Tanh(), nn.Linear(200, 2))


def _draw(device: torch.device) -> tuple[Tensor, Tensor]:
    group = torch.arange(16) % 2
    x = torch.randn(16, 30, 60, generator=torch.Generator().manual_seed(1)) + group[:, None, None]
    return x.to(device), group.to(device)


def check_leading(device: torch.device) -> str:
    """Whether leading values lie within their bounds of all."""
    found = {}
    for spectrum in ("exact", "leading"):
        model = _sequence_model().to(device)
        x, group = _draw(device)
        options: dict[str, Any] = {"spectrum": spectrum, "solve_on": "device"}
        with SpectraRecorder(model, ["control", "patient"], **options) as recorder:
            with recorder.step(group):
                nn.functional.cross_entropy(model(x).mean(1), group).backward()
            found[spectrum] = spectra_of(recorder)
    values, bounds = (found["leading"]["2.weight", kind] for kind in ("gradient", "gradient_bound"))
    exact = found["exact"]["2.weight", "gradient"]
    assert (abs(values - exact[..., :16]) <= bounds + 1e-6 * exact[..., :1]).all()
    return f"bounds up to {float((bounds / exact[..., :1]).max()):.0e}"


def check_amp(dtype: torch.dtype) -> Check:
    """Whether pooled values under autocast are those of the gradient that training gets, whatever the loss scale."""

    def check(device: torch.device) -> str:
        seen = []
        for place in ("host", "device"):
            model = _sequence_model().to(device)
            x, group = _draw(device)
            scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
            options: dict[str, Any] = {"scaler": scaler if scaler.is_enabled() else None, "solve_on": place}
            with SpectraRecorder(model, ["control", "patient"], **options) as recorder:
                with recorder.step(group), torch.autocast(device.type, dtype):
                    loss = nn.functional.cross_entropy(model(x).float().mean(1), group)
                    scaler.scale(loss).backward()
                values = spectra_of(recorder)["2.weight", "gradient"][0, -1]
            exact = torch.linalg.svdvals(model[2].weight.grad.double().cpu() / float(scaler.get_scale())).numpy()
            seen.append(float(abs(values - exact[: len(values)]).max() / exact[0]))
        assert max(seen) <= LOW_PRECISION, f"{max(seen):.1e} of the largest value off"
        return f"off by {max(seen):.0e}"

    return check


def check_training(device: torch.device) -> str:
    """Whether the same weights come out with the recorder and without."""
    weights = []
    for place in (None, "host", "device"):
        model = _sequence_model().to(device)
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        recorder = None if place is None else SpectraRecorder(model, ["control", "patient"], solve_on=place)
        for _ in range(5):
            x, group = _draw(device)
            if recorder is None:
                nn.functional.cross_entropy(model(x).mean(1), group).backward()
            else:
                with recorder.step(group):
                    nn.functional.cross_entropy(model(x).mean(1), group).backward()
            optimizer.step()
            optimizer.zero_grad()
        weights.append(torch.cat([parameter.detach().double().flatten() for parameter in model.parameters()]))
    off = max(float((each - weights[0]).norm() / weights[0].norm()) for each in weights[1:])
    assert off <= 1e-4
    return f"weights off by {off:.0e}"


def check_fold(device: torch.device) -> str:
    """Whether a fold of the workflow runs, with recording and without."""
    from benchmarks.training import measure

    row = measure("mlp", 3, str(device), 1)
    return f"{row['off']:.1f} s without recording, {row['on']:.1f} s with"


def check_retraining(device: torch.device) -> str:
    """Whether a fold trains again under permuted groups."""
    from benchmarks.retraining import run_permuted

    run_permuted("mlp", 5, 5, str(device), None)
    return "5 permutations"


def check_ica(device: torch.device) -> str:
    """Whether the sums of group ICA are those of numpy."""
    from gradspec.ica.moments import TorchMoments, moments_of

    data = np.random.default_rng(0).laplace(size=(20, 5000)).astype(np.float32)
    found, expected = TorchMoments(data, str(device)), moments_of(data)
    pairs = [
        (getattr(found.infomax(np.eye(20)), name), getattr(expected.infomax(np.eye(20)), name))
        for name in ("log_cosh", "score", "curvature")
    ]
    off = max(float(np.max(np.abs(one - other)) / np.max(np.abs(other))) for one, other in pairs)
    assert off <= 1e-4
    return f"off by {off:.0e}"


def check_cost(device: torch.device) -> str:
    """What recording costs, on the host and on the device."""
    from benchmarks.capture import measure
    from benchmarks.models import WORKLOADS

    rows = measure(WORKLOADS["transformer d=128"], 5, device=device, only=("sync", "worker", "device"))
    return ", ".join(f"{row['method']} {row['wall_ratio']:.2f}" for row in rows) + " of the plain step"


CHECKS: dict[str, Check] = {
    **{f"capture {case.name}": check_case(case) for case in CASES},
    "capture of leading values": check_leading,
    "capture in bfloat16": check_amp(torch.bfloat16),
    "capture in float16, scaled": check_amp(torch.float16),
    "training is the same": check_training,
    "fold of the workflow": check_fold,
    "retraining": check_retraining,
    "sums of group ICA": check_ica,
    "cost of recording": check_cost,
}


def run(device: torch.device, checks: dict[str, Check]) -> Iterator[tuple[str, str, float, str]]:
    """Name, outcome, seconds, and what was seen, of each check."""
    start = time.monotonic()
    for name, check in checks.items():
        began = time.monotonic()
        if began - start > 60 * MINUTES:
            yield name, "left out", 0.0, f"{MINUTES} minutes are over"
            continue
        try:
            outcome, seen = "passed", check(device)
        except ModuleNotFoundError as error:
            outcome, seen = "left out", f"needs {error.name}"
        except Exception as error:
            outcome, seen = "failed", (str(error) or traceback.format_exc()).strip().splitlines()[-1]
        yield name, outcome, time.monotonic() - began, seen


def main() -> int:
    """Print the table; gives 1 where a check failed."""
    if not torch.cuda.is_available():
        print(f"torch {torch.__version__} sees no CUDA device: nothing was checked")
        return 0
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    device = torch.device("cuda")
    print(f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}, CUDA {torch.version.cuda}\n")
    width = max(map(len, CHECKS))
    counts = {"passed": 0, "failed": 0, "left out": 0}
    seconds = 0.0
    for name, outcome, took, seen in run(device, CHECKS):
        counts[outcome] += 1
        seconds += took
        print(f"{name:{width}}  {outcome:8}  {took:6.1f} s  {seen}", flush=True)
    print(f"\n{', '.join(f'{count} {outcome}' for outcome, count in counts.items())} in {math.ceil(seconds)} s")
    return int(counts["failed"] > 0)
