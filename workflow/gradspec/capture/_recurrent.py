r"""Recurrent layers: the fused kernel once a group of samples, each with weights of its own name.

The weight gradient of a recurrent layer is a sum over time steps that happens inside the kernel. The samples of a batch
do not meet in it, so the kernel is called once a part of the batch with an alias ``W.view_as(W)`` of every weight; the
gradient that reaches an alias is :math:`G_g`, and autograd sums the aliases to the gradient of the weight.

Input weights (gates × inputs), recurrent weights (gates × hidden) and projections (LSTM with ``proj_size``) are apart,
the gates stacked as PyTorch stacks them. Dropout between the layers draws its masks group by group, in another order.
Packed sequences are divided into packed sequences of the groups.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gradspec.capture._layer import Layer, Weight, check_eager
from gradspec.capture._packed import PackedParts
from gradspec.capture._register import Register
from gradspec.capture._step import StepCapture
from gradspec.capture.errors import RowsError

KINDS = ("gradient",)


class RecurrentLayer(Layer):
    """``nn.RNN``, ``nn.LSTM`` and ``nn.GRU``."""

    def __init__(self, name: str, module: nn.RNNBase, register: Register) -> None:
        super().__init__(name, module)
        self.module: nn.RNNBase = module
        self.agreement = "summed over groups, within rounding"
        if module.dropout and module.num_layers > 1:
            self.agreement += "; dropout between layers draws other random numbers"
        self._by_local_name: dict[str, list[Weight]] = {}
        for local, weight in module.named_parameters(recurse=False, remove_duplicate=False):
            if weight.ndim == 2:
                rows, columns = weight.shape
                self._by_local_name[local] = register.matrices(self, local, (rows, columns), KINDS)
            else:
                self._by_local_name[local] = register.vectors(self, local)
        self.weights = [weight for weights in self._by_local_name.values() for weight in weights]

    def forward(self, step: StepCapture, input: Tensor | PackedSequence, hx: Any = None) -> Any:
        module = self.module
        if not torch.is_grad_enabled() or not any(weight.requires_grad for weight in module.parameters()):
            return type(module).forward(module, input, hx)
        for state in hx if isinstance(hx, tuple) else [] if hx is None else [hx]:
            step.groups.check_batch(state.shape if state.ndim == 3 else (), 1, str(self))
        if isinstance(input, PackedSequence):
            check_eager(self)
            return self._forward_packed(step, input, hx)
        check_eager(self)
        return self._forward_padded(step, input, hx)

    def _forward_packed(self, step: StepCapture, input: PackedSequence, hx: Any) -> Any:
        groups = step.groups
        groups.check_batch(input.batch_sizes[:1].tolist(), 0, str(self))
        parts = PackedParts(input, groups)
        outputs, states = [], []
        for position, (part, sequences) in enumerate(zip(groups.filled, parts.sequences(), strict=True)):
            part_hx = _map_state(partial(parts.pick_states, position=position), hx)
            with self._aliased_weights(step, part, positions=len(input.batch_sizes)):
                output, state = type(self.module).forward(self.module, sequences, part_hx)
            outputs.append(output)
            states.append(state)
        return parts.join(outputs), _join_states(parts.join_states, states)

    def _forward_padded(self, step: StepCapture, input: Tensor, hx: Any) -> Any:
        module, groups = self.module, step.groups
        if input.ndim != 3:
            raise RowsError(f"{self} saw an unbatched input of shape {tuple(input.shape)}; give it a batch dimension")
        batch_dim = 0 if module.batch_first else 1
        groups.check_batch(input.shape, batch_dim, str(self))
        outputs, states = [], []
        for part in groups.filled:
            part_hx = _map_state(partial(groups.pick, part=part, dim=1), hx)
            with self._aliased_weights(step, part, positions=input.shape[1 - batch_dim]):
                output, state = type(module).forward(module, groups.pick(input, part, batch_dim), part_hx)
            outputs.append(output)
            states.append(state)
        return groups.join(outputs, batch_dim), _join_states(partial(groups.join, dim=1), states)

    @contextmanager
    def _aliased_weights(self, step: StepCapture, part: int, positions: int) -> Iterator[None]:
        """Let the kernel see an alias of each weight, whose gradient is that of one part of the batch."""
        module = self.module
        originals = module._flat_weights
        aliases = []
        for local, original in zip(module._flat_weights_names, originals, strict=True):
            weights = self._by_local_name.get(local)
            if not weights or original is None or not original.requires_grad:
                aliases.append(original)
                continue
            alias = original.view_as(original)
            alias.register_hook(_collect(step, weights[0], part, positions))
            aliases.append(alias)
        module._flat_weights = aliases
        try:
            yield
        finally:
            module._flat_weights = originals


def _collect(step: StepCapture, weight: Weight, part: int, positions: int) -> Callable[[Tensor], None]:
    """Hook that keeps the gradient of one part of the batch."""
    capture = step[weight]
    use = step.use()

    def hook(gradient: Tensor) -> None:
        use.spend()
        # A copy, which is needed in float64 anyway: where there is a single part, the parameter's own .grad may take
        # over this memory.
        capture.add_gradient(part, gradient.detach().to(torch.float64, copy=True).reshape(weight.shape))
        capture.count_rows(part, positions)

    return hook


def _map_state(function: Callable[[Tensor], Tensor], state: Any) -> Any:
    """Apply a function to a hidden state: none, one tensor, or the pair (h, c) of an LSTM."""
    if state is None:
        return None
    return tuple(map(function, state)) if isinstance(state, tuple) else function(state)


def _join_states(join: Callable[[Sequence[Tensor]], Tensor], states: Sequence[Any]) -> Any:
    """Hidden states of the whole batch from those of its parts."""
    if isinstance(states[0], tuple):
        return tuple(join(parts) for parts in zip(*states, strict=True))
    return join(states)
