"""What every kind of layer has in common: the weights it reports, and what stands in for torch's functions."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from gradspec.capture._groups import Groups
    from gradspec.capture._register import Register
    from gradspec.capture._samples import SampleDim
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
    is_transposed : bool
        Whether the parameter is the transpose of the matrix.
    """

    node: str
    parameter: str
    layer: str
    shape: tuple[int, int]
    kinds: tuple[str, ...]
    is_transposed: bool = False


class Layer(ABC):
    """A module that is captured.

    Parameters
    ----------
    name : str
        Name of the module in the model.
    module : nn.Module
        The module.
    register : Register
        Where the layer says which matrices it records of which parameters.
    samples : SampleDim
        Where what it sees has its samples, if that is not fixed by its kind.

    Attributes
    ----------
    functions : tuple of str
        Names of the functions of torch, of those in `gradspec.capture._hold`, by which its weights act.
    request : str, optional
        The entry of ``extras`` without which it is not recorded.
    is_parametrisable : bool
        Whether its weight may be computed from other parameters.
    takes_views : bool
        Whether it knows what to record of a view of one of its weights.
    agreement : str
        How far the gradients that the optimiser gets agree with those of the bare module.
    weights : list of Weight
        What is recorded.
    is_sample_major : bool
        Whether the rows of a sample may have been flattened into the batch, sample by sample.
    is_named : bool
        Whether it was asked for by its name.
    biases : dict
        What is recorded of the biases that a call with its weights may add, by their identity.
    """

    functions: ClassVar[tuple[str, ...]]
    request: ClassVar[str | None] = None
    is_parametrisable: ClassVar[bool] = False
    takes_views: ClassVar[bool] = False
    agreement: str
    weights: list[Weight]

    def __init__(self, name: str, module: nn.Module, register: "Register", samples: "SampleDim") -> None:
        self.samples = samples
        self.name = name
        self.module = module
        self.kind = type(module).__name__
        self.biases: dict[int, list[Weight]] = {}
        self.is_sample_major = False
        self.is_named = False

    def parameter(self, name: str) -> str:
        """Full name of a parameter of the module."""
        return f"{self.name}.{name}" if self.name else name

    def rows_in(self, step: "StepCapture", shape: Sequence[int], dim: int) -> "Groups":
        """The division of what it sees, whose dimension `dim` should be the batch.

        Where it is said to be `is_sample_major`, several rows of each sample may stand in place of it.
        """
        size = step.groups.size
        if self.is_sample_major and dim < len(shape) and shape[dim] > size and shape[dim] % size == 0:
            return step.repeated(shape[dim] // size)
        return step.groups

    def tensors(self) -> list[Tensor]:
        """The parameters by which a call is known to be of this layer."""
        return [parameter for parameter in self.module._parameters.values() if parameter is not None]

    def sources(self) -> list[Tensor]:
        """The parameters from which a parametrisation computes such a one."""
        return [
            parameter
            for name, parameter in self.module.named_parameters(remove_duplicate=False)
            if effective_name(name) != name
        ]

    @abstractmethod
    def call(self, step: "StepCapture", function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What a function of torch gives that is called with its weights, arranged so that backward adds to `step`."""

    def observe(self, step: "StepCapture", args: tuple[Any, ...]) -> None:
        """See what the module is called with, before its forward runs; most have no need."""
        return

    def __str__(self) -> str:
        return f"{self.kind} '{self.name}'" if self.name else self.kind


def effective_name(local: str) -> str:
    """Name of the weight that a parameter of a module is made into: itself, unless it is parametrised."""
    parts = local.split(".")
    if "parametrizations" in parts:
        position = parts.index("parametrizations")
        return ".".join([*parts[:position], parts[position + 1]])
    for suffix in ("_g", "_v", "_orig"):
        if local.endswith(suffix) and parts[-1].startswith("weight"):
            return local.removesuffix(suffix)
    return local


def autocast_inputs(input: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Input, weight and bias of a layer as autocast hands them to its kernel: in low precision, unless float64.

    The cast is part of the graph, so that the weight's gradient takes the way back that it takes without the recorder.
    """
    if not torch._C._is_any_autocast_enabled():  # the quicker question
        return input, weight, bias
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


def total(parts: Sequence[Tensor]) -> Tensor:
    """Sum of the parts of a weight gradient, in memory of its own."""
    return parts[0].clone() if len(parts) == 1 else sum(parts[1:], start=parts[0])
