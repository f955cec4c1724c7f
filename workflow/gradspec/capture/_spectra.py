"""From what steps have captured to their singular values, equal shapes solved together."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from gradspec.capture._groups import RowOrder
from gradspec.capture._layer import Weight
from gradspec.capture._solve import root_eigenvalues, small_gram, span_of_triangle, triangle, triangle_of_long
from gradspec.capture._step import StepCapture
from gradspec.capture._weight_capture import SAMPLE_SIDE, WeightCapture

# Singular values of each group, then pooled: descending, NaN beyond the rank that the group can have.
Spectrum = Float64[np.ndarray, "group index"]
# Triangles of H of a weight, of its Δ, of H of the next, and so on, whose columns belong to the rows of the layer.
Triangles = Float64[Tensor, "factor row row"]


@dataclass
class WeightSpectra:
    """The route by which a weight is solved, and its spectrum of each kind."""

    route: str
    spectra: dict[str, Spectrum]


@dataclass
class SharedRows:
    """Weights on the sample side that saw the same rows of samples, their order by group, and their triangles."""

    captures: list[WeightCapture]
    order: RowOrder
    triangles: Triangles


class Problems:
    """Small problems of one or several steps, solved together where they are of one size."""

    def __init__(self) -> None:
        self._matrices: dict[torch.Size, list[Tensor]] = defaultdict(list)
        self._matrix_targets: dict[torch.Size, list[Spectrum]] = defaultdict(list)
        self._grams: dict[torch.Size, list[Tensor]] = defaultdict(list)
        self._gram_targets: dict[torch.Size, list[Spectrum]] = defaultdict(list)
        self._triangles: dict[tuple[tuple[int, int], ...], list[Triangles]] = defaultdict(list)
        self._triangle_targets: dict[tuple[tuple[int, int], ...], list[dict[str, Spectrum]]] = defaultdict(list)
        self.n_bytes = 0

    def add_triangles(self, triangles: Triangles, order: RowOrder, targets: Sequence[dict[str, Spectrum]]) -> None:
        """Add the triangles of some weights, and where the spectra of each go."""
        in_order = triangles if order.order is None else triangles[:, :, order.order]
        self._triangles[order.spans].append(in_order)
        self._triangle_targets[order.spans] += targets
        self.n_bytes += triangles.nbytes

    def add_matrices(self, matrices: Float64[Tensor, "problem row column"], targets: Iterable[Spectrum]) -> None:
        """Add matrices, and where their singular values go."""
        self._matrices[matrices.shape[1:]].append(matrices)
        self._matrix_targets[matrices.shape[1:]] += targets
        self.n_bytes += matrices.nbytes

    def add_gram(self, gram: Float64[Tensor, "side side"], target: Spectrum) -> None:
        """Add the Gram matrix of a matrix, and where its singular values go."""
        self._grams[gram.shape].append(gram)
        self._gram_targets[gram.shape].append(target)
        self.n_bytes += gram.nbytes

    @torch.no_grad()
    def solve(self) -> None:
        """Write the singular values of all; those of what is not finite stay as they are."""
        for spans, stacks in self._triangles.items():
            triangles, targets = torch.cat(stacks), self._triangle_targets[spans]
            for group, (start, end) in enumerate(spans):
                if start < end:
                    members = span_of_triangle(triangles, start, end)
                    self._add_products(members, [(spectra, group) for spectra in targets])
        for shape, matrices in self._matrices.items():
            _solve(torch.linalg.svdvals, torch.cat(matrices), self._matrix_targets[shape])
        for shape, grams in self._grams.items():
            _solve(root_eigenvalues, torch.stack(grams).cpu(), self._gram_targets[shape])

    def _add_products(self, triangles: Triangles, targets: Sequence[tuple[dict[str, Spectrum], int]]) -> None:
        h, delta = triangles[0::2], triangles[1::2]
        for kind in targets[0][0]:
            matrices = delta @ h.mT if kind == "gradient" else {"activation": h, "delta": delta}[kind]
            self.add_matrices(matrices, [spectra[kind][group] for spectra, group in targets])

    def add_rows(
        self, h: Float64[Tensor, "row n"], delta: Float64[Tensor, "row m"], spectra: dict[str, Spectrum], group: int
    ) -> None:
        """Add the rows that a group alone has of a weight, where they are finite."""
        if len(h) and bool(h.isfinite().all() & delta.isfinite().all()):
            self._add_products(torch.stack([triangle(h), triangle(delta)]), [(spectra, group)])


@torch.no_grad()
def reduce(step: StepCapture, problems: Problems) -> tuple[dict[Weight, WeightSpectra], list[SharedRows]]:
    """Reduce everything that a step has captured to small problems.

    Parameters
    ----------
    step : StepCapture
        What was captured; every weight at least once.
    problems : Problems
        Takes the problems.

    Returns
    -------
    solved : dict
        The spectra of each weight, in the order of the weights, which are NaN until the problems are solved; a
        spectrum that is not finite remains so.
    shared : list of SharedRows
        The triangles of the weights on the sample side.
    """
    solved = {}
    stacks: dict[tuple[int, ...], list[WeightCapture]] = defaultdict(list)
    for weight, capture in step.weights.items():
        route = capture.settle()
        spectra = {kind: _blank(capture, kind) for kind in step.kinds if kind in weight.kinds}
        solved[weight] = WeightSpectra(route, spectra)
        if route == SAMPLE_SIDE:
            stacks[tuple(map(id, capture.row_labels))].append(capture)
        else:
            _add_gradients(capture, spectra, problems)
    shared = [_share_rows(captures) for captures in stacks.values()]
    for rows in shared:
        _add_shared_rows(rows, solved, problems)
    return solved, shared


def _share_rows(captures: list[WeightCapture]) -> SharedRows:
    """Factorise the rows of weights that saw equally many of the same samples."""
    rows = [rows for capture in captures for rows in capture.rows()]
    order = captures[0].step.order_of(captures[0].row_labels)
    return SharedRows(captures, order, torch.stack([triangle_of_long(each).cpu() for each in rows]))


def _blank(capture: WeightCapture, kind: str) -> Spectrum:
    ranks = capture.ranks(kind)
    return np.full((len(ranks), max(ranks)), np.nan)


def _add_shared_rows(shared: SharedRows, solved: dict[Weight, WeightSpectra], problems: Problems) -> None:
    order = shared.order
    targets = [solved[capture.weight].spectra for capture in shared.captures]
    if bool(shared.triangles.isfinite().all()):
        problems.add_triangles(shared.triangles, order, targets)
        return
    for capture, spectra in zip(shared.captures, targets, strict=True):
        h, delta = (rows.cpu() if order.order is None else rows.cpu()[order.order] for rows in capture.rows())
        for group, (start, end) in enumerate(order.spans):
            problems.add_rows(h[start:end], delta[start:end], spectra, group)


def _add_gradients(capture: WeightCapture, spectra: dict[str, Spectrum], problems: Problems) -> None:
    if "gradient" in spectra:
        for row, rank, gradient in zip(spectra["gradient"], capture.ranks(), capture.group_gradients(), strict=True):
            if gradient is not None:
                problems.add_gram(small_gram(gradient), row[:rank])
    for kind, moments in capture.moments.items():
        grams = moments.gram_matrices(capture.step.n_groups)
        for row, rank, gram in zip(spectra[kind], capture.ranks(kind), grams, strict=True):
            if gram is not None:
                problems.add_gram(gram, row[:rank])


def _solve(function: Callable[[Tensor], Tensor], matrices: Tensor, targets: list[Spectrum]) -> None:
    finite = torch.isfinite(matrices).flatten(1).all(1)
    if not bool(finite.all()):  # the solvers refuse them
        matrices = matrices[finite]
        targets = list(compress(targets, finite.tolist()))
    for values, target in zip(function(matrices).numpy(), targets, strict=True):
        target[: len(values)] = values[: len(target)]
