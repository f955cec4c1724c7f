"""Questions to autograd's graph: which parameters a tensor comes from, and what a running backward is for."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_CASTS = ("ToCopyBackward0", "AliasBackward0")
# A weight is computed from its parameters in fewer operations than that.
_DEPTH = 64


@dataclass(frozen=True)
class Leaf:
    """A parameter that a tensor comes from.

    Attributes
    ----------
    variable : Tensor
        The parameter.
    node : Node
        What adds to its ``grad``.
    is_cast : bool
        Whether the tensor is the parameter in another precision.
    """

    variable: Tensor
    node: Any
    is_cast: bool


def is_cast(tensor: Tensor) -> bool:
    """Whether a tensor is another in another precision."""
    return tensor.grad_fn is not None and tensor.grad_fn.name() in _CASTS


def leaves_of(node: Any) -> list[Leaf]:
    """The parameters that what a node computed comes from in a few operations."""
    found: dict[Any, Leaf] = {}
    waiting, seen = [(node, True)], 0
    while waiting and seen < _DEPTH:
        node, is_cast = waiting.pop()
        seen += 1
        if node is None:
            continue
        variable = getattr(node, "variable", None)
        if variable is not None:
            found[node] = Leaf(variable, node, is_cast)
            continue
        is_cast = is_cast and node.name() in _CASTS
        waiting += [(following, is_cast) for following, _ in node.next_functions]
    return list(found.values())


def demand(ctx: Any, position: int) -> tuple[bool, bool]:
    """Whether the running backward needs a gradient for an input of a function, and whether it is to be recorded.

    ``ctx.needs_input_grad`` says what required grad in forward. ``autograd.grad(output, inputs)`` within a step (a
    saliency map, say) asks for less. Recorded is what the running backward adds to the ``grad`` of a parameter: what is
    done with a gradient that ``autograd.grad`` returns is not known.
    """
    if not ctx.needs_input_grad[position]:
        return False, False
    return demand_of(ctx.next_functions[position][0])


def demand_of(node: Any) -> tuple[bool, bool]:
    """The same of the node that takes the gradient."""
    try:
        if not torch._C._will_engine_execute_node(node):
            return False, False
    except RuntimeError:  # it is what autograd.grad was asked for
        return True, False
    if hasattr(node, "variable"):
        return True, True
    return True, any(_is_added_to(leaf.node) for leaf in leaves_of(node))


def _is_added_to(node: Any) -> bool:
    try:
        return bool(torch._C._will_engine_execute_node(node))
    except RuntimeError:
        return False
