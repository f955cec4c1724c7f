r"""Recurrent layers: the fused kernel once a group of samples, each with weights of its own name.

The weight gradient of a recurrent layer is a sum over time steps that happens inside the kernel. The samples of a batch
do not meet in it, so the kernel is called once a part of the batch with an alias ``W.view_as(W)`` of every weight; the
gradient that reaches an alias is :math:`G_g`, and autograd sums the aliases to the gradient of the weight.

Input weights (gates × inputs), recurrent weights (gates × hidden) and projections (LSTM with ``proj_size``) are apart,
the gates stacked as PyTorch stacks them. Dropout between the layers draws its masks group by group, in another order.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gradspec.capture._groups import Groups
from gradspec.capture._layer import Layer, Weight, check_eager
from gradspec.capture._step import StepCapture
from gradspec.capture.errors import RowsError, UnsupportedError

KINDS = ("gradient",)


class RecurrentLayer(Layer):
    """``nn.RNN``, ``nn.LSTM`` and ``nn.GRU``."""

    def __init__(self, name: str, module: nn.RNNBase) -> None:
        super().__init__(name, module)
        self.module: nn.RNNBase = module
        self.agreement = "summed over groups, within rounding"
        if module.dropout and module.num_layers > 1:
            self.agreement += "; dropout between layers draws other random numbers"
        self.weights = [
            Weight(self.parameter(local), self.parameter(local), self.kind, (weight.shape[0], weight.shape[1]), KINDS)
            for local, weight in module.named_parameters(recurse=False)
            if weight.ndim == 2 and weight.requires_grad
        ]
        prefix = len(self.parameter(""))
        self._by_local_name = {weight.parameter[prefix:]: weight for weight in self.weights}

    def forward(self, step: StepCapture, input: Tensor, hx: Any = None) -> Any:
        module = self.module
        if not torch.is_grad_enabled() or not any(weight.requires_grad for weight in module.parameters()):
            return type(module).forward(module, input, hx)
        if isinstance(input, PackedSequence):
            raise UnsupportedError(
                f"{self} got a PackedSequence, which is not recorded yet; leave the layer out with layers=[…], or give "
                "it padded sequences"
            )
        check_eager(self, input)
        if input.ndim != 3:
            raise RowsError(f"{self} saw an unbatched input of shape {tuple(input.shape)}; give it a batch dimension")
        batch_dim = 0 if module.batch_first else 1
        groups = step.groups
        groups.check_batch(input.shape, batch_dim, str(self))

        outputs, states = [], []
        for part in groups.filled:
            part_hx = _map_state(partial(groups.pick, part=part, dim=1), hx)
            with self._aliased_weights(step, part, positions=input.shape[1 - batch_dim]):
                output, state = type(module).forward(module, groups.pick(input, part, batch_dim), part_hx)
            outputs.append(output)
            states.append(state)
        return groups.join(outputs, batch_dim), _join_states(groups, states)

    @contextmanager
    def _aliased_weights(self, step: StepCapture, part: int, positions: int) -> Iterator[None]:
        """Let the kernel see an alias of each weight, whose gradient is that of one part of the batch."""
        module = self.module
        originals = module._flat_weights
        aliases = []
        for local, original in zip(module._flat_weights_names, originals, strict=True):
            weight = self._by_local_name.get(local)
            if weight is None or original is None or not original.requires_grad:
                aliases.append(original)
                continue
            alias = original.view_as(original)
            alias.register_hook(_collect(step, weight, part, positions))
            aliases.append(alias)
        module._flat_weights = aliases
        try:
            yield
        finally:
            module._flat_weights = originals


def _collect(step: StepCapture, weight: Weight, part: int, positions: int) -> Callable[[Tensor], None]:
    """Hook that keeps the gradient of one part of the batch."""
    capture = step[weight]

    def hook(gradient: Tensor) -> None:
        # A copy, which is needed in float64 anyway: where there is a single part, the parameter's own .grad may take
        # over this memory.
        capture.add_gradient(part, gradient.to(torch.float64, copy=True))
        capture.count_rows(part, positions)

    return hook


def _map_state(function: Callable[[Tensor], Tensor], state: Any) -> Any:
    """Apply a function to a hidden state: none, one tensor, or the pair (h, c) of an LSTM."""
    if state is None:
        return None
    return tuple(map(function, state)) if isinstance(state, tuple) else function(state)


def _join_states(groups: Groups, states: Sequence[Any]) -> Any:
    """Hidden states of the whole batch from those of its parts."""
    if isinstance(states[0], tuple):
        return tuple(groups.join(parts, 1) for parts in zip(*states, strict=True))
    return groups.join(states, 1)
