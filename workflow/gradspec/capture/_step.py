"""What one step captures: which batch is open, and that every forward and backward through it counts once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from operator import add
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from gradspec.capture._groups import Batch, Groups, RowOrder
from gradspec.capture._layer import Weight
from gradspec.capture._logits import LogitRows
from gradspec.capture._weight_capture import WeightCapture
from gradspec.capture.errors import CaptureError, RowsError


class StepCapture:
    """Everything that one optimisation step captures, of one batch or of several.

    Parameters
    ----------
    weights : sequence of Weight
        What is to be captured.
    n_groups : int
        Number of declared groups.
    kinds : sequence of str
        What is wanted of each weight.

    Attributes
    ----------
    groups : Groups
        The division of the batch that is open.
    rows : Groups
        The division of the rows of the use whose backward runs.
    counts : list of int
        Samples of each group so far; last, those of the rest.
    weight_sums : list of float
        Sum of the weights of the samples in the loss, likewise.
    batch : int
        Number of the batch that is open.
    batch_sizes : list of int
        Samples of each batch so far.
    passes : int
        Number of backward passes that counted as one label.
    closed : bool
        Whether the step is over.
    in_low_precision : bool
        Whether a layer ran under autocast.
    label : int, optional
        The label that everything counts as.
    packed : dict
        The packed sequences that modules were called with, by the identity of their data.
    problem : RowsError, optional
        What is wrong with the rows that a layer saw first.
    marks : set of Node, optional
        Where the outputs of captured layers stand in autograd's graph, where somebody wants to know.
    spoiled : dict
        The weights of which not all was captured, and why.
    stays_on_device : bool
        Whether the small problems are solved where they were captured, and nothing is looked at before they are.
    logits : list of LogitRows
        Gradients of logits that no recorded layer gives, where a softmax may be saturated.
    """

    def __init__(self, weights: Sequence[Weight], n_groups: int, kinds: Sequence[str]) -> None:
        self.kinds = tuple(kinds)
        self.counts = [0] * (n_groups + 1)
        self.weight_sums = [0.0] * (n_groups + 1)
        self.n_groups = n_groups
        self.groups: Groups
        self.rows: Groups
        self._repeated: dict[tuple[int, int], Groups] = {}
        self.batch = -1
        self._in_batch = False
        self.packed: dict[int, PackedSequence] = {}
        self.problem: RowsError | None = None
        self.marks: set[Any] | None = None
        self.spoiled: dict[Weight, str] = {}
        self.logits: list[LogitRows] = []
        self.batch_sizes: list[int] = []
        self._batches: list[Batch] = []
        self.passes = 0
        self.backward_seen = False
        self.closed = False
        self.in_low_precision = False
        self.stays_on_device = False
        self.label: int | None = None
        self._row_labels: dict[tuple[int, int, int | None, int], list[int]] = {}
        self._orders: dict[tuple[int, ...], RowOrder] = {}
        self.weights = {weight: WeightCapture(weight, self) for weight in weights}

    def __getitem__(self, weight: Weight) -> "WeightCapture":
        return self.weights[weight]

    def open(self, batch: Batch) -> None:
        """Begin a batch; raise `CaptureError` where the one before has not ended."""
        if self._in_batch:
            raise CaptureError("a batch of this step is open already; close it before the next")
        self._in_batch = True
        self.groups = self.rows = batch.groups
        self.batch += 1
        self.batch_sizes.append(batch.groups.size)
        self._batches.append(batch)
        self.counts = [*map(add, self.counts, batch.groups.counts)]
        self.weight_sums = [*map(add, self.weight_sums, batch.weight_sums())]
        self.backward_seen = False

    def close(self) -> None:
        """End a batch."""
        self._in_batch = False
        self.packed.clear()

    def mark(self, output: Any) -> None:
        """Note where the output of a layer stands in autograd's graph."""
        for tensor in output if isinstance(output, tuple) else (output,):
            if self.marks is not None and isinstance(tensor, Tensor) and tensor.grad_fn is not None:
                self.marks.add(tensor.grad_fn)

    def known(self) -> dict[Weight, "WeightCapture"]:
        """What was captured of the weights of which all was."""
        return {w: each for w, each in self.weights.items() if not each.empty and w not in self.spoiled}

    def sample_weights(self) -> Float64[np.ndarray, " sample"]:
        """Weight of each sample in the loss."""
        return np.concatenate([batch.weights for batch in self._batches])

    def samples(self) -> Int[np.ndarray, " sample"] | None:
        """Number of each sample in the data set, where all batches know it."""
        samples = [batch.samples for batch in self._batches if batch.samples is not None]
        return np.concatenate(samples) if len(samples) == len(self._batches) else None

    def to_host(self) -> None:
        """Copy what is on an accelerator to the host, where the small problems are solved."""
        for capture in self.weights.values():
            capture.to_host()

    def condense(self) -> int:
        """Make what has been captured as small as can be without loss, and tell its bytes."""
        return sum(capture.condense() for capture in self.weights.values())

    @contextmanager
    def counting_as(self, label: int) -> Iterator[None]:
        """Run a backward pass of which everything counts as the gradient of one label."""
        self.label = label
        self.passes += 1
        try:
            yield
        finally:
            self.label = None

    def repeated(self, times: int) -> Groups:
        """The division of the open batch with so many rows in place of each sample."""
        key = (self.batch, times)
        if key not in self._repeated:
            self._repeated[key] = self.groups.repeated(times)
        return self._repeated[key]

    def use(self, check: Callable[[], None] | None = None, rows: Groups | None = None) -> "Use":
        """A forward through a layer, to be told when its backward comes.

        It sees the division `rows`, that of the batch if not given. What `check` raises about them is raised only then:
        a call whose result reaches no gradient, as one that probes a layer, may see any rows.
        """
        problem = None
        if check is not None:
            try:
                check()
            except RowsError as error:
                problem = error
                self.problem = self.problem or error
        self.in_low_precision |= torch._C._is_any_autocast_enabled()
        in_backward = torch._C._current_graph_task_id() != -1  # where checkpointing computes forward again
        return Use(
            self, self.batch, rows or self.groups, repeated=self.backward_seen and not in_backward, problem=problem
        )

    def row_labels(self, positions: int) -> list[int]:
        """Label of each row of the open batch, where a sample has so many; the same list for the same rows."""
        key = (self.batch, positions, self.label, self.rows.times)
        labels = self._row_labels.get(key)
        if labels is None:
            labels = self.rows.labels if self.label is None else [self.label] * self.rows.size
            labels = labels if positions == 1 else [label for label in labels for _ in range(positions)]
            self._row_labels[key] = labels
        return labels

    def order_of(self, row_labels: Sequence[list[int]]) -> RowOrder:
        """Order by group of stacked rows."""
        key = tuple(map(id, row_labels))
        if key not in self._orders:
            self._orders[key] = RowOrder.of([*chain.from_iterable(row_labels)], self.n_groups)
        return self._orders[key]


@dataclass
class Use:
    """A forward through a layer, whose gradient counts once."""

    step: StepCapture
    batch: int
    rows: Groups
    repeated: bool
    problem: RowsError | None = None
    spent: int = -1

    def again(self) -> "Use":
        """The same forward, for another of the weights that take part in it."""
        return replace(self)

    def spend(self) -> None:
        """Note that its backward runs; raise `CaptureError` where that would count something wrongly or twice."""
        step = self.step
        if self.problem is not None:
            raise self.problem
        if step.closed:
            raise CaptureError("backward ran after its step was closed: what it adds to the gradients is not recorded")
        if self.repeated or self.batch != step.batch:
            raise CaptureError(
                "a second forward and backward ran for one batch of labels; where the gradients of several batches are "
                "accumulated, give the labels of each: with recorder.accumulate() as step: … with step.batch(group): …"
            )
        if self.spent == step.passes:
            raise CaptureError(
                "backward was called twice for one forward in a step, which would count it twice; add the losses and "
                "call backward once"
            )
        self.spent = step.passes
        step.rows = self.rows
        step.backward_seen = True
