r"""Whether what layers capture of a weight is all of its gradient, which it is not where the weight is used otherwise.

A penalty on the weight, or a functional call with it, adds to the gradient :math:`G` that the optimiser gets, and no
layer sees it. For a few random vectors :math:`v`, the :math:`Gv` that reaches the parameter is compared with
:math:`\sum_g G_g v` (Freivalds 1977): their difference is as large, relative to :math:`Gv`, as that of the gradients is
expected to be, and no copy of a gradient is needed.
"""

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from gradspec.capture._graph import demand_of
from gradspec.capture._layer import Weight, is_low_precision
from gradspec.capture._step import StepCapture
from gradspec.capture._weight_capture import WeightCapture
from gradspec.capture.errors import listed

_VECTORS = 4
_TOLERANCE = 1e-4
# Several uses of a weight add up in low precision, a rounding of 0.4 % each.
_LOW_PRECISION_TOLERANCE = 1e-2

# Gv
Sketch = Float64[Tensor, "m vector"]


class Probes:
    """The recorded matrices that are parameters, and random directions in which their gradients are compared.

    Attributes
    ----------
    blocks : dict
        What is recorded of each parameter, by its name.
    parameters : dict
        The parameters.
    """

    def __init__(self, model: nn.Module, weights: Sequence[Weight]) -> None:
        parameters = dict(model.named_parameters())
        self.blocks: dict[str, list[Weight]] = defaultdict(list)
        for weight in weights:
            if weight.parameter in parameters and parameters[weight.parameter].ndim > 1:
                self.blocks[weight.parameter].append(weight)
        self.parameters = {name: parameters[name] for name in self.blocks}

    def sketch(self, name: str, gradient: Tensor) -> Sketch:
        """Product of the gradient of a parameter, as the matrix that is recorded, with the directions."""
        return sketch_of(gradient.mT if self.blocks[name][0].is_transposed else gradient, self.of(name))

    def of(self, name: str) -> Float64[Tensor, "n vector"]:
        """The directions for a parameter, the same each time."""
        generator = torch.Generator().manual_seed(0)
        return torch.randn(self.blocks[name][0].shape[1], _VECTORS, generator=generator, dtype=torch.float64)


class SelfCheck:
    """Compares what reaches the recorded matrices with what was captured of them, the first time that something does.

    Left out are parametrised weights, which get no gradient of their own, and those with hooks, which may change it.
    What a nested backward pass returns, or `autograd.grad`, reaches no parameter.

    Parameters
    ----------
    probes : Probes
        The recorded matrices, and the directions in which their gradients are compared.

    Attributes
    ----------
    missed : set of str
        The parameters that a gradient reached by no operation that is recorded.
    """

    def __init__(self, probes: Probes) -> None:
        self._probes = probes
        self.missed: set[str] = set()
        self._waiting = dict(probes.parameters)
        self._seen: dict[str, Sketch] = {}
        self._is_low: set[str] = set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """See the gradients that reach the parameters in the block, each before anything changes it."""
        self._seen.clear()
        handles = [
            parameter.register_hook(self._hook(name, torch.autograd.graph.get_gradient_edge(parameter).node))  # type: ignore[no-untyped-call]
            for name, parameter in self._waiting.items()
            if parameter.requires_grad and not parameter._backward_hooks
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @property
    def seen(self) -> set[str]:
        """The parameters that a gradient has reached."""
        return set(self._seen)

    def check(self, step: StepCapture, stacklevel: int) -> "SelfCheck | None":
        """Warn where the step captured less, or more, than what was seen; gives the check of what had no gradient."""
        missed = []
        for name, seen in self._seen.items():
            weights = [weight for weight in self._probes.blocks[name] if weight not in step.spoiled]
            del self._waiting[name]
            if not weights or norm(seen) == 0:
                continue
            if all(step[weight].empty for weight in weights):
                self.missed.add(name)
                missed.append(name)
                continue
            probe = self._probes.of(name)
            with torch.no_grad():
                captured = torch.cat([sketch_of_capture(step[weight], probe) for weight in weights])
            size, error = norm(seen), norm(seen - captured)
            is_low = step.in_low_precision or name in self._is_low
            if error > (_LOW_PRECISION_TOLERANCE if is_low else _TOLERANCE) * max(size, norm(captured)):
                warnings.warn(
                    f"the gradient of {name} is not the sum of what its layer captured ({_percent(error, size)}): "
                    "the weight is also used in another way (a regulariser, a functional call), which its spectrum "
                    "does not include",
                    stacklevel=stacklevel,
                )
        if missed:
            warnings.warn(
                f"a gradient reached {listed(missed)}, but by no operation that is recorded: the weight is used in a "
                "computation of its own, in a gradient that autograd.grad returned, or by a function of torch that was "
                "exchanged. It is not recorded (NaN); leave it out with exclude=[…]",
                stacklevel=stacklevel,
            )
        self._seen.clear()
        return self if self._waiting else None

    def _hook(self, name: str, accumulator: Any) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            if not demand_of(accumulator)[1]:
                return
            found = self._probes.sketch(name, gradient.detach())
            self._seen[name] = self._seen[name] + found if name in self._seen else found
            if is_low_precision(gradient):
                self._is_low.add(name)

        return hook


def sketch_of_capture(capture: WeightCapture, probe: Float64[Tensor, "n vector"], label: int | None = None) -> Sketch:
    """Product of what was captured of a weight, or of what counts as one label, with the probe."""
    sketches = [torch.zeros(capture.weight.shape[0], probe.shape[1], dtype=torch.float64)]
    for use, labels in zip(capture.uses, capture.row_labels, strict=True):
        delta = use.delta.double()
        if label is not None:
            delta = delta * torch.tensor([[each == label] for each in labels], device=delta.device)
        sketches.append((delta.mT @ (use.h.double() @ probe.to(use.h.device))).cpu())
    sketches += [sketch_of(each, probe) for key, each in capture.gradients.items() if label in (None, key)]
    sketches += [
        sketch_of(each, probe) for key, each in capture.samples.items() if label in (None, capture.sample_labels[key])
    ]
    return sum(sketches[1:], start=sketches[0])


def sketch_of(gradient: Float[Tensor, "m *n"], probe: Float64[Tensor, "n vector"]) -> Sketch:
    """Product of a gradient with the probe."""
    probe = probe.to(gradient.device)
    if gradient.is_sparse:
        gradient = gradient.detach().coalesce()
        products = probe.new_zeros(len(gradient), probe.shape[1])
        return products.index_add_(0, gradient.indices()[0], gradient.values().double() @ probe).cpu()
    return (gradient.double().reshape(-1, len(probe)) @ probe).cpu()


def norm(sketch: Sketch) -> float:
    return float(sketch.norm())


def _percent(error: float, size: float) -> str:
    return f"{100 * error / size:.2g} %" if size else "it is zero"
