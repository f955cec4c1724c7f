"""Which layers of a model are captured, and why the other parameters are not."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn
from torch.nn.utils import parametrize

from gradspec.capture._attention import AttentionLayer
from gradspec.capture._conv import ConvLayer
from gradspec.capture._layer import Layer
from gradspec.capture._linear import LinearLayer
from gradspec.capture._recurrent import RecurrentLayer
from gradspec.capture.errors import CaptureError, UnsupportedError

# Wrappers under which gradients are not those of one process's own batch, or modules do not run as written.
_WRAPPERS = ("DataParallel", "DistributedDataParallel", "FullyShardedDataParallel", "OptimizedModule", "ScriptModule")


@dataclass(frozen=True)
class Skipped:
    """A parameter that is not captured."""

    layer: str
    shape: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class Discovery:
    """The layers that are captured, and the parameters that are not, by name."""

    layers: list[Layer]
    skipped: dict[str, Skipped]


def discover(model: nn.Module, wanted: str | Sequence[str]) -> Discovery:
    """Find the layers of a model that can be captured.

    Parameters
    ----------
    model : nn.Module
        The model.
    wanted : "auto" or sequence of str
        Names of modules as in ``model.named_modules()``, or all that can be captured.

    Raises
    ------
    UnsupportedError
        When the model is wrapped (data parallel, compiled) or not initialised, or a wanted module cannot be captured.
    CaptureError
        When a wanted module does not exist, or nothing is left to capture.
    """
    _check_plain(model)
    modules = dict(model.named_modules())
    tied = _tied(model)
    reasons = {name: _reason_against(name, module, modules, tied) for name, module in modules.items()}
    chosen = _chosen(wanted, reasons)
    if not chosen:
        raise CaptureError(
            f"no layer to record; known are {', '.join(base.__name__ for base in _CAPTURED)}, if trainable"
        )
    layers = [_layer(name, modules) for name in chosen]

    skipped = {}
    captured = {weight.parameter for layer in layers for weight in layer.weights}
    for name, parameter in model.named_parameters():
        if name in captured:
            continue
        kind = type(modules[name.rpartition(".")[0]]).__name__
        skipped[name] = Skipped(kind, tuple(parameter.shape), _reason(name, parameter, chosen, captured, reasons, tied))
    return Discovery(layers, skipped)


def _check_plain(model: nn.Module) -> None:
    names = {base.__name__ for base in type(model).__mro__}
    wrapper = next((name for name in _WRAPPERS if name in names), None)
    if wrapper:
        raise UnsupportedError(f"spectra of a {wrapper} cannot be recorded yet; give the bare module")
    for name, module in model.named_modules():
        if getattr(module, "_compiled_call_impl", None) is not None:
            raise UnsupportedError(f"module '{name}' is compiled; spectra of compiled modules cannot be recorded yet")
    for name, parameter in model.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise UnsupportedError(f"parameter '{name}' is not initialised; run the model once before recording it")


_TIED = "tied: its weight is shared with another module"
_CAPTURED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.RNN, nn.LSTM, nn.GRU, nn.MultiheadAttention)


def _reason_against(name: str, module: nn.Module, modules: dict[str, nn.Module], tied: set[str]) -> str | None:
    """Why a module cannot be captured, or None."""
    base = next((base for base in _CAPTURED if isinstance(module, base)), None)
    if base is None:
        return f"layers of kind {type(module).__name__} are not recorded"
    if type(module).forward is not base.forward or "forward" in vars(module):
        return f"its forward is not that of nn.{base.__name__}"
    parent, _, local = name.rpartition(".")
    if local == "out_proj" and isinstance(modules.get(parent), nn.MultiheadAttention):
        return f"part of '{parent}'"
    reparametrised = parametrize.is_parametrized(module) or "weight_g" in dict(module.named_parameters())
    if reparametrised and not isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return f"a parametrised {base.__name__} is not recorded"
    if not any(parameter.requires_grad for parameter in module.parameters() if parameter.ndim > 1):
        return "frozen"
    if any(parameter in tied for parameter, _ in module.named_parameters(name)):
        return _TIED
    return None


def _chosen(wanted: str | Sequence[str], reasons: dict[str, str | None]) -> list[str]:
    if isinstance(wanted, str):
        if wanted != "auto":
            raise CaptureError(f"layers must be 'auto' or a list of module names, not {wanted!r}")
        return [name for name, reason in reasons.items() if reason is None]
    for name in wanted:
        if name not in reasons:
            raise CaptureError(f"the model has no module '{name}'; names are those of model.named_modules()")
        if reasons[name] is not None:
            raise UnsupportedError(f"module '{name}' cannot be recorded: {reasons[name]}")
    return list(wanted)


def _layer(name: str, modules: dict[str, nn.Module]) -> Layer:
    module = modules[name]
    if isinstance(module, nn.MultiheadAttention):
        return AttentionLayer(name, module)
    if isinstance(module, nn.RNNBase):
        return RecurrentLayer(name, module)
    if isinstance(module, nn.Linear):
        parent = modules.get(name.rpartition(".")[0])
        is_transformer = isinstance(parent, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer)
        if is_transformer:
            return LinearLayer(name, module, batch_dim=0 if parent.self_attn.batch_first else 1)  # type: ignore[union-attr]
        time_major = any(getattr(other, "batch_first", None) is False for other in modules.values())
        return LinearLayer(name, module, certain=not time_major)
    assert isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    return ConvLayer(name, module)


def _tied(model: nn.Module) -> set[str]:
    """Names of parameters that several modules own."""
    owners = defaultdict(list)
    for name, module in model.named_modules():
        for local, parameter in module.named_parameters(name, recurse=False):
            owners[id(parameter)].append(local)
    return {name for names in owners.values() if len(names) > 1 for name in names}


def _reason(
    name: str,
    parameter: nn.Parameter,
    chosen: list[str],
    captured: set[str],
    reasons: dict[str, str | None],
    tied: set[str],
) -> str:
    """Why a parameter is not captured."""
    if name in tied:
        return _TIED
    if not parameter.requires_grad:
        return "frozen"
    if parameter.numel() == max(parameter.shape, default=1):
        return "a vector, which has no spectrum beyond its norm"
    owner, _, local = name.rpartition(".")
    module, *reparametrised = owner.split(".parametrizations.")
    effective = f"{module}.weight" if module else "weight"
    if effective in captured and (reparametrised or local in ("weight_g", "weight_v")):
        return f"captured as '{effective}', the weight that the layer uses"
    if reasons[module] is None and module not in chosen:
        return "its module is not among the chosen layers"
    return reasons[module] or "not recorded"
