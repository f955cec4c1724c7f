"""What the recorder makes of a network: the share it records, how exact it is, and whether training is unchanged."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from zoo import N_CLASSES, Built, Network

from gradspec.capture import SpectraRecorder

GROUPS = ["control", "patient"]
_TINY = 1e-9  # of the largest gradient of a network: smaller ones are zero but for rounding, as that of keys' biases


@dataclass(frozen=True)
class Measured:
    """A row of the table.

    Attributes
    ----------
    share : float
        Of the entries of trained parameters with two and more dimensions, those that are recorded.
    n_weights : int
        Matrices that have a spectrum.
    error : float
        Largest difference of a singular value from that of a backward pass per group, over the largest of its weight;
        NaN where a weight was not recorded in the step.
    missing : tuple of str
        Weights that get a gradient, and were not recorded in the step.
    silent : tuple of str
        Those of them that the report still says to be captured.
    gradient_error : float
        Largest difference of the gradient that the optimiser gets from that without the recorder, over the largest.
    ratio : float
        Time of a recorded step over that of a plain one.
    warned : tuple of str
        What the recorder warned of.
    """

    share: float
    n_weights: int
    error: float
    missing: tuple[str, ...]
    silent: tuple[str, ...]
    gradient_error: float
    ratio: float
    warned: tuple[str, ...]


def make(network: Network, dtype: torch.dtype = torch.float64) -> Built:
    """Build a network in a precision, in evaluation mode: without dropout, and without samples that meet."""
    torch.manual_seed(0)
    built = network.build()
    batch = {name: x.to(dtype) if x.is_floating_point() else x for name, x in built.batch.items()}
    return Built(built.model.to(dtype).eval(), batch, built.forward, built.options)


def measure(network: Network, rounds: int = 0) -> Measured:
    """Record one step of a network in float64 and compare it with a backward pass of each group's loss."""
    built = make(network)
    with torch.no_grad():
        n_samples = len(built.forward(built.model, built.batch))
    labels = torch.arange(n_samples) % 2
    losses = _losses(built, torch.arange(n_samples) // 2 % N_CLASSES)
    expected = {name: _gradients(built.model, losses, labels == label) for label, name in enumerate(GROUPS)}
    expected["pooled"] = _gradients(built.model, losses, torch.ones_like(labels, dtype=torch.bool))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        recorder = SpectraRecorder(built.model, GROUPS, **built.options)
        with recorder.step(labels):
            losses().mean().backward()
    trained = {name: p.grad.clone() for name, p in built.model.named_parameters() if p.grad is not None}
    built.model.zero_grad()
    errors: list[float] = []
    missing: list[str] = []
    for node in recorder.spectra().subtree:
        if "gradient" not in node.data_vars:
            continue
        values, weight = node["gradient"].isel(step=0), node.path.strip("/")
        for group, gradients in expected.items():
            matrix = matrix_of(gradients, weight, node["gradient"].attrs, built.model)
            if matrix is None:
                continue
            sigma = torch.linalg.svdvals(matrix)
            found = torch.as_tensor(values.sel(group=group).to_numpy()).double()
            if found.isnan().all() and sigma[0] > 0:
                missing.append(weight)
            elif sigma[0] > 0:
                errors.append(distance(found, sigma))
    largest = max(float(gradient.abs().max()) for gradient in expected["pooled"].values())
    off = [
        float((trained[name] - gradient).abs().max() / max(gradient.abs().max(), _TINY * largest))
        for name, gradient in expected["pooled"].items()
    ]
    report = recorder.report()
    recorder.detach()
    ours = tuple(str(each.message) for each in caught if "gradspec" in each.filename or "record" in str(each.message))
    return Measured(
        report.share,
        sum(row.status == "captured" for row in report),
        max(errors),
        tuple(dict.fromkeys(missing)),
        tuple(node for node in dict.fromkeys(missing) if report[node].status == "captured"),
        max(off),
        _compare_times(network, rounds) if rounds else float("nan"),
        ours,
    )


def distance(found: Tensor, sigma: Tensor) -> float:
    """Largest difference over the largest singular value, where NaN stands for what the rank leaves out."""
    length = max(len(found), len(sigma))
    padded = [F.pad(values, (0, length - len(values))).nan_to_num(0.0) for values in (found, sigma)]
    return float((padded[0] - padded[1]).abs().max() / sigma[0])


def matrix_of(gradients: dict[str, Tensor], node: str, attrs: dict[str, object], model: nn.Module) -> Tensor | None:
    """The matrix (m, n) of a node, from gradients by name of the parameter."""
    name, _, block = node.partition("/")
    if name not in gradients:
        return None
    gradient = gradients[name]
    owner = model.get_submodule(name.rpartition(".")[0])
    if block in ("q", "k", "v"):
        return gradient.chunk(3)["qkv".index(block)]
    if block.startswith("block"):
        return gradient.flatten(1).chunk(owner.groups)[int(block[5:])]
    return gradient.flatten(1) if gradient.ndim > 1 else gradient.reshape(-1, 1)


def _losses(built: Built, classes: Tensor) -> Callable[[], Tensor]:
    return lambda: F.cross_entropy(built.forward(built.model, built.batch), classes, reduction="none")


def _gradients(model: nn.Module, losses: Callable[[], Tensor], member: Tensor) -> dict[str, Tensor]:
    """Gradients of the members' share of the mean loss."""
    model.zero_grad()
    ((losses() * member).sum() / len(member)).backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return gradients


def _compare_times(network: Network, rounds: int) -> float:
    """Median over rounds of the CPU time of a recorded step over that of a plain one beside it, in float32."""
    built = make(network, torch.float32)
    with torch.no_grad():
        n_samples = len(built.forward(built.model, built.batch))
    labels = torch.arange(n_samples) % 2
    losses = _losses(built, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        recorder = SpectraRecorder(built.model, GROUPS, **built.options)

        def recorded() -> None:
            with recorder.step(labels):
                losses().mean().backward()

        def bare() -> None:
            losses().mean().backward()

        ratios = []
        for _ in range(rounds + 1):
            seconds = []
            for step in (bare, recorded):
                built.model.zero_grad()
                start = time.process_time()
                step()
                seconds.append(time.process_time() - start)
            ratios.append(seconds[1] / seconds[0])
        recorder.detach()
    return median(ratios[1:])
