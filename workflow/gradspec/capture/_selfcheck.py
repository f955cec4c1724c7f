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

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from gradspec.capture._layer import Weight, is_low_precision
from gradspec.capture._step import StepCapture
from gradspec.capture._weight_capture import WeightCapture

_VECTORS = 4
_TOLERANCE = 1e-4
# Several uses of a weight add up in low precision, a rounding of 0.4 % each.
_LOW_PRECISION_TOLERANCE = 1e-2

# Gv, sparse where G is.
Sketch = Float64[Tensor, "m vector"]


class SelfCheck:
    """Compares, in one step, what reaches the recorded matrices with what was captured of them.

    Left out are parametrised weights, which get no gradient of their own, and those with hooks, which may change it.

    Parameters
    ----------
    model : nn.Module
        The model.
    weights : sequence of Weight
        What is recorded.
    """

    def __init__(self, model: nn.Module, weights: Sequence[Weight]) -> None:
        parameters = dict(model.named_parameters())
        blocks: dict[str, list[Weight]] = defaultdict(list)
        for weight in weights:
            if weight.parameter in parameters and parameters[weight.parameter].ndim > 1:
                blocks[weight.parameter].append(weight)
        self._blocks = blocks
        self._parameters = {name: parameters[name] for name in blocks}
        generator = torch.Generator().manual_seed(0)
        self._probes = {
            name: torch.randn(of[0].shape[1], _VECTORS, generator=generator, dtype=torch.float64)
            for name, of in blocks.items()
        }
        self._seen: dict[str, Sketch] = {}
        self._is_low: set[str] = set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """See the gradients that reach the parameters in the block, each before anything changes it."""
        self._seen.clear()
        handles = [
            parameter.register_hook(self._hook(name))  # type: ignore[no-untyped-call]
            for name, parameter in self._parameters.items()
            if parameter.requires_grad and not parameter._backward_hooks
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def check(self, step: StepCapture, stacklevel: int) -> None:
        """Warn where the step captured less, or more, than what was seen."""
        for name, seen in self._seen.items():
            probe = self._probes[name]
            with torch.no_grad():
                captured = torch.cat([_sketch_of_capture(step[weight], probe) for weight in self._blocks[name]])
            size, error = _norm(seen), _norm(seen - captured)
            is_low = step.in_low_precision or name in self._is_low
            if error > (_LOW_PRECISION_TOLERANCE if is_low else _TOLERANCE) * max(size, _norm(captured)):
                warnings.warn(
                    f"the gradient of {name} is not the sum of what its layer captured ({_percent(error, size)}): "
                    "the weight is also used in another way (a regulariser, a functional call), which its spectrum "
                    "does not include",
                    stacklevel=stacklevel,
                )

    def _hook(self, name: str) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            sketch = _sketch(gradient.detach(), self._probes[name])
            self._seen[name] = self._seen[name] + sketch if name in self._seen else sketch
            if is_low_precision(gradient):
                self._is_low.add(name)

        return hook


def _sketch_of_capture(capture: WeightCapture, probe: Float64[Tensor, "n vector"]) -> Sketch:
    sketches = [(use.delta.double().mT @ (use.h.double() @ probe.to(use.h.device))).cpu() for use in capture.uses]
    sketches += [_sketch(gradient, probe) for gradient in (*capture.gradients.values(), *capture.samples.values())]
    first, *others = sorted(sketches, key=lambda sketch: sketch.is_sparse)  # dense + sparse is defined
    return sum(others, start=first)


def _sketch(gradient: Float[Tensor, "m *n"], probe: Float64[Tensor, "n vector"]) -> Sketch:
    probe = probe.to(gradient.device)
    if not gradient.is_sparse:
        return (gradient.double().reshape(-1, len(probe)) @ probe).cpu()
    gradient = gradient.coalesce()
    products = gradient.values().double() @ probe
    shape = (len(gradient), probe.shape[1])
    return torch.sparse_coo_tensor(gradient.indices(), products, shape, check_invariants=False).cpu()


def _norm(sketch: Sketch) -> float:
    return float((sketch.coalesce().values() if sketch.is_sparse else sketch).norm())


def _percent(error: float, size: float) -> str:
    return f"{100 * error / size:.2g} %" if size else "it is zero"
