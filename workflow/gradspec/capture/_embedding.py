r"""Embeddings: the gradient by group as the rows of the ids that occur.

An embedding is a linear layer over one-hot rows: :math:`G_g = \sum_{i \in g} e_{id(i)} \delta_i^T`, whose row of an id
is the sum of the :math:`\delta` of its occurrences. Rows of ids that do not occur are zero and change no singular
value, hence :math:`G_g` is kept sparse, with a row an id of the group, however long the table is.

The layer's own lookup runs and gives the optimiser its gradient: padding, ``max_norm`` and sparse gradients are as
without the recorder. ``scale_grad_by_freq`` divides every :math:`\delta_i` by how often its id occurs in the batch.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gradspec.capture._layer import Layer
from gradspec.capture._register import Register
from gradspec.capture._samples import SampleDim
from gradspec.capture._step import StepCapture
from gradspec.capture._vectors import watched
from gradspec.capture.errors import RowsError

KINDS = ("gradient", "delta")


class EmbeddingLayer(Layer):
    """``nn.Embedding``.

    Parameters
    ----------
    name : str
        Name of the module in the model.
    module : nn.Embedding
        The module.
    register : Register
        The weights of the model.
    samples : SampleDim
        Where the ids have their samples.

    Notes
    -----
    Ids that are not those of the samples, as of positions, are an error where the layer was asked for by its name;
    among all embeddings of a model it is not recorded in that step.
    """

    functions = ("embedding",)
    is_parametrisable = True
    request = "embedding"

    def __init__(self, name: str, module: nn.Embedding, register: Register, samples: SampleDim) -> None:
        super().__init__(name, module, register, samples)
        self.module: nn.Embedding = module
        self.agreement = "bitwise equal"
        self.weights = register.matrices(self, "weight", (module.num_embeddings, module.embedding_dim), KINDS)
        (self._weight,) = self.weights

    def call(
        self,
        step: StepCapture,
        function: Callable[..., Tensor],
        input: Int[Tensor, "*batch"],
        weight: Tensor,
        *options: object,
        **named: object,
    ) -> Float[Tensor, "*batch d"]:
        output = function(input, weight, *options, **named)
        if not weight.requires_grad:
            return output

        rows = self.rows_in(step, input.shape, self.samples.dim)

        def check() -> None:
            self.samples.check(input.shape, rows, self)
            self._refuse_positions(input)

        if not self.is_named:
            try:
                check()
            except RowsError as error:
                step.spoiled.setdefault(self._weight, str(error))
                return output
        use = step.use(check, rows)

        def sink(delta: Tensor, received: list[bool], ids: Tensor) -> None:
            use.spend()
            self._add(step, ids, delta)

        return watched(output, [weight], [input], sink)

    def _refuse_positions(self, ids: Int[Tensor, "*batch"]) -> None:
        """Raise `RowsError` for what looks like positions, or differences of positions, that all samples share.

        There may be as many as there are samples.
        """
        if len(ids) == 1:
            return
        is_range = ids.ndim == 1 and bool((ids.diff() == 1).all())
        is_square = ids.ndim == 2 and len(ids) == ids.shape[1]
        if is_range or (is_square and bool((ids[1:, 1:] == ids[:-1, :-1]).all())):
            raise RowsError(
                f"{self} saw ids of shape {tuple(ids.shape)} that follow from their place alone, as positions do that "
                "all samples share: whose rows they are cannot be told; give it the ids of each sample"
            )

    def _add(self, step: StepCapture, ids: Int[Tensor, "*batch"], delta: Float[Tensor, "*batch d"]) -> None:
        groups, capture, dim = step.rows, step[self._weight], self.samples.dim
        shape = self._weight.shape
        rows = delta / _frequencies(ids).unsqueeze(-1) if self.module.scale_grad_by_freq else delta
        for part in groups.filled:
            part_ids = groups.pick(ids, part, dim).reshape(-1)
            part_rows = groups.pick(rows, part, dim).reshape(-1, shape[1]).double()
            if self.module.padding_idx is not None:
                counted = part_ids != self.module.padding_idx
                part_ids, part_rows = part_ids[counted], part_rows[counted]
            unique, inverse = torch.unique(part_ids, return_inverse=True)
            sums = part_rows.new_zeros(len(unique), shape[1]).index_add_(0, inverse, part_rows)
            gradient = torch.sparse_coo_tensor(unique[None], sums, shape, is_coalesced=True, check_invariants=False)
            capture.add_gradient(part, gradient)
            capture.count_rows(part, positions=ids.numel() // groups.size)
        parts = range(len(groups.parts))
        capture.add_moments("delta", [groups.pick(delta, part, dim).reshape(-1, shape[1]) for part in parts])


def _frequencies(ids: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
    """How often each id occurs."""
    _, inverse, counts = torch.unique(ids, return_inverse=True, return_counts=True)
    frequencies: Tensor = counts[inverse]
    return frequencies
