"""What every kind of layer has in common: the weights it reports, and a forward that stands in during a step."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gradspec.capture.errors import UnsupportedError

if TYPE_CHECKING:
    from gradspec.capture._step import StepCapture


@dataclass(frozen=True, eq=False)
class Weight:
    """A matrix whose gradient spectrum is recorded: a parameter, or a block of one.

    Attributes
    ----------
    node : str
        Name of its node among the spectra: the parameter's name, and ``/`` and the block's where it has several.
    parameter : str
        Name of the parameter, as in ``model.named_parameters()``.
    layer : str
        Kind of the layer, for example ``Linear``.
    shape : (int, int)
        Outputs m and inputs n of the matrix.
    kinds : tuple of str
        What can be recorded: ``gradient``, and for some layers ``activation`` and ``delta``.
    """

    node: str
    parameter: str
    layer: str
    shape: tuple[int, int]
    kinds: tuple[str, ...]


class Layer(ABC):
    """A module that is captured.

    Attributes
    ----------
    agreement : str
        How far the gradients that the optimiser gets agree with those of the bare module.
    weights : list of Weight
        What is recorded.
    """

    agreement: str
    weights: list[Weight]

    def __init__(self, name: str, module: nn.Module) -> None:
        self.name = name
        self.module = module
        self.kind = type(module).__name__
        self._step: StepCapture | None = None
        # One object for good: compiled code is compiled anew for every function that it meets.
        self._stand_in: Callable[..., Any] = self._captured_forward
        self._is_eager = False

    def parameter(self, name: str) -> str:
        """Full name of a parameter of the module."""
        return f"{self.name}.{name}" if self.name else name

    @abstractmethod
    def forward(self, step: "StepCapture", *args: Any, **kwargs: Any) -> Any:
        """What the module's forward gives, arranged so that backward adds to `step`."""

    def install(self, step: "StepCapture") -> None:
        """Let the module's forward add to a step."""
        self._step = step
        if not self._is_eager and "torch._dynamo" in sys.modules:  # which would take a second to import for nothing
            self._stand_in = torch.compiler.disable(self._captured_forward)  # type: ignore[no-untyped-call]
            self._is_eager = True
        vars(self.module)["forward"] = self._stand_in

    def remove(self) -> None:
        """Leave the module as it was."""
        vars(self.module).pop("forward", None)
        self._step = None

    def _captured_forward(self, *args: Any, **kwargs: Any) -> Any:
        if self._step is None:  # a compiled copy that did not notice
            return type(self.module).forward(self.module, *args, **kwargs)
        return self.forward(self._step, *args, **kwargs)

    def __str__(self) -> str:
        return f"{self.kind} '{self.name}'" if self.name else self.kind


def check_eager(layer: Layer) -> None:
    """Raise `UnsupportedError` in compiled code, where captured numbers would be wrong."""
    if torch.compiler.is_compiling():
        raise UnsupportedError(f"{layer}: spectra cannot be recorded inside compiled code; compile the whole model")


def autocast_inputs(input: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Input, weight and bias of a layer as autocast hands them to its kernel: in low precision, unless float64.

    The cast is part of the graph, so that the weight's gradient takes the way back that it takes without the recorder.
    """
    device = input.device.type
    if not torch.is_autocast_enabled(device):
        return input, weight, bias
    dtype = torch.get_autocast_dtype(device)
    lowered_bias = bias if bias is None else _lower(bias, dtype)
    return _lower(input, dtype), _lower(weight, dtype), lowered_bias


def _lower(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.to(dtype)


def is_low_precision(tensor: Tensor) -> bool:
    """Whether a gradient in the precision of the tensor would spoil its spectrum."""
    return tensor.dtype in (torch.bfloat16, torch.float16)


def receives_gradient(ctx: Any, position: int) -> bool:
    """Whether the running backward computes a gradient for an input of the function, not only for others.

    ``ctx.needs_input_grad`` says what required grad in forward. ``autograd.grad(output, inputs)`` within a step (a
    saliency map, say) asks for less, and must not count as a gradient of the weight.
    """
    if not ctx.needs_input_grad[position]:
        return False
    try:
        return bool(torch._C._will_engine_execute_node(ctx.next_functions[position][0]))
    except RuntimeError:  # the weight itself is what autograd.grad was asked for
        return True


def total(parts: Sequence[Tensor]) -> Tensor:
    """Sum of the parts of a weight gradient, in memory of its own."""
    return parts[0].clone() if len(parts) == 1 else sum(parts[1:], start=parts[0])
