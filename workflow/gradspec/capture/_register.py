"""Which matrices and vectors are recorded of a model's parameters: one each, however many modules use it.

A parameter that several modules own (tied weights) has one gradient, the sum over its uses, and so one spectrum under
its first name. That needs every owner to be recorded, and to divide it into the same blocks.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

from torch import nn

from gradspec.capture._layer import Layer, Weight, effective_name

# A parameter that stands for no block of itself.
WHOLE = ("",)


class Register:
    """The weights that the layers of one model record.

    Parameters
    ----------
    model : nn.Module
        The model.
    with_vectors : bool
        Whether biases are recorded.
    is_known : callable
        Whether a module is of a kind that uses its weights. Another only holds a weight that one of them has too.
    """

    def __init__(self, model: nn.Module, with_vectors: bool, is_known: Callable[[nn.Module], bool]) -> None:
        self.with_vectors = with_vectors
        self._parameters: dict[str, nn.Parameter] = {}
        self._names: dict[int, list[str]] = defaultdict(list)
        self._owned: set[str] = set()
        self._owner_kinds: dict[int, set[type]] = defaultdict(set)
        for prefix, module in model.named_modules():
            for name, parameter in module.named_parameters(prefix, recurse=False, remove_duplicate=False):
                self._parameters[name] = parameter
                self._names[id(parameter)].append(name)
                if is_known(module):
                    self._owner_kinds[id(parameter)].add(type(module))
                    self._owned.add(name)
        self._weights: dict[str, Weight] = {}
        self._blocks: dict[str, tuple[str, ...]] = {}
        self._layer_of: dict[str, Layer] = {}

    def matrices(
        self,
        layer: Layer,
        local: str,
        shape: tuple[int, int],
        kinds: tuple[str, ...],
        blocks: Sequence[str] = WHOLE,
        is_transposed: bool = False,
    ) -> list[Weight]:
        """The blocks, of one shape, that a layer records of a weight; none of one that is frozen or absent.

        Parameters
        ----------
        layer : Layer
            The layer that uses the weight.
        local : str
            Name of the weight in the layer's module.
        shape : (int, int)
            Outputs and inputs of a block.
        kinds : tuple of str
            What the layer can record of it.
        blocks : sequence of str
            What is appended to the parameter's name, a block each.
        is_transposed : bool
            Whether the parameter is the transpose of the matrix, (inputs, outputs).
        """
        name = layer.parameter(local)
        if not self._is_trainable(layer, local):
            return []
        self._blocks[name] = tuple(blocks)
        self._layer_of[name] = layer
        parameter = self._parameters.get(name)
        first = name if parameter is None else self._names[id(parameter)][0]
        if parameter is not None and len(self._owner_kinds[id(parameter)]) > 1:
            kinds = ("gradient",)  # the rows of different kinds of layer are not of one matrix
        return [
            self._weights.setdefault(
                first + block, Weight(first + block, first, layer.kind, shape, kinds, is_transposed)
            )
            for block in blocks
        ]

    def vectors(self, layer: Layer, local: str, blocks: Sequence[str] = WHOLE, always: bool = False) -> list[Weight]:
        """A vector as a matrix of one column, where vectors are recorded: its singular value is its norm."""
        vector = self._parameters.get(layer.parameter(local))
        if vector is None or not (self.with_vectors or always):
            return []
        return self.matrices(layer, local, (vector.numel() // len(blocks), 1), ("gradient",), blocks)

    def _is_trainable(self, layer: Layer, local: str) -> bool:
        parameter = self._parameters.get(layer.parameter(local))
        if parameter is not None:
            return parameter.requires_grad
        return any(
            source.requires_grad
            for name, source in layer.module.named_parameters()
            if effective_name(name) == local and name != local
        )

    def ties(self) -> dict[str, list[str]]:
        """Every name of the parameters that several modules own and that are recorded, by the first."""
        owners = [self._names[id(self._parameters[name])] for name in self._blocks if name in self._parameters]
        return {names[0]: names for names in owners if len(names) > 1}

    def broken_ties(self) -> dict[str, str]:
        """Layers, by name, that share a recorded parameter in a way that cannot be recorded, and why."""
        reasons: dict[str, str] = {}
        for names in self.ties().values():
            unrecorded = [name for name in names if name not in self._blocks and not self._is_second_name(name, names)]
            divisions = {self._blocks[name] for name in names if name in self._blocks}
            if unrecorded:
                reason = f"tied: its weight is shared with '{unrecorded[0]}', which is not recorded"
            elif len(divisions) > 1:
                reason = f"tied: {' and '.join(map(repr, names))} divide one parameter into different blocks"
            else:
                continue
            reasons |= {self._layer_of[name].name: reason for name in names if name in self._layer_of}
        return reasons

    def _is_second_name(self, name: str, names: Sequence[str]) -> bool:
        """Whether a module that is no layer holds a weight of a layer within it, as wrappers do."""
        holder = name.rpartition(".")[0]
        within = [other for other in names if other != name and (not holder or other.startswith(f"{holder}."))]
        return name not in self._owned and any(other in self._blocks for other in within)

    def settle(self, layers: Sequence[Layer]) -> None:
        """Leave every shared weight to the first layer that has it, and note there who else does."""
        for names in self.ties().values():
            first, *others = dict.fromkeys(self._layer_of[name] for name in names if name in self._layer_of)
            for other in others:
                first.agreement += f"; '{names[0]}' is summed with its use in '{other.name}' ({other.agreement})"
        seen: set[Weight] = set()
        for layer in layers:
            layer.weights = [weight for weight in dict.fromkeys(layer.weights) if weight not in seen]
            seen.update(layer.weights)
