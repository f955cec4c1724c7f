"""From what steps have captured to their singular values, equal shapes solved together."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from math import isfinite

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from gradspec.capture._groups import RowOrder
from gradspec.capture._layer import Weight
from gradspec.capture._leading import BOUND, NORM, Leading, leading_values
from gradspec.capture._logits import Readout
from gradspec.capture._solve import root_eigenvalues, small_gram, span_of_triangle, triangle
from gradspec.capture._step import StepCapture
from gradspec.capture._weight_capture import SAMPLE_SIDE, WeightCapture

# Singular values of each group, then pooled: descending, NaN beyond the rank that the group can have.
Spectrum = Float64[np.ndarray, "group index"]
# Where the singular values of one group go: as many as there can be.
Target = Float64[np.ndarray, " index"]
# Of each kind, where the singular values of each group, then pooled, go.
Targets = Mapping[str, Sequence[Target] | Spectrum]
# What problems have in common that are solved together: where they are, and sizes.
Kin = tuple[torch.device | int, ...]
# First row of each group, then of all, and the one after the last.
Spans = tuple[tuple[int, int], ...]
# Triangles of H of a weight, of its Δ, of H of the next, and so on, whose columns belong to the rows of the layer.
Triangles = Float64[Tensor, "factor row row"]


@dataclass
class WeightSpectra:
    """The route of a weight, its spectrum of each kind, and what is to be looked at once they are there."""

    route: str
    spectra: dict[str, Spectrum]
    readout: Readout | None = None
    count: int | None = None

    def narrow(self) -> None:
        """Where only leading singular values are wanted and all have been solved, leave them, exact, and the norm."""
        if self.count is not None and NORM not in self.spectra:
            every = self.spectra["gradient"]
            self.spectra["gradient"] = every[:, : self.count]
            self.spectra[BOUND] = np.where(np.isnan(self.spectra["gradient"]), np.nan, 0.0)
            known = ~np.isnan(every[:, :1])
            self.spectra[NORM] = np.where(known, np.sqrt(np.nansum(every**2, axis=1, keepdims=True)), np.nan)


@dataclass
class SharedRows:
    """Weights on the sample side that saw the same rows of samples, their order by group, and their triangles."""

    captures: Sequence[WeightCapture]
    order: RowOrder
    triangles: Triangles


@dataclass
class FewRows:
    """Rows of a weight on the parameter side, the label of each, and where the spectrum of each group goes."""

    h: Float64[Tensor, "row n"]
    delta: Float64[Tensor, "row m"]
    labels: list[int]
    targets: Sequence[Target]


class Problems:
    """Small problems of one or several steps, solved together where they are of one size."""

    def __init__(self) -> None:
        self._matrices: dict[Kin, list[Tensor]] = defaultdict(list)
        self._matrix_targets: dict[Kin, list[Target]] = defaultdict(list)
        self._grams: dict[Kin, list[Tensor]] = defaultdict(list)
        self._gram_targets: dict[Kin, list[Target]] = defaultdict(list)
        self._few_rows: dict[Kin, list[FewRows]] = defaultdict(list)
        self._triangles: dict[tuple[torch.device, Spans], list[Triangles]] = defaultdict(list)
        self._triangle_targets: dict[tuple[torch.device, Spans], list[Targets]] = defaultdict(list)
        self.n_bytes = 0

    def add_triangles(self, triangles: Triangles, order: RowOrder, targets: Sequence[Targets]) -> None:
        """Add the triangles of some weights, and where the spectra of each go."""
        in_order = triangles if order.order is None else triangles.index_select(2, order.order.to(triangles.device))
        self._triangles[triangles.device, order.spans].append(in_order)
        self._triangle_targets[triangles.device, order.spans] += targets
        self.n_bytes += triangles.nbytes

    def add_matrices(self, matrices: Float64[Tensor, "problem row column"], targets: Iterable[Target]) -> None:
        """Add matrices, and where their singular values go."""
        kin = (matrices.device, *matrices.shape[1:])
        self._matrices[kin].append(matrices)
        self._matrix_targets[kin] += targets
        self.n_bytes += matrices.nbytes

    def add_gram(self, gram: Float64[Tensor, "side side"], target: Target) -> None:
        """Add the Gram matrix of a matrix, and where its singular values go."""
        kin = (gram.device, *gram.shape)
        self._grams[kin].append(gram)
        self._gram_targets[kin].append(target)
        self.n_bytes += gram.nbytes

    def add_few_rows(self, rows: "FewRows") -> None:
        """Add the product of a few rows of each group, and of all."""
        self._few_rows[rows.h.device, *rows.h.shape, *rows.delta.shape, len(rows.targets)].append(rows)
        self.n_bytes += rows.h.nbytes + rows.delta.nbytes

    @torch.no_grad()
    def solve(self) -> None:
        """Write the singular values of all; those of what is not finite stay as they are."""
        for (device, spans), stacks in self._triangles.items():
            triangles, targets = torch.cat(stacks), self._triangle_targets[device, spans]
            for group, (start, end) in enumerate(spans):
                if start < end:
                    members = span_of_triangle(triangles, start, end)
                    self._add_products(members, [(spectra, group) for spectra in targets])
        for few in self._few_rows.values():
            gradients = _products_by_group(few).flatten(0, 1)
            wide = gradients if gradients.shape[1] <= gradients.shape[2] else gradients.mT
            _solve(root_eigenvalues, wide @ wide.mT, [target for rows in few for target in rows.targets])
        for kin, matrices in self._matrices.items():
            _solve(torch.linalg.svdvals, torch.cat(matrices), self._matrix_targets[kin])
        self.solve_grams()

    @torch.no_grad()
    def solve_grams(self) -> None:
        """The same of those that have been added as Gram matrices, which are given up."""
        for kin, grams in self._grams.items():
            stack = torch.stack(grams)
            _solve(root_eigenvalues, stack, self._gram_targets[kin])
            self.n_bytes -= stack.nbytes
        self._grams.clear()
        self._gram_targets.clear()

    def _add_products(self, triangles: Triangles, targets: Sequence[tuple[Targets, int]]) -> None:
        h, delta = triangles[0::2], triangles[1::2]
        for kind in targets[0][0]:
            matrices = delta @ h.mT if kind == "gradient" else {"activation": h, "delta": delta}[kind]
            self.add_matrices(matrices, [spectra[kind][group] for spectra, group in targets])

    def add_rows(
        self, h: Float64[Tensor, "row n"], delta: Float64[Tensor, "row m"], spectra: Targets, group: int
    ) -> None:
        """Add the rows that a group alone has of a weight, where they are finite."""
        if len(h) and bool(h.isfinite().all() & delta.isfinite().all()):
            self._add_products(torch.stack([triangle(h), triangle(delta)]), [(spectra, group)])


@torch.no_grad()
def reduce(
    step: StepCapture, problems: Problems, leading: Leading
) -> tuple[dict[Weight, WeightSpectra], list[SharedRows]]:
    """Reduce everything that a step has captured to small problems.

    Parameters
    ----------
    step : StepCapture
        What was captured; every weight at least once.
    problems : Problems
        Takes the problems.
    leading : Leading
        Which weights have leading singular values only; those on the parameter side are solved here.

    Returns
    -------
    solved : dict
        The spectra of each weight, in the order of the weights, which are NaN until the problems are solved; a
        spectrum that is not finite remains so.
    shared : list of SharedRows
        The triangles of the weights on the sample side.
    """
    solved = {}
    stacks: dict[tuple[int, ...], list[tuple[WeightCapture, Targets]]] = defaultdict(list)
    for weight, capture in step.weights.items():
        count = leading.count if leading.takes(weight.shape) else None
        if capture.empty or weight in step.spoiled:
            unknown = np.empty((step.n_groups + 1, 0))
            solved[weight] = WeightSpectra(
                "", {kind: unknown for kind in step.kinds if kind in weight.kinds}, None, count
            )
            continue
        route = capture.settle()
        ranks = {kind: capture.ranks(kind) for kind in step.kinds if kind in weight.kinds}
        spectra = {kind: np.full((len(of_kind), max(of_kind)), np.nan) for kind, of_kind in ranks.items()}
        solved[weight] = WeightSpectra(route, spectra, capture.readout(spectra), count)
        targets = {kind: [*map(_leading, spectra[kind], of_kind)] for kind, of_kind in ranks.items()}
        if route == SAMPLE_SIDE:
            stacks[tuple(map(id, capture.row_labels))].append((capture, targets))
        elif capture.uses:
            _add_few_rows(capture, targets, problems)
        else:
            if count is not None and not any(gradient.is_sparse for gradient in capture.gradients.values()):
                spectra.update(_solve_leading(capture, ranks["gradient"], count))
            else:
                _add_gradients(capture, targets, problems)
            _add_moments(capture, targets, problems)
    shared = []
    for stack in stacks.values():
        captures, of_captures = zip(*stack, strict=True)
        shared.append(_share_rows(captures))
        _add_shared_rows(shared[-1], of_captures, problems)
    return solved, shared


def _share_rows(captures: Sequence[WeightCapture]) -> SharedRows:
    """Factorise the rows of weights that saw equally many of the same samples."""
    order = captures[0].step.order_of(captures[0].row_labels)
    triangles = torch.stack([each for capture in captures for each in capture.triangles()])
    return SharedRows(captures, order, triangles)


def _leading(row: Target, rank: int) -> Target:
    return row[:rank]


def _add_shared_rows(shared: SharedRows, targets: Sequence[Targets], problems: Problems) -> None:
    order = shared.order
    if shared.captures[0].step.stays_on_device or isfinite(float(shared.triangles.sum())):
        problems.add_triangles(shared.triangles, order, targets)
        return
    for capture, spectra in zip(shared.captures, targets, strict=True):
        h, delta = (rows if order.order is None else rows[order.order] for rows in capture.rows())
        for group, (start, end) in enumerate(order.spans):
            problems.add_rows(h[start:end], delta[start:end], spectra, group)


def _add_few_rows(capture: WeightCapture, targets: Targets, problems: Problems) -> None:
    if "gradient" in targets:
        labels = [label for labels in capture.row_labels for label in labels]
        problems.add_few_rows(FewRows(*capture.rows(), labels, [*targets["gradient"]]))


def _products_by_group(problems: Sequence[FewRows]) -> Float64[Tensor, "problem group m n"]:
    """Products of the rows of each group, then of all, which masks tell apart."""
    groups = range(len(problems[0].targets) - 1)
    members = torch.tensor(
        [[*([label == group for label in p.labels] for group in groups), [True] * len(p.labels)] for p in problems]
    )
    h = torch.stack([problem.h for problem in problems])
    delta = torch.stack([problem.delta for problem in problems])
    members = members.to(h.device)
    products = (members[:, :, None] * delta.mT[:, None]).flatten(1, 2) @ h
    if not isfinite(float(products.sum())):  # zero times infinity reaches other groups
        members = members[..., None]
        return torch.where(members, delta[:, None], 0.0).mT @ torch.where(members, h[:, None], 0.0)
    return products.view(*members.shape[:2], -1, h.shape[2])


def _add_gradients(capture: WeightCapture, targets: Targets, problems: Problems) -> None:
    if "gradient" in targets:
        for target, gradient in zip(targets["gradient"], capture.group_gradients(), strict=True):
            if gradient is not None:
                problems.add_gram(small_gram(gradient), target)


def _solve_leading(capture: WeightCapture, ranks: Sequence[int], count: int) -> dict[str, Spectrum]:
    """Leading singular values of the gradient of each group, and pooled; their bounds; Frobenius norms."""
    values, bounds = (np.full((len(ranks), count), np.nan) for _ in range(2))
    norms = np.full((len(ranks), 1), np.nan)
    for group, (rank, gradient) in enumerate(zip(ranks, capture.group_gradients(in_double=False), strict=True)):
        if gradient is not None:
            found = leading_values(gradient, count)
            values[group, :rank] = found.values[:rank].cpu().numpy()
            bounds[group, :rank] = found.bounds[:rank].cpu().numpy()
            norms[group] = float(found.norm)
    return {"gradient": values, BOUND: bounds, NORM: norms}


def _add_moments(capture: WeightCapture, targets: Targets, problems: Problems) -> None:
    for kind, moments in capture.moments.items():
        for target, gram in zip(targets[kind], moments.gram_matrices(capture.step.n_groups), strict=True):
            if gram is not None:
                problems.add_gram(gram, target)


def _solve(function: Callable[[Tensor], Tensor], matrices: Tensor, targets: list[Target]) -> None:
    if not isfinite(float(matrices.sum())):  # the solvers refuse them
        finite = matrices.sum((1, 2)).isfinite()
        matrices = matrices[finite]
        targets = list(compress(targets, finite.tolist()))
    for values, target in zip(function(matrices).cpu().numpy(), targets, strict=True):
        target[: len(values)] = values[: len(target)]
