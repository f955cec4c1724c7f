r"""The hold on a model while a step is open: torch's own functions, exchanged for ones that know the recorded weights.

A layer's weight acts where a function of torch is called with it: ``F.linear(x, weight, bias)``. While a step is open
the names by which modules find these functions (``torch.nn.functional.linear``, ``torch._VF.lstm``) lead to stand-ins
that look the weight up and pass the call to its layer, or on to torch where nobody records it. Nothing is kept on a
module, so that copies, files, patched forwards, other hooks, and functional calls with a layer's weight are as without
the recorder.

Chosen among the holds that torch offers by their cost in a step of 0.9 ms with four linear layers: a
``TorchFunctionMode`` sees more (``x @ weight.T`` too), but takes 3-6 µs from every call, those of the loss and of
attributes of tensors included, and is off while backward computes a checkpointed forward again; a ``TorchDispatchMode``
costs more and acts below autograd; forward hooks on modules see no functional call, and would compute every weight
gradient twice; a replaced ``module.forward`` goes into copies and hides the patches of others.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from threading import RLock
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradspec.capture._graph import is_cast, leaves_of
from gradspec.capture._layer import Layer
from gradspec.capture._logits import watch_binary_logits, watch_logits
from gradspec.capture._recurrent import weights_position
from gradspec.capture._step import StepCapture
from gradspec.capture.errors import UnsupportedError

_VF: Any = torch._VF  # type: ignore[attr-defined]
_IN_FUNCTIONAL = (F,)
_IN_BOTH = (F, torch)
_RECURRENT = (_VF, torch)


def _at(position: int, name: str = "weight") -> Callable[..., Sequence[Any]]:
    """Finds the weight among the arguments of a call by its position or its name."""

    def find(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Any]:
        return (args[position] if len(args) > position else kwargs.get(name),)

    return find


def _of_recurrent(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Any]:
    weights: Sequence[Any] = args[weights_position(args)]
    return weights


def _of_cell(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Any]:
    return args[2:4]


@dataclass(frozen=True)
class Function:
    """A function of torch by which weights act: where modules look it up, and which arguments are its weights."""

    places: tuple[Any, ...]
    weights: Callable[[tuple[Any, ...], dict[str, Any]], Sequence[Any]]


FUNCTIONS = {
    "linear": Function(_IN_FUNCTIONAL, _at(1)),
    **{f"conv{way}{n}d": Function(_IN_BOTH, _at(1)) for way in ("", "_transpose") for n in (1, 2, 3)},
    "bilinear": Function(_IN_FUNCTIONAL, _at(2)),
    "addmm": Function((torch,), _at(2, "mat2")),
    "embedding": Function(_IN_FUNCTIONAL, _at(1)),
    **{name: Function(_IN_FUNCTIONAL, _at(2)) for name in ("layer_norm", "rms_norm", "group_norm")},
    **{name: Function(_IN_FUNCTIONAL, _at(3)) for name in ("batch_norm", "instance_norm")},
    **{name: Function(_RECURRENT, _of_recurrent) for name in ("lstm", "gru", "rnn_tanh", "rnn_relu")},
    **{f"{name}_cell": Function(_RECURRENT, _of_cell) for name in ("lstm", "gru", "rnn_tanh", "rnn_relu")},
}
"""Every function that some kind of layer may name, by the name under which modules look it up."""

_BINARY = "binary_cross_entropy_with_logits"
LOSSES = {"cross_entropy": (F,), "log_softmax": (F, torch), _BINARY: (F,)}
"""Functions whose logits are watched."""

OBSERVED = (nn.RNN, nn.LSTM, nn.GRU)
"""Modules that tell their layer in forward what no function is told: the order of samples in packed sequences."""


class Hold:
    """The layers of one recorder, by the tensors and the functions through which they act."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.step: StepCapture | None = None
        self._layers: dict[str, dict[int, Layer]] = {}
        self._computed: dict[str, dict[int, Layer]] = {}
        for layer in layers:
            for function in layer.functions:
                for tensor in layer.tensors():
                    first = self._layers.setdefault(function, {}).setdefault(id(tensor), layer)
                    first.biases |= layer.biases  # of a layer that shares the weight
                for tensor in layer.sources():
                    self._computed.setdefault(function, {}).setdefault(id(tensor), layer)
        self._observers = {id(layer.module): layer for layer in layers if type(layer).observe is not Layer.observe}
        observed = [kind.__name__ for kind in OBSERVED if any(isinstance(layer.module, kind) for layer in layers)]
        names = [*self._layers.keys() | self._computed.keys(), *LOSSES, *observed]
        self.exchanges = [exchange for name in names for exchange in _EXCHANGES[name]]

    def find(self, function: str, weights: Sequence[Any]) -> Layer | None:
        """The layer that one of the weights of a call belongs to."""
        layers = self._layers.get(function)
        if layers is not None:
            for weight in weights:
                layer = layers.get(id(weight))
                if layer is not None:
                    return layer
        for weight in weights:
            if isinstance(weight, Tensor) and weight.grad_fn is not None:
                layer = self._find_computed(function, weight)
                if layer is not None:
                    return layer
        return None

    def observe(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """Let the layer of a module see what it is called with."""
        layer = self._observers.get(id(module))
        if layer is not None and self.step is not None:
            layer.observe(self.step, args)

    def _find_computed(self, function: str, weight: Tensor) -> Layer | None:
        """The layer of a weight that is a view of a parameter, a cast of it, or computed by a parametrisation."""
        computed, layers = self._computed.get(function, {}), self._layers.get(function, {})
        base = layers.get(id(weight._base)) if weight._base is not None else None
        if base is not None:
            return base if base.takes_views else None
        if not computed and not is_cast(weight):  # an activation, say, whose graph is long
            return None
        leaves = leaves_of(weight.grad_fn)
        for leaf in leaves:
            if id(leaf.variable) in computed:
                return computed[id(leaf.variable)]
        if len(leaves) == 1 and leaves[0].is_cast:
            return layers.get(id(leaves[0].variable))
        return None


class Exchange:
    """A name at a place, by which a function of torch is found, and what stands in for it while some hold needs it.

    Attributes
    ----------
    is_needed : bool
        Whether nothing can be recorded without it.
    """

    def __init__(self, place: Any, name: str, make: Callable[[str, Any], Callable[..., Any]], is_needed: bool) -> None:
        self.place = place
        self.name = name
        self.is_needed = is_needed
        self._original = getattr(place, name)
        self._is_own = name in vars(place)  # and not found by way of another
        self._stand_in = make(name, self._original)
        self._users = 0

    def check(self) -> None:
        """Raise `UnsupportedError` where somebody else's function is there."""
        found = getattr(self.place, self.name)
        if self.is_needed and not self._users and found is not self._original:
            raise UnsupportedError(
                f"{self.place.__name__}.{self.name} is not torch's own function but {found!r}: calls of it cannot be "
                "recorded; take it back before the step, or leave the layers that call it out with exclude=[…]"
            )

    def enter(self) -> None:
        """Put the stand-in in its place."""
        self._users += 1
        if self._users == 1 and getattr(self.place, self.name) is self._original:
            setattr(self.place, self.name, self._stand_in)

    def leave(self) -> None:
        """Put the function back, unless somebody has put another over the stand-in, which then passes all through."""
        self._users -= 1
        if self._users or vars(self.place).get(self.name) is not self._stand_in:
            return
        if self._is_own:
            setattr(self.place, self.name, self._original)
        else:
            delattr(self.place, self.name)


_lock = RLock()
_open: list[Hold] = []


class Holding:
    """A block in which calls with the recorded weights add to a step, in whatever thread they run.

    Compiled code runs as it was written meanwhile, since what it was compiled to calls none of these functions.

    Raises
    ------
    UnsupportedError
        Where somebody else has exchanged one of the functions.
    """

    def __init__(self, hold: Hold, step: StepCapture) -> None:
        self._hold = hold
        self._step = step
        self._exchanges = hold.exchanges
        self._stance: Any = None

    def __enter__(self) -> None:
        with _lock:
            for exchange in self._exchanges:
                exchange.check()
            for exchange in self._exchanges:
                exchange.enter()
            self._hold.step = self._step
            _open.append(self._hold)
        if "torch._dynamo" in sys.modules:  # which would take a second to import for nothing
            self._stance = torch.compiler.set_stance("force_eager")  # type: ignore[no-untyped-call]

    def __exit__(self, *error: object) -> None:
        if self._stance is not None:
            self._stance.__exit__(None, None, None)
        with _lock:
            _open.remove(self._hold)
            self._hold.step = None
            for exchange in self._exchanges:
                exchange.leave()


def _observing(name: str, forward: Callable[..., Any]) -> Callable[..., Any]:
    """A forward that shows its arguments to the layer of its module first."""

    @wraps(forward)
    def observing(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        for hold in _open:
            hold.observe(self, (*args, *kwargs.values()))
        return forward(self, *args, **kwargs)

    return observing


def _watching(name: str, loss: Callable[..., Any]) -> Callable[..., Any]:
    """A softmax or a binary loss whose logits are watched."""

    @wraps(loss)
    def watching(input: Any, *args: Any, **kwargs: Any) -> Any:
        if (
            torch.is_grad_enabled()
            and isinstance(input, Tensor)
            and torch._C._functorch.peek_interpreter_stack() is None
        ):
            target = args[0] if args else kwargs.get("target")
            if name == _BINARY and isinstance(target, Tensor) and target.shape == input.shape and input.requires_grad:
                for hold in _open:
                    if hold.step is not None:
                        watch_binary_logits(hold.step.logits, hold.step.groups.labels, input, target)
            dim = None if name == _BINARY else _class_dim(name, args, kwargs)
            for hold in _open:
                if hold.step is not None and dim is not None:
                    input = watch_logits(hold.step.logits, hold.step.groups.labels, input, dim)
        return loss(input, *args, **kwargs)

    return watching


def _class_dim(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int | None:
    """The dimension over which the gradient of the logits must add up to zero."""
    first = args[0] if args else kwargs.get("target" if name == "cross_entropy" else "dim")
    if name == "cross_entropy":  # with probabilities, they must add up to one
        return 1 if isinstance(first, Tensor) and not first.is_floating_point() else None
    return first if isinstance(first, int) else None


def _recording(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """A function that passes a call with a recorded weight to its layer, any other to torch."""
    weights_of = FUNCTIONS[name].weights

    def stand_in(*args: Any, **kwargs: Any) -> Any:
        if torch.is_grad_enabled():
            for hold in _open:
                layer = hold.find(name, weights_of(args, kwargs))
                if layer is not None and hold.step is not None:
                    if torch._C._functorch.peek_interpreter_stack() is not None:
                        raise UnsupportedError(f"{layer}: spectra cannot be recorded inside transforms of torch.func")
                    result = layer.call(hold.step, original, *args, **kwargs)
                    if hold.step.marks is not None:
                        hold.step.mark(result)
                    return result
        return original(*args, **kwargs)

    stand_in.__name__ = stand_in.__qualname__ = name
    stand_in.__doc__ = original.__doc__
    return stand_in


_EXCHANGES: dict[str, list[Exchange]] = {
    **{name: [Exchange(place, name, _recording, True) for place in each.places] for name, each in FUNCTIONS.items()},
    **{name: [Exchange(place, name, _watching, False) for place in places] for name, places in LOSSES.items()},
    **{kind.__name__: [Exchange(kind, "forward", _observing, False)] for kind in OBSERVED},
}
