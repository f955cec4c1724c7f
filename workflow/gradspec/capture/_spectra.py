"""From what a step has captured to its singular values, equal shapes solved together."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import compress

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from gradspec.capture._layer import Weight
from gradspec.capture._solve import product_of_triangles, root_eigenvalues, small_gram, triangle
from gradspec.capture._step import SAMPLE_SIDE, StepCapture, WeightCapture

# Singular values of each group, then pooled: descending, NaN beyond the rank that the group can have.
Spectrum = Float64[np.ndarray, "group index"]


@dataclass
class WeightSpectra:
    """The route by which a weight was solved, and its spectrum of each kind."""

    route: str
    spectra: dict[str, Spectrum]


@torch.no_grad()
def solve(step: StepCapture) -> dict[Weight, WeightSpectra]:
    """Singular values of everything that a step has captured.

    Parameters
    ----------
    step : StepCapture
        What was captured; every weight at least once.

    Returns
    -------
    dict
        The spectra of each weight, in the order of the weights. A spectrum that is not finite is NaN.
    """
    routes = {weight: capture.settle() for weight, capture in step.weights.items()}
    solved = {
        weight: WeightSpectra(
            routes[weight], {kind: _blank(capture, kind) for kind in step.kinds if kind in weight.kinds}
        )
        for weight, capture in step.weights.items()
    }
    problems = Problems()
    for stack in _equal_rows(step.weights[weight] for weight, route in routes.items() if route == SAMPLE_SIDE):
        _sample_side(stack, solved, problems)
    for weight, capture in step.weights.items():
        if routes[weight] != SAMPLE_SIDE:
            _parameter_side(capture, solved[weight].spectra, problems)
    problems.solve()
    return solved


def _blank(capture: WeightCapture, kind: str) -> Spectrum:
    ranks = capture.ranks(kind)
    return np.full((len(ranks), max(ranks)), np.nan)


def _equal_rows(captures: Iterable[WeightCapture]) -> list[list[WeightCapture]]:
    stacks = defaultdict(list)
    for capture in captures:
        stacks[tuple(capture.positions)].append(capture)
    return list(stacks.values())


def _sample_side(stack: list[WeightCapture], solved: dict[Weight, WeightSpectra], problems: "Problems") -> None:
    """Add the problems of weights that saw equally many rows: columns of one pair of triangles a weight."""
    order, spans = stack[0].groups.sort_rows(stack[0].positions)
    triangles = [[triangle(rows).cpu() for rows in capture.rows()] for capture in stack]
    r_h, r_delta = (torch.stack(factors)[:, :, order] for factors in zip(*triangles, strict=True))
    finite = (r_h.isfinite() & r_delta.isfinite()).flatten(1).all(1)
    if not bool(finite.all()):
        for capture, whole in zip(stack, finite.tolist(), strict=True):
            if not whole:
                _group_by_group(capture, order, spans, solved[capture.weight].spectra, problems)
        stack = list(compress(stack, finite.tolist()))
        r_h, r_delta = r_h[finite], r_delta[finite]
    wanted = [solved[capture.weight].spectra for capture in stack]
    for group, span in enumerate(spans):
        _add_products(r_h[:, :, span], r_delta[:, :, span], wanted, group, problems)


def _group_by_group(
    capture: WeightCapture, order: Tensor, spans: list[slice], spectra: dict[str, Spectrum], problems: "Problems"
) -> None:
    """Add the groups whose own rows are finite, with factors of their own, for a weight that saw others too."""
    h, delta = (rows.cpu()[order] for rows in capture.rows())
    for group, span in enumerate(spans):
        r_h, r_delta = triangle(h[span]), triangle(delta[span])
        if r_h.isfinite().all() and r_delta.isfinite().all():
            _add_products(r_h[None], r_delta[None], [spectra], group, problems)


def _add_products(
    r_h: Float64[Tensor, "weight side row"],
    r_delta: Float64[Tensor, "weight side row"],
    wanted: list[dict[str, Spectrum]],
    group: int,
    problems: "Problems",
) -> None:
    if r_h.shape[-1] == 0 or not wanted:
        return
    for kind in wanted[0]:
        matrices = {"activation": r_h, "delta": r_delta}.get(kind)
        matrices = product_of_triangles(r_h, r_delta) if matrices is None else matrices
        problems.add_matrices(matrices, [spectra[kind][group] for spectra in wanted])


def _parameter_side(capture: WeightCapture, spectra: dict[str, Spectrum], problems: "Problems") -> None:
    if "gradient" in spectra:
        for row, rank, gradient in zip(spectra["gradient"], capture.ranks(), capture.group_gradients(), strict=True):
            if gradient is not None:
                problems.add_gram(small_gram(gradient), row[:rank])
    for kind, moments in capture.moments.items():
        for row, rank, gram in zip(spectra[kind], capture.ranks(kind), moments.gram_matrices(), strict=True):
            if rank:
                problems.add_gram(gram, row[:rank])


class Problems:
    """Small matrices and Gram matrices whose singular values are wanted, solved together where they are of one size."""

    def __init__(self) -> None:
        self._matrices: dict[torch.Size, list[Tensor]] = defaultdict(list)
        self._grams: dict[torch.Size, list[Tensor]] = defaultdict(list)
        self._matrix_targets: dict[torch.Size, list[Spectrum]] = defaultdict(list)
        self._gram_targets: dict[torch.Size, list[Spectrum]] = defaultdict(list)

    def add_matrices(self, matrices: Float64[Tensor, "problem row column"], targets: list[Spectrum]) -> None:
        """Add matrices, and where their singular values go."""
        self._matrices[matrices.shape[1:]].append(matrices)
        self._matrix_targets[matrices.shape[1:]] += targets

    def add_gram(self, gram: Float64[Tensor, "side side"], target: Spectrum) -> None:
        """Add the Gram matrix of a matrix, and where its singular values go."""
        self._grams[gram.shape].append(gram)
        self._gram_targets[gram.shape].append(target)

    def solve(self) -> None:
        """Write the singular values of all; those of what is not finite stay as they are."""
        for shape, stacks in self._matrices.items():
            _solve(torch.linalg.svdvals, torch.cat(stacks), self._matrix_targets[shape])
        for shape, grams in self._grams.items():
            _solve(root_eigenvalues, torch.stack(grams).cpu(), self._gram_targets[shape])


def _solve(function: Callable[[Tensor], Tensor], matrices: Tensor, targets: list[Spectrum]) -> None:
    finite = torch.isfinite(matrices).flatten(1).all(1)
    if not bool(finite.all()):  # the solvers refuse them
        matrices = matrices[finite]
        targets = list(compress(targets, finite.tolist()))
    for values, target in zip(function(matrices).numpy(), targets, strict=True):
        target[: len(values)] = values[: len(target)]
