r"""Whether the rows of every layer are in the order of the labels: compared with a backward pass of one group's loss.

A layer sees rows and not whose they are: it takes the i-th of the batch for the i-th sample. Where a model sorts or
shuffles them, or has times where the samples should be and just as many, the spectra are those of another grouping,
while the gradients of the optimiser are right. So before the first backward pass one more is made, of one group alone:
down from the loss to the first tensors with a row per sample, where the rows of the others are set to zero, and on to
the weights. What arrives is the gradient of the group's share of the loss (``definition="loss"``), with which what was
captured of the group is compared, in a few random directions as in `SelfCheck`.

It costs one backward pass. Both definitions are the same where samples do not meet; where they do, the comparison is
wrong without a fault, and has to be turned off.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from gradspec.capture._selfcheck import Probes, Sketch, norm, sketch_of_capture
from gradspec.capture._step import StepCapture
from gradspec.capture.errors import RowsError, listed

_TOLERANCE = 1e-2
_LOW_PRECISION_TOLERANCE = 1e-1
# Backward passes of which each group's gradient is smaller than that, relative to that of all, tell nothing.
_SMALL = 1e-4

# Changes the gradients that a node of autograd's graph gets.
Mask = Callable[[tuple[Any, ...]], tuple[Any, ...]]


class RowsCheck:
    """Compares one group in the first backward pass of a step.

    Parameters
    ----------
    model : nn.Module
        The model.
    probes : Probes
        The recorded matrices, and the directions in which their gradients are compared.

    Attributes
    ----------
    is_done : bool
        Whether a comparison has been made.
    """

    def __init__(self, model: nn.Module, probes: Probes) -> None:
        self._model = model
        self._probes = probes
        self.is_done = False
        self._is_possible = True

    def prepare(self) -> None:
        """See whether something of the model would notice another backward pass, which is then not made."""
        self._is_possible = not (
            any(module._backward_hooks or module._backward_pre_hooks for module in self._model.modules())
            or any(parameter._backward_hooks for parameter in self._model.parameters())
        )
        self.is_done = False

    @contextmanager
    def watching(self, step: StepCapture) -> Iterator[None]:
        """Compare in the block, at the first call of backward of a batch with two groups.

        Raises
        ------
        RowsError
            From backward, where the rows of a layer are not those of the labels.
        """
        labels = {label for label in step.groups.labels if label >= 0}
        if len(labels) < 2 or step.groups.division == "whole" or not self._is_possible or self.is_done:
            yield
            return
        step.marks = set()
        original = torch.autograd.backward

        def backward(
            tensors: Any,
            grad_tensors: Any = None,
            retain_graph: Any = None,
            create_graph: bool = False,
            *args: Any,
            **kwargs: Any,
        ) -> None:
            expected = None
            is_first = all(capture.empty for capture in step.weights.values())
            if is_first and not (
                self.is_done or create_graph or args or any(each is not None for each in kwargs.values())
            ):
                self.is_done = True
                expected = self._of_label(step, min(labels), tensors, grad_tensors)
            original(tensors, grad_tensors, retain_graph, create_graph, *args, **kwargs)
            if expected is not None:
                self._compare(step, min(labels), expected)

        torch.autograd.backward = backward
        try:
            yield
        finally:
            step.marks = None
            if torch.autograd.backward is backward:
                torch.autograd.backward = original

    def _of_label(self, step: StepCapture, label: int, tensors: Any, grad_tensors: Any) -> dict[str, Sketch] | None:
        """Gradients of the samples of a label alone; None where none can be had."""
        roots = [tensors] if isinstance(tensors, Tensor) else list(tensors)
        if not all(isinstance(root, Tensor) and root.grad_fn is not None for root in roots):
            return None
        member = torch.tensor([each == label for each in step.groups.labels])
        handles = [node.register_prehook(hook) for node, hook in _masks(roots, step.marks or set(), member)]
        # What checkpointing computes again may change buffers, as a power iteration of spectral_norm does.
        buffers = [(buffer, buffer.clone()) for buffer in self._model.buffers()]
        names = [name for name, parameter in self._probes.parameters.items() if parameter.requires_grad]
        try:
            if not handles:
                return None
            gradients = torch.autograd.grad(
                roots,
                [self._probes.parameters[name] for name in names],
                grad_tensors if grad_tensors is None or not isinstance(grad_tensors, Tensor) else [grad_tensors],
                retain_graph=True,
                allow_unused=True,
            )
        except RuntimeError:  # as re-entrant checkpointing raises
            return None
        finally:
            for handle in handles:
                handle.remove()
            for buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.data.copy_(before)
        found = zip(names, gradients, strict=True)
        return {name: self._probes.sketch(name, gradient) for name, gradient in found if gradient is not None}

    def _compare(self, step: StepCapture, label: int, expected: dict[str, Sketch]) -> None:
        wrong = []
        for name, right in expected.items():
            weights = self._probes.blocks[name]
            if any(weight in step.spoiled or step[weight].empty for weight in weights):
                continue
            probe = self._probes.of(name)
            found = torch.cat([sketch_of_capture(step[weight], probe, label) for weight in weights])
            of_all = torch.cat([sketch_of_capture(step[weight], probe) for weight in weights])
            allowed = _LOW_PRECISION_TOLERANCE if step.in_low_precision else _TOLERANCE
            size = max(norm(right), norm(found))
            error = norm(right - found)
            if size > _SMALL * norm(of_all) and not error <= allowed * size and error == error:
                wrong.append(f"{name} ({100 * error / size:.2g} %)")
        if wrong:
            raise RowsError(
                f"what was captured of one group is not the gradient of its samples' loss, for {listed(wrong)}: either "
                "the rows that these layers see are not in the order of the labels (sorted, shuffled, or time-major "
                "with as many times as samples), then pass labels in that order, or leave the layers out with "
                "exclude=[…]; or samples meet in the model or its loss, then use definition='loss', or say with "
                "check_rows='never' that each group's rows are what you want"
            )


def _masks(roots: Sequence[Tensor], marks: set[Node], member: Tensor) -> list[tuple[Node, Mask]]:
    """Hooks that let only the rows of some samples pass where rows are first seen, and nothing beside the layers."""
    size = len(member)
    leads = _leading_to(roots, marks)

    def keep_rows(gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(
            gradient * member.to(gradient.device).view(-1, *[1] * (gradient.ndim - 1))
            if isinstance(gradient, Tensor) and gradient.ndim and len(gradient) == size
            else gradient
            for gradient in gradients
        )

    def keep_none(gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(None if gradient is None else torch.zeros_like(gradient) for gradient in gradients)

    hooks: list[tuple[Node, Mask]] = []
    waiting, seen = [root.grad_fn for root in roots], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node not in leads:  # a penalty on weights, for instance
            if not hasattr(node, "variable"):
                hooks.append((node, keep_none))
            continue
        shapes = [each.shape for each in node._input_metadata]
        if any(len(shape) > 2 and shape[0] == shape[1] == size for shape in shapes):
            return []  # times or samples, that cannot be told
        if any(len(shape) and shape[0] == size for shape in shapes):
            hooks.append((node, keep_rows))
        elif node in marks:
            return []  # the rows within a layer may stand in any order
        else:
            waiting += [following for following, _ in node.next_functions]
    return hooks if any(hook is keep_rows for _, hook in hooks) else []


def _leading_to(roots: Sequence[Tensor], marks: set[Node]) -> set[Node]:
    """The nodes of a graph from which some marked one is reached, those included."""
    leads: set[Node] = set()
    seen: set[Node] = set()
    stack: list[tuple[Any, bool]] = [(root.grad_fn, False) for root in roots]
    while stack:
        node, is_done = stack.pop()
        if is_done:
            if node in marks or any(following in leads for following, _ in node.next_functions):
                leads.add(node)
        elif node is not None and node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(following, False) for following, _ in node.next_functions]
    return leads
