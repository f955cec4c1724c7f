"""Which layers of a model are captured, and why the other parameters are not."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gradspec.capture._attention import AttentionLayer
from gradspec.capture._bilinear import BilinearLayer
from gradspec.capture._cells import CellLayer
from gradspec.capture._conv import ConvLayer, ConvTransposeLayer
from gradspec.capture._embedding import EmbeddingLayer
from gradspec.capture._hold import FUNCTIONS
from gradspec.capture._layer import Layer, effective_name
from gradspec.capture._linear import LinearLayer
from gradspec.capture._norms import NormLayer
from gradspec.capture._recurrent import RecurrentLayer
from gradspec.capture._register import Register
from gradspec.capture._samples import SampleDim, sample_dim
from gradspec.capture._transposed import TransposedLinearLayer, transposed_classes
from gradspec.capture.errors import CaptureError, UnsupportedError, listed

# Wrappers under which gradients are not those of one process's own batch, or modules do not run as written.
_WRAPPERS = ("DataParallel", "DistributedDataParallel", "FullyShardedDataParallel", "OptimizedModule", "ScriptModule")

Rows = Literal["samples", "sample-major"] | Mapping[str, Literal["samples", "sample-major"]]

# What is recorded on request, and the layers that each request adds.
EXTRAS = ("embedding", "vectors")

LAYERS: dict[type[nn.Module], type[Layer]] = {
    nn.Linear: LinearLayer,
    nn.Bilinear: BilinearLayer,
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), ConvLayer),
    **dict.fromkeys((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), ConvTransposeLayer),
    **dict.fromkeys((nn.RNN, nn.LSTM, nn.GRU), RecurrentLayer),
    **dict.fromkeys((nn.RNNCell, nn.LSTMCell, nn.GRUCell), CellLayer),
    nn.MultiheadAttention: AttentionLayer,
    nn.Embedding: EmbeddingLayer,
    **dict.fromkeys(
        (
            nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d,
            nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d,
        ),
        NormLayer,
    ),
}  # fmt: skip
"""What records each kind of module, its subclasses included."""

_NO_PARAMETERS = "it has no parameters to record"
_DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Skipped:
    """A parameter that is not captured."""

    layer: str
    shape: tuple[int, ...]
    dtype: str
    reason: str


@dataclass(frozen=True)
class Discovery:
    """The layers that are captured, and the parameters that are not, by name.

    Attributes
    ----------
    entries : dict of str to int
        Number of entries of each trained parameter with two and more dimensions.
    captured : set of str
        Those that are captured.
    dtypes : dict of str to str
        Precision of each parameter.
    """

    layers: list[Layer]
    skipped: dict[str, Skipped]
    entries: dict[str, int]
    captured: set[str]
    dtypes: dict[str, str]

    def share(self, without: Collection[str] = ()) -> float:
        """Of these entries, the share that is captured; some parameters may turn out not to be."""
        held = sum(self.entries[name] for name in self.captured if name not in without)
        return held / max(sum(self.entries.values()), 1)


def discover(
    model: nn.Module,
    wanted: str | Sequence[str],
    extras: frozenset[str] = frozenset(),
    exclude: Sequence[str] = (),
    rows: Rows = "samples",
    sample_dims: int | Mapping[str, int] | None = None,
) -> Discovery:
    """Find the layers of a model that can be captured.

    Parameters
    ----------
    model : nn.Module
        The model.
    wanted : "auto" or sequence of str
        Names of modules as in ``model.named_modules()``, or all that can be captured.
    extras : set of str
        What else to capture, of `EXTRAS`. A module that `wanted` names needs no such request.
    exclude : sequence of str
        Names of modules that are not captured, nor are those within them.
    rows : "samples" or "sample-major" or dict
        Whether rows of a sample may follow one another in place of it, everywhere or by name of the module.
    sample_dims : int or dict, optional
        Which dimension of what layers see runs over the samples, where that is not to be found out.

    Raises
    ------
    UnsupportedError
        When the model is wrapped (data parallel, compiled) or not initialised, or a wanted module cannot be captured.
    CaptureError
        When a wanted module does not exist, an extra is unknown, or nothing is left to capture.
    """
    if not extras <= set(EXTRAS):
        raise CaptureError(f"extras must be some of {list(EXTRAS)}, not {sorted(extras)}")
    _check_plain(model)
    for kind in transposed_classes():
        LAYERS.setdefault(kind, TransposedLinearLayer)
    modules = dict(model.named_modules())
    named = [] if isinstance(wanted, str) else list(dict.fromkeys(wanted))
    reasons = {name: _reason_against(name, module, modules, extras, name in named) for name, module in modules.items()}
    for argument in (rows, sample_dims):
        unknown = set(argument) - set(modules) if isinstance(argument, Mapping) else ()
        if unknown:
            raise CaptureError(
                f"the model has no module {listed(sorted(map(repr, unknown)))}, which rows or sample_dim name"
            )
    for excluded in exclude:
        if excluded not in modules:
            raise CaptureError(
                f"exclude names '{excluded}', which the model has not; names are those of named_modules()"
            )
        within = [name for name in modules if name == excluded or name.startswith(f"{excluded}.")]
        reasons |= dict.fromkeys(within, "excluded")
    while True:
        chosen = _chosen(wanted, named, reasons)
        register = Register(model, "vectors" in extras, lambda module: _known(module) is not None)
        layers = [_layer(name, modules, register, _for_module(sample_dims, name)) for name in chosen]
        broken = register.broken_ties()
        if not broken:
            break
        reasons |= broken
    register.settle(layers)
    for layer in layers:
        layer.is_named = layer.name in named
        layer.is_sample_major = _for_module(rows, layer.name) == "sample-major"

    skipped: dict[str, Skipped] = {}
    entries: dict[str, int] = {}
    held: set[str] = set()
    captured = {weight.parameter for layer in layers for weight in layer.weights}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and parameter.ndim > 1:
            entries[name] = parameter.numel()
            held |= {name} if name in captured or effective_name(name) in captured else set()
        if name in captured:
            continue
        owner = modules[name.rpartition(".")[0]]
        reason = _reason(name, parameter, chosen, captured, reasons)
        skipped[name] = Skipped(type(owner).__name__, tuple(parameter.shape), name_dtype(parameter), reason)
    dtypes = {name: name_dtype(parameter) for name, parameter in model.named_parameters()}
    return Discovery(layers, skipped, entries, held, dtypes)


def name_dtype(tensor: Tensor) -> str:
    """Name of the precision of a tensor, without the package."""
    return str(tensor.dtype).removeprefix("torch.")


def register_layer(kind: type[nn.Module], layer: type[Layer]) -> None:
    """Let a class of layers record the modules of a kind, and those of its subclasses that have none of their own.

    Parameters
    ----------
    kind : type
        A class of modules.
    layer : type
        A subclass of `gradspec.capture.Layer`, which says what is to be known of one.

    Raises
    ------
    CaptureError
        When they are no such classes, or the layer's functions are not exchanged.

    Examples
    --------
    >>> register_layer(nn.Linear, LinearLayer)
    """
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise CaptureError(f"layers are registered for a class of modules, not for {kind!r}")
    if not (isinstance(layer, type) and issubclass(layer, Layer)):
        raise CaptureError(f"{kind.__name__} is recorded by a subclass of gradspec.capture.Layer, not by {layer!r}")
    unknown = set(layer.functions) - set(FUNCTIONS)
    if unknown:
        raise CaptureError(f"{layer.__name__} names {listed(sorted(unknown))}; known are {', '.join(FUNCTIONS)}")
    LAYERS[kind] = layer


def _check_plain(model: nn.Module) -> None:
    names = {base.__name__ for base in type(model).__mro__}
    wrapper = next((name for name in _WRAPPERS if name in names), None)
    if wrapper:
        raise UnsupportedError(f"spectra of a {wrapper} cannot be recorded yet; give the bare module")
    for name, module in model.named_modules():
        if getattr(module, "_compiled_call_impl", None) is not None:
            raise UnsupportedError(f"module '{name}' is compiled; spectra of compiled modules cannot be recorded yet")
    sharded = next((name for name, each in model.named_parameters() if type(each).__name__ == "DTensor"), None)
    if sharded is not None:
        raise UnsupportedError(
            f"parameter '{sharded}' is sharded (DTensor, FSDP2); spectra of it cannot be recorded yet"
        )
    for name, parameter in model.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise UnsupportedError(f"parameter '{name}' is not initialised; run the model once before recording it")


def _reason_against(
    name: str, module: nn.Module, modules: dict[str, nn.Module], extras: frozenset[str], is_named: bool
) -> str | None:
    """Why a module cannot be captured, or is not, or None."""
    base = _known(module)
    if base is None:
        kind = type(module)
        is_namesake = getattr(nn, kind.__name__, kind) is not kind
        where = f" of {kind.__module__}, which is not torch.nn.{kind.__name__}," if is_namesake else ""
        return f"layers of kind {kind.__name__}{where} are not recorded"
    parent, _, local = name.rpartition(".")
    if local == "out_proj" and isinstance(modules.get(parent), nn.MultiheadAttention):
        return f"part of '{parent}'"
    if not LAYERS[base].is_parametrisable and any(
        effective_name(parameter) != parameter for parameter, _ in module.named_parameters()
    ):
        return f"a parametrised {base.__name__} is not recorded"
    takes_vectors = LAYERS[base].request == "vectors" or "vectors" in extras
    parameters = [parameter for parameter in module.parameters() if takes_vectors or parameter.ndim > 1]
    odd = next((reason for reason in map(_reason_against_tensor, parameters) if reason is not None), None)
    if odd is not None:
        return odd
    if not parameters:
        return _NO_PARAMETERS
    if not any(parameter.requires_grad for parameter in parameters):
        return "frozen"
    request = LAYERS[base].request
    if request and request not in extras and not is_named:
        return f"recorded on request: extras=['{request}'], or the module's name among the layers"
    return None


def _reason_against_tensor(parameter: nn.Parameter) -> str | None:
    """Why a parameter cannot be recorded, or None."""
    if parameter.dtype not in _DTYPES:
        return f"its dtype is {parameter.dtype}; recorded are {', '.join(str(dtype)[6:] for dtype in _DTYPES)}"
    if parameter.layout != torch.strided:
        return f"its layout is {parameter.layout}; recorded are dense weights"
    if type(parameter).__torch_dispatch__ is not Tensor.__torch_dispatch__:  # DTensor, quantised tensors
        return f"it is a {type(parameter).__name__}, of which operations do not see the whole"
    return None


def _chosen(wanted: str | Sequence[str], named: list[str], reasons: dict[str, str | None]) -> list[str]:
    if isinstance(wanted, str):
        if wanted != "auto":
            raise CaptureError(f"layers must be 'auto' or a list of module names, not {wanted!r}")
        chosen = [name for name, reason in reasons.items() if reason is None]
    else:
        chosen = named
    for name in chosen:
        if name not in reasons:
            raise CaptureError(f"the model has no module '{name}'; names are those of model.named_modules()")
        if reasons[name] is not None:
            raise UnsupportedError(f"module '{name}' cannot be recorded: {reasons[name]}")
    if not chosen:
        reason = next((f" ('{name}': {why})" for name, why in reasons.items() if why and why != _NO_PARAMETERS), "")
        raise CaptureError(
            f"no layer to record{reason}; known are {', '.join(base.__name__ for base in LAYERS)}, if trainable; "
            f"{', '.join(base.__name__ for base, layer in LAYERS.items() if layer.request)} on request"
        )
    return chosen


def _for_module(value: Any, name: str) -> Any:
    """What an argument says of a module, for which it may have an entry."""
    return value.get(name) if isinstance(value, Mapping) else value


def _layer(name: str, modules: dict[str, nn.Module], register: Register, dim: int | None) -> Layer:
    samples = sample_dim(name, modules) if dim is None else SampleDim(dim)
    module = modules[name]
    base = _known(module)
    assert base is not None
    return LAYERS[base](name, module, register, samples)


def _known(module: nn.Module) -> type[nn.Module] | None:
    """The nearest class of a module that something records, or the one of torch.nn that it is like."""
    base = next((base for base in type(module).__mro__ if base in LAYERS), None)
    return nn.Linear if base is None and _is_like_linear(module) else base


def _is_like_linear(module: nn.Module) -> bool:
    """Whether a class of its own keeps the weight of a linear layer, (outputs, inputs), as torch-geometric's does.

    If it uses the weight otherwise than by ``F.linear``, that is seen in the first step, as of a subclass of nn.Linear.
    """
    weight = module._parameters.get("weight")
    if weight is None or weight.ndim != 2 or "weight_v" in module._parameters:
        return False
    sizes = [
        tuple(getattr(module, f"{way}_{name}", None) for way in ("out", "in")) for name in ("features", "channels")
    ]
    return tuple(weight.shape) in sizes


def _reason(
    name: str, parameter: nn.Parameter, chosen: list[str], captured: set[str], reasons: dict[str, str | None]
) -> str:
    """Why a parameter is not captured."""
    if not parameter.requires_grad:
        return "frozen"
    effective = effective_name(name)
    if effective != name and effective in captured:
        return f"captured as '{effective}', the weight that the layer uses"
    module = effective.rpartition(".")[0]
    reason = reasons[module]
    if reason is not None and not reason.startswith("part of"):
        return reason
    if reason is None and module not in chosen:
        return "its module is not among the chosen layers"
    if name.endswith(("bias_k", "bias_v")):
        return "a vector that is appended to keys or values, not recorded"
    if parameter.numel() == max(parameter.shape, default=1):
        return "a vector, whose one singular value is its norm; recorded on request: extras=['vectors']"
    return reason or "not recorded"
