r"""Vectors: the gradient of a bias, or of the weight of a normalisation, by group.

A bias b is added to every row of an output, so that its gradient is :math:`\sum_i \delta_i`; the weight w of a
normalisation scales the standardised rows :math:`\hat x_i`, so that its gradient is :math:`\sum_i \delta_i \hat x_i`,
entry by entry. The part of a group g is the sum over its samples' rows. A vector has one singular value, its norm.

The layer's own operation runs and gives the optimiser its gradients. An identity after it sees :math:`\delta` on the
way back; a function of its own, since hooks on an output never fire once an in-place operation follows.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from gradspec.capture._graph import demand
from gradspec.capture._groups import Groups
from gradspec.capture._layer import Weight
from gradspec.capture._step import StepCapture

# Gets the gradient of an output, which of the parameters receive one too, and the tensors that were saved for it.
Sink = Callable[..., None]


def watched(
    output: Tensor,
    parameters: Sequence[Tensor],
    saved: Sequence[Tensor],
    sink: Sink,
    spoil: Callable[[], None] | None = None,
) -> Tensor:
    """`output`, whose gradient is shown to a sink on its way back.

    Parameters
    ----------
    output : Tensor
        Output of an operation whose backward does not need it, so that it may be changed in place.
    parameters : sequence of Tensor
        What the gradient is for. The sink is called only where one of them receives one.
    saved : sequence of Tensor
        What the sink needs.
    sink : callable
        Gets the gradient, a list that says to which parameters it is added, and what was saved.
    spoil : callable, optional
        Called where backward makes a graph: second derivatives then reach the parameters by another way.
    """
    result: Tensor = _Watched.apply(output, *parameters, *saved, len(parameters), sink, spoil)  # type: ignore[no-untyped-call]
    return result


def watched_bias(
    step: StepCapture,
    rows: Groups,
    weights: Sequence[Weight],
    output: Tensor,
    bias: Tensor | None,
    batch_dim: int,
    bias_dim: int,
    check: Callable[[], None],
) -> Tensor:
    """`output`, to which a bias was added along `bias_dim`, with the bias recorded in equal blocks."""
    if not weights or bias is None or not bias.requires_grad:
        return output

    use = step.use(check, rows)

    def sink(delta: Tensor, received: list[bool]) -> None:
        use.spend()
        deltas = delta.movedim((batch_dim, bias_dim), (0, -1))
        blocks = deltas.reshape(len(deltas), -1, deltas.shape[-1]).double().sum(1).chunk(len(weights), dim=1)
        for weight, per_sample in zip(weights, blocks, strict=True):
            add_vector(step, weight, per_sample)

    return watched(output, [bias], [], sink)


def add_vector(step: StepCapture, weight: Weight, per_sample: Float64[Tensor, "sample entry"]) -> None:
    """Record the gradient of a vector, given each sample's share."""
    for part in step.rows.filled:
        step[weight].add_gradient(part, step.rows.pick(per_sample, part).sum(0)[:, None])
        step[weight].count_rows(part, positions=1)


class _Watched(torch.autograd.Function):
    """The identity."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, *others: Any) -> Tensor:
        *tensors, ctx.n_parameters, ctx.sink, ctx.spoil = others
        ctx.save_for_backward(*tensors[ctx.n_parameters :])
        # Not a view for autograd, which would forbid changing it in place, as nn.ReLU(inplace=True) does.
        identity: Tensor = torch.ops.aten._unsafe_view(output, list(output.shape))
        return identity

    @staticmethod
    def backward(ctx: Any, delta: Float[Tensor, "..."]) -> tuple[Tensor | None, ...]:
        if ctx.spoil is not None and torch.is_grad_enabled():
            ctx.spoil()
        received = [demand(ctx, position)[1] for position in range(1, 1 + ctx.n_parameters)]
        if any(received):
            with torch.no_grad():
                ctx.sink(delta, received, *ctx.saved_tensors)
        return delta, *[None] * (len(ctx.needs_input_grad) - 1)
