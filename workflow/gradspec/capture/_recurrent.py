r"""Recurrent layers: the fused kernel once a group of samples, each with weights of its own name.

The weight gradient of a recurrent layer is a sum over time steps that happens inside the kernel. The samples of a batch
do not meet in it, so the kernel is called once a part of the batch with an alias ``W.view_as(W)`` of every weight; the
gradient that reaches an alias is :math:`G_g`, and autograd sums the aliases to the gradient of the weight.

Input weights (gates × inputs), recurrent weights (gates × hidden) and projections (LSTM with ``proj_size``) are apart,
the gates stacked as PyTorch stacks them. Dropout between the layers draws its masks group by group, in another order.
Packed sequences are divided into packed sequences of the groups.

A GRU or simple recurrent layer on the CPU has no fused kernel: its cost hardly depends on the number of samples, so
that one call per group would double it. There the whole batch runs by `gradspec.capture._time_steps`, which gives the
rows of every weight, and draws the masks of dropout as the module itself does.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gradspec.capture._graph import demand_of
from gradspec.capture._groups import Groups
from gradspec.capture._layer import Layer, Weight, total
from gradspec.capture._packed import PackedParts
from gradspec.capture._register import Register
from gradspec.capture._samples import SampleDim
from gradspec.capture._step import StepCapture, Use
from gradspec.capture._time_steps import CELLS, gradient_of, run
from gradspec.capture._weight_capture import Positions
from gradspec.capture.errors import RowsError

KINDS = ("gradient",)
PADDED = 2


class RecurrentLayer(Layer):
    """``nn.RNN``, ``nn.LSTM`` and ``nn.GRU``."""

    functions = ("lstm", "gru", "rnn_tanh", "rnn_relu")

    def __init__(self, name: str, module: nn.RNNBase, register: Register, samples: SampleDim) -> None:
        super().__init__(name, module, register, samples)
        self.module: nn.RNNBase = module
        self.agreement = "summed over groups, within rounding"
        if module.dropout and module.num_layers > 1:
            self.agreement += "; dropout between layers draws other random numbers"
        by_local_name: dict[str, list[Weight]] = {}
        for local, weight in module.named_parameters(recurse=False, remove_duplicate=False):
            if weight.ndim == 2:
                rows, columns = weight.shape
                by_local_name[local] = register.matrices(self, local, (rows, columns), KINDS)
            else:
                by_local_name[local] = register.vectors(self, local)
        self.weights = [weight for weights in by_local_name.values() for weight in weights]
        found = {local: weights[0] for local, weights in by_local_name.items() if weights}
        self._by_tensor = {id(module._parameters[local]): weight for local, weight in found.items()}
        self._of_states = {weight for local, weight in found.items() if local.startswith("weight_hh")}

    def observe(self, step: StepCapture, args: tuple[Any, ...]) -> None:
        if args and isinstance(args[0], PackedSequence):
            step.packed[id(args[0].data)] = args[0]

    def call(self, step: StepCapture, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        position = weights_position(args)
        input, hx, weights, options = args[0], args[position - 1], args[position], args[position + 1 :]
        if not any(weight.requires_grad and self._recorded(weight) for weight in weights):
            return function(*args, **kwargs)
        if position == PADDED:
            return self._call_padded(step, function, input, hx, weights, options)
        return self._call_packed(step, function, input, args[1], hx, weights, options)

    def _call_padded(
        self, step: StepCapture, function: Callable[..., Any], input: Tensor, hx: Any, weights: Any, options: Any
    ) -> Any:
        batch_dim = 0 if options[-1] else 1
        groups = self.rows_in(step, input.shape, batch_dim)
        use = step.use(partial(groups.check_batch, input.shape, batch_dim, self), groups)
        times = np.full(groups.size, input.shape[1 - batch_dim])
        if use.problem is not None:
            return function(input, hx, self._aliases(step, use, weights, 0, times, hx), *options)
        if has_no_kernel(function, input, hx, weights):
            return self._call_whole(step, use, function.__name__, input, hx, weights, options)
        parts = []
        for part in groups.filled:
            aliases = self._aliases(step, use, weights, part, times, hx)
            part_hx = _map_state(partial(groups.pick, part=part, dim=1), hx)
            parts.append(function(groups.pick(input, part, batch_dim), part_hx, aliases, *options))
        outputs, *states = zip(*parts, strict=True)
        return groups.join(outputs, batch_dim), *(groups.join(state, dim=1) for state in states)

    def _call_whole(
        self, step: StepCapture, use: Use, cell: str, input: Tensor, hx: Tensor, weights: Any, options: Any
    ) -> tuple[Tensor, Tensor]:
        """Run the whole batch at once, and divide the rows of each weight by the groups in backward."""
        has_biases, n_layers, dropout, training, bidirectional, batch_first = options
        groups, by_time = use.rows, input.transpose(0, 1) if batch_first else input
        n_times, n_samples = by_time.shape[:2]
        times, uses = np.full(groups.size, n_times), {id(weight): use.again() for weight in weights}
        from_zero = not bool(hx.any())

        def keep(parameter: int, delta: Tensor, input: Tensor | None) -> Tensor:
            weight = self._by_tensor.get(parameter)
            if weight is None:
                return gradient_of(delta, input)
            uses[parameter].spend()
            capture = step[weight]
            # The first state of a layer, where it is zero, is no row of the gradient of its recurrent weights.
            counted = times - 1 if from_zero and weight in self._of_states else times
            gradients = []
            for part in groups.filled:
                gradient = gradient_of(rows_of(delta, part), None if input is None else rows_of(input, part))
                capture.add_gradient(part, gradient.to(torch.float64, copy=True).reshape(weight.shape))
                capture.count_rows(part, counted.clip(0))
                gradients.append(gradient)
            return total(gradients)

        def rows_of(rows: Tensor, part: int) -> Tensor:
            return groups.pick(rows.reshape(n_times, n_samples, -1), part, 1).flatten(0, 1)

        output, state = run(
            cell,
            by_time.flatten(0, 1),
            [n_samples] * n_times,
            hx,
            weights,
            has_biases=has_biases,
            n_layers=n_layers,
            dropout=dropout if training else 0.0,
            bidirectional=bidirectional,
            keep=keep,
        )
        output = output.reshape(n_times, n_samples, -1)
        return output.transpose(0, 1) if batch_first else output, state

    def _call_packed(
        self,
        step: StepCapture,
        function: Callable[..., Any],
        data: Tensor,
        batch_sizes: Tensor,
        hx: Any,
        weights: Any,
        options: Any,
    ) -> Any:
        groups, packed = step.groups, step.packed.get(id(data))
        use = step.use(partial(self._check_packed, groups, batch_sizes, packed))
        lengths = np.zeros(groups.size, dtype=np.int64)
        if use.problem is not None or packed is None:
            return function(data, batch_sizes, hx, self._aliases(step, use, weights, 0, lengths, hx), *options)
        parts = PackedParts(packed, groups)
        lengths[parts.order] = parts.lengths
        results = []
        for position, (part, sequences) in enumerate(zip(groups.filled, parts.sequences(), strict=True)):
            aliases = self._aliases(step, use, weights, part, lengths, hx)
            part_hx = _map_state(partial(parts.pick_states, position=position), hx)
            results.append(function(sequences.data, sequences.batch_sizes, part_hx, aliases, *options))
        outputs, *states = zip(*results, strict=True)
        return parts.join(outputs), *map(parts.join_states, states)

    def _check_packed(self, groups: Groups, batch_sizes: Tensor, packed: PackedSequence | None) -> None:
        groups.check_batch(batch_sizes[:1].tolist(), 0, self)
        if packed is None:
            raise RowsError(
                f"{self} was called with the data of a packed sequence by something else than the module itself, so "
                "that the order of its samples is not known; call the module, or leave it out with exclude=[…]"
            )

    def _recorded(self, weight: Tensor) -> Weight | None:
        return self._by_tensor.get(id(weight))

    def _aliases(
        self, step: StepCapture, use: Use, weights: Sequence[Tensor], part: int, times: np.ndarray, hx: Any
    ) -> list[Tensor]:
        """An alias of each weight for the kernel to see, whose gradient is that of one part of the batch."""
        from_zero = not any(bool(state.any()) for state in (hx if isinstance(hx, tuple | list) else (hx,)))
        aliases = []
        for original in weights:
            weight = self._recorded(original)
            if weight is None or not original.requires_grad:
                aliases.append(original)
                continue
            # The first state of a layer, where it is zero, is no row of the gradient of its recurrent weights.
            rows = times - 1 if from_zero and weight in self._of_states else times
            alias = original.view_as(original)
            alias.register_hook(_collect(step, use.again(), weight, part, rows.clip(0), alias.grad_fn))  # type: ignore[no-untyped-call]
            aliases.append(alias)
        return aliases


def has_no_kernel(function: Callable[..., Any], input: Tensor, hx: Any, weights: Sequence[Tensor]) -> bool:
    """Whether PyTorch runs the layer step by step by small operations: on the CPU, in the precision of its weights."""
    tensors = (input, hx, *weights)
    return (
        function.__name__ in CELLS
        and isinstance(hx, Tensor)
        and not torch.is_autocast_enabled("cpu")
        and all(each.device.type == "cpu" and each.dtype == input.dtype for each in tensors)
        and input.dtype in (torch.float32, torch.float64)
    )


def weights_position(args: tuple[Any, ...]) -> int:
    """Where the weights are: in ``lstm(input, hx, weights, …)`` or in ``lstm(data, batch_sizes, hx, weights, …)``."""
    is_packed = isinstance(args[1], Tensor) and args[1].ndim == 1
    return PADDED + 1 if is_packed else PADDED


def _collect(
    step: StepCapture, use: Use, weight: Weight, part: int, rows: Positions, node: Any
) -> Callable[[Tensor], None]:
    """Hook that keeps the gradient of one part of the batch."""
    capture = step[weight]
    (accumulator, _), *_ = node.next_functions

    def hook(gradient: Tensor) -> None:
        if not demand_of(accumulator)[1]:
            return
        use.spend()
        # A copy, which is needed in float64 anyway: where there is a single part, the parameter's own .grad may take
        # over this memory.
        capture.add_gradient(part, gradient.detach().to(torch.float64, copy=True).reshape(weight.shape))
        capture.count_rows(part, rows)

    return hook


def _map_state(function: Callable[[Tensor], Tensor], state: Any) -> Any:
    """Apply a function to a hidden state: none, one tensor, or the pair (h, c) of an LSTM."""
    if state is None:
        return None
    return tuple(map(function, state)) if isinstance(state, tuple) else function(state)
