"""From what a step has captured to its singular values, equal shapes solved together."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from gradspec.capture._groups import Index
from gradspec.capture._layer import Weight
from gradspec.capture._solve import (
    EPS,
    TOLERANCE,
    gram_singular_values,
    qr_singular_values,
    root_eigenvalues,
    small_gram,
)
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
    eigen = EigenProblems()
    products = ProductProblems()
    for stack in _equal_rows(step.weights[weight] for weight, route in routes.items() if route == SAMPLE_SIDE):
        _sample_side(stack, solved, products, eigen)
    for weight, capture in step.weights.items():
        if routes[weight] != SAMPLE_SIDE:
            _parameter_side(capture, solved[weight].spectra, eigen)
    products.solve()
    eigen.solve()
    return solved


def _blank(capture: WeightCapture, kind: str) -> Spectrum:
    ranks = capture.ranks(kind)
    return np.full((len(ranks), max(ranks)), np.nan)


def _equal_rows(captures: Iterable[WeightCapture]) -> list[list[WeightCapture]]:
    stacks = defaultdict(list)
    for capture in captures:
        stacks[tuple(capture.positions)].append(capture)
    return list(stacks.values())


def _sample_side(
    stack: list[WeightCapture],
    solved: dict[Weight, WeightSpectra],
    products: "ProductProblems",
    eigen: "EigenProblems",
) -> None:
    """Add the problems of weights that saw equally many rows: blocks of one pair of Gram matrices a weight."""
    h, delta = ([torch.cat(rows) for rows in uses] for uses in zip(*((c.h, c.delta) for c in stack), strict=True))
    k_h, k_delta = (torch.stack([rows @ rows.mT for rows in matrices]).cpu() for matrices in (h, delta))
    for group, index in enumerate(stack[0].row_indices()):
        block_h, block_delta = (k[:, index][:, :, index] for k in (k_h, k_delta))
        if block_h.shape[-1] == 0:
            continue
        wanted = [solved[capture.weight].spectra for capture in stack]
        if "gradient" in wanted[0]:
            targets = [spectra["gradient"][group] for spectra in wanted]
            products.add(block_h, block_delta, targets, list(zip(h, delta, strict=True)), index)
        for kind, block, matrices in (("activation", block_h, h), ("delta", block_delta, delta)):
            if kind in wanted[0]:
                eigen.add(block, [spectra[kind][group] for spectra in wanted], matrices, index)


def _parameter_side(capture: WeightCapture, spectra: dict[str, Spectrum], eigen: "EigenProblems") -> None:
    if "gradient" in spectra:
        grams = small_gram(capture.group_gradients()).cpu()
        eigen.add(grams, [row[:rank] for row, rank in zip(spectra["gradient"], capture.ranks(), strict=True)])
    for kind, moments in capture.moments.items():
        for row, rank, gram in zip(spectra[kind], capture.ranks(kind), moments.gram_matrices(), strict=True):
            if rank:
                eigen.add(gram.cpu()[None], [row[:rank]])


class ProductProblems:
    r"""Singular values of :math:`\Delta^T H` from pairs of Gram matrices, with QR for those that need it."""

    def __init__(self) -> None:
        self._problems: dict[int, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        self._targets: dict[int, list[Spectrum]] = defaultdict(list)
        self._rows: dict[int, list[tuple[Tensor, Tensor, Index]]] = defaultdict(list)

    def add(
        self,
        k_h: Float64[Tensor, "problem row row"],
        k_delta: Float64[Tensor, "problem row row"],
        targets: list[Spectrum],
        factors: list[tuple[Tensor, Tensor]],
        index: Index,
    ) -> None:
        size = k_h.shape[-1]
        self._problems[size].append((k_h, k_delta))
        self._targets[size] += targets
        self._rows[size] += [(h, delta, index) for h, delta in factors]

    def solve(self) -> None:
        for size, problems in self._problems.items():
            k_h, k_delta = (torch.cat(grams) for grams in zip(*problems, strict=True))
            finite = _finite(k_h) & _finite(k_delta)
            values, certified = gram_singular_values(_ones_unless(finite, k_h), _ones_unless(finite, k_delta))
            values[~finite] = torch.nan
            for problem in torch.nonzero(finite & ~certified).flatten().tolist():
                h, delta, index = self._rows[size][problem]
                values[problem] = qr_singular_values(h[None, index], delta[None, index])[0]
            _write(values, self._targets[size])


class EigenProblems:
    """Square roots of the eigenvalues of Gram matrices."""

    def __init__(self) -> None:
        self._grams: dict[int, list[Tensor]] = defaultdict(list)
        self._targets: dict[int, list[Spectrum]] = defaultdict(list)
        self._rows: dict[int, list[Callable[[], Tensor] | None]] = defaultdict(list)

    def add(
        self,
        grams: Float64[Tensor, "problem side side"],
        targets: list[Spectrum],
        matrices: list[Tensor] | None = None,
        index: Index | None = None,
    ) -> None:
        """Add problems; `matrices` (rows chosen by `index`) are decomposed themselves where rounding could show."""
        size = grams.shape[-1]
        self._grams[size].append(grams)
        self._targets[size] += targets
        for position in range(len(grams)):
            matrix = None if matrices is None else matrices[position]
            self._rows[size].append(None if matrix is None else lambda matrix=matrix: matrix[index])  # type: ignore[misc]

    def solve(self) -> None:
        for size, stacks in self._grams.items():
            grams = torch.cat(stacks)
            finite = _finite(grams)
            values = root_eigenvalues(_ones_unless(finite, grams))
            certified = EPS * torch.linalg.matrix_norm(grams) <= TOLERANCE * values[:, 0] * values[:, -1]
            values[~finite] = torch.nan
            for problem in torch.nonzero(finite & ~certified).flatten().tolist():
                rows = self._rows[size][problem]
                if rows is not None:
                    values[problem] = torch.linalg.svdvals(rows())
            _write(values, self._targets[size])


def _finite(matrices: Tensor) -> Tensor:
    return torch.isfinite(matrices).flatten(1).all(1)


def _ones_unless(finite: Tensor, matrices: Tensor) -> Tensor:
    """Replace matrices that are not finite, which eigensolvers refuse, by identities."""
    if bool(finite.all()):
        return matrices
    return torch.where(finite[:, None, None], matrices, torch.eye(matrices.shape[-1], dtype=matrices.dtype))


def _write(values: Tensor, targets: list[Spectrum]) -> None:
    for row, target in zip(values.numpy(), targets, strict=True):
        target[: len(row)] = row[: len(target)]
