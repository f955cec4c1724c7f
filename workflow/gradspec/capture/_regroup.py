r"""Spectra of other groupings of the same samples, without training again.

A sample-side triangle serves any grouping of its rows (see `_solve`), and so does the gradient of every sample apart,
since :math:`G_g = \sum_{i \in g} G_i`. A step that keeps them can be regrouped as often as one likes: by sex or site,
or by permuted labels.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from gradspec.capture._groups import Groups, RowOrder
from gradspec.capture._history import Record, Step
from gradspec.capture._layer import Weight
from gradspec.capture._solve import small_gram
from gradspec.capture._spectra import Problems, SharedRows, WeightSpectra
from gradspec.capture._step import StepCapture
from gradspec.capture._weight_capture import PARAMETER_SIDE, SAMPLE_SIDE
from gradspec.capture.errors import CaptureError

# Problems that are solved together.
_BYTES = 50_000_000


@dataclass
class KeptRows:
    """Triangles of the rows of some weights, and the sample that each row belongs to."""

    weights: list[Weight]
    row_samples: Int[np.ndarray, " row"]
    triangles: Float64[Tensor, "factor row row"]


@dataclass
class Kept:
    """What regrouping needs of a step.

    Attributes
    ----------
    step : Step
        Number, epoch and loss of the step.
    sample_weights : array of float
        Weight of each of its samples in the loss.
    loss_scale : float
        By which the loss was multiplied before backward.
    samples : array of int, optional
        Number of each sample in the data set.
    rows : list of KeptRows
        The weights on the sample side.
    gradients : dict
        For the weights on the parameter side, the gradient (sample, m, n) of each sample.
    row_counts : dict
        For those, the rows of each sample.
    readouts : list of Weight
        Those of which the rows of Δ add up to zero.
    """

    step: Step
    sample_weights: Float64[np.ndarray, " sample"]
    loss_scale: float
    samples: Int[np.ndarray, " sample"] | None
    rows: list[KeptRows]
    gradients: dict[Weight, Float[Tensor, "sample m n"]]
    row_counts: dict[Weight, Int[np.ndarray, " sample"]]
    readouts: list[Weight]

    @property
    def size(self) -> int:
        """Number of samples."""
        return len(self.sample_weights)

    @classmethod
    def of(cls, step: Step, capture: StepCapture, shared: Sequence[SharedRows], loss_scale: float) -> "Kept":
        """What there is to keep of a capture whose samples were captured apart."""
        offsets = np.cumsum([0, *capture.batch_sizes])
        rows = []
        for stack in shared:
            uses = stack.captures[0].uses
            row_samples = [
                np.arange(use.groups.size).repeat(len(use.h) // use.groups.size) // use.groups.times
                + offsets[use.batch]
                for use in uses
            ]
            weights = [weight_capture.weight for weight_capture in stack.captures]
            rows.append(KeptRows(weights, np.concatenate(row_samples), stack.triangles))
        gradients = {
            weight: _stack_samples(weight_capture.samples, offsets)
            for weight, weight_capture in capture.known().items()
            if weight_capture.samples
        }
        row_counts = {
            weight: np.concatenate(
                [
                    np.broadcast_to(capture[weight].positions.get(batch, 0), size)
                    for batch, size in enumerate(capture.batch_sizes)
                ]
            )
            for weight in gradients
        }
        readouts = [weight for weight in gradients if capture[weight].is_readout]
        return cls(step, capture.sample_weights(), loss_scale, capture.samples(), rows, gradients, row_counts, readouts)

    def regroup(self, groups: Groups, kinds: Sequence[str], problems: Problems) -> Record:
        """A record of the step with its samples in other groups, to be solved with the problems."""
        labels, n_groups = np.array(groups.labels), groups.n_groups
        solved: dict[Weight, WeightSpectra] = {}
        for rows in self.rows:
            order = RowOrder.of(labels[rows.row_samples].tolist(), n_groups)
            n_rows = len(rows.row_samples)
            targets: list[dict[str, np.ndarray]] = []
            for weight in rows.weights:
                spectra = {k: np.full((n_groups + 1, n_rows), np.nan) for k in kinds if k in weight.kinds}
                solved[weight] = WeightSpectra(SAMPLE_SIDE, spectra)
                targets.append(spectra)
            problems.add_triangles(rows.triangles, order, targets)
        for weight, gradients in self.gradients.items():
            self._add_gradients(weight, gradients, groups, kinds, problems, solved)
        counts = [*groups.counts[:-1], groups.size]
        weight_sums = np.bincount(labels, self.sample_weights, minlength=n_groups + 1)[:n_groups].tolist()
        weight_sums.append(float(self.sample_weights.sum()))
        step = replace(self.step, group_loss=None)  # which is that of other groups
        return Record(step, counts, weight_sums, solved, self.loss_scale)

    def _add_gradients(
        self,
        weight: Weight,
        gradients: Float[Tensor, "sample m n"],
        groups: Groups,
        kinds: Sequence[str],
        problems: Problems,
        solved: dict[Weight, WeightSpectra],
    ) -> None:
        labels = np.array(groups.labels)
        members = [labels == group for group in range(groups.n_groups)] + [labels >= 0]
        m, n = weight.shape
        m -= weight in self.readouts
        ranks = [min(m, n, int(self.row_counts[weight][member].sum())) for member in members]
        spectrum = np.full((len(members), max(ranks)), np.nan)
        solved[weight] = WeightSpectra(PARAMETER_SIDE, {"gradient": spectrum} if "gradient" in kinds else {})
        for row, rank, gradient in zip(spectrum, ranks, sum_members(gradients, np.stack(members)), strict=True):
            if rank:
                problems.add_gram(small_gram(gradient), row[:rank])

    def save(self, path: Path) -> None:
        """Write it to a file, which appears whole or not at all."""
        arrays: dict[str, np.ndarray] = {"sample_weights": self.sample_weights}
        for index, rows in enumerate(self.rows):
            arrays |= {
                f"rows{index}_samples": rows.row_samples,
                f"rows{index}_triangles": rows.triangles.numpy(),
            }
        for index, (weight, gradients) in enumerate(self.gradients.items()):
            arrays |= {f"gradient{index}": gradients.numpy(), f"gradient{index}_rows": self.row_counts[weight]}
        if self.samples is not None:
            arrays["samples"] = self.samples
        about = {
            "step": {"index": self.step.index, "epoch": self.step.epoch, "loss": self.step.loss},
            "loss_scale": self.loss_scale,
            "rows": [[weight.node for weight in rows.weights] for rows in self.rows],
            "gradients": [weight.node for weight in self.gradients],
            "readouts": [weight.node for weight in self.readouts],
        }
        partial = path.with_name(f".partial-{path.name}")
        with partial.open("wb") as file:
            np.savez(file, allow_pickle=False, about=np.array(json.dumps(about)), **arrays)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path, weights: dict[str, Weight]) -> "Kept":
        """Read it from a file; the weights are those of the recorder, by node."""
        with np.load(path, allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            rows = [
                KeptRows(
                    [weights[node] for node in nodes],
                    arrays[f"rows{index}_samples"],
                    torch.from_numpy(arrays[f"rows{index}_triangles"]),
                )
                for index, nodes in enumerate(about["rows"])
            ]
            gradients, row_counts = {}, {}
            for index, node in enumerate(about["gradients"]):
                gradients[weights[node]] = torch.from_numpy(arrays[f"gradient{index}"])
                row_counts[weights[node]] = arrays[f"gradient{index}_rows"]
            step = Step(recorded=True, **about["step"])
            samples = arrays.get("samples")
            readouts = [weights[node] for node in about["readouts"]]
            return cls(
                step, arrays["sample_weights"], about["loss_scale"], samples, rows, gradients, row_counts, readouts
            )


def regroup(
    kept: Iterable[Kept],
    labels: Int[Tensor, " sample"] | Sequence[Int[Tensor, " sample"]],
    names: Sequence[str],
    kinds: Sequence[str],
) -> Iterator[Record]:
    """Records of kept steps with other labels.

    Parameters
    ----------
    kept : iterable of Kept
        The steps.
    labels : Tensor or sequence of Tensor
        A label for each sample of the data set, where the steps know the numbers of their samples; or the labels of
        the samples of each step.
    names : sequence of str
        Names of the groups.
    kinds : sequence of str
        Kinds of spectra, as far as a weight has them.

    Raises
    ------
    CaptureError
        When the labels don't fit the steps.
    GroupError
        When a label is not a group.
    """
    problems, waiting = Problems(), []
    n_steps = 0
    for position, step in enumerate(kept):
        n_steps += 1
        groups = Groups(labels_of(step, labels, position), names)
        waiting.append(step.regroup(groups, kinds, problems))
        if problems.n_bytes > _BYTES:
            yield from _solved(problems, waiting)
            problems, waiting = Problems(), []
    yield from _solved(problems, waiting)
    if not isinstance(labels, Tensor) and len(labels) > n_steps:
        raise CaptureError(f"there are labels for {len(labels)} steps, but {n_steps} were kept")


def _solved(problems: Problems, records: list[Record]) -> list[Record]:
    problems.solve()
    for record in records:
        record.finish()
    return records


def read_kept(folder: Path, weights: Sequence[Weight]) -> Iterator[Kept]:
    """The kept steps of a folder, in their order; the weights are those of the recorder."""
    by_node = {weight.node: weight for weight in weights}
    for path in sorted(folder.glob("step-*.npz")):
        yield Kept.load(path, by_node)


def kept_path(folder: Path, step: int) -> Path:
    """Where a step is kept."""
    return folder / f"step-{step:010d}.npz"


def labels_of(kept: Kept, labels: Tensor | Sequence[Tensor], position: int) -> Tensor:
    """Labels of the samples of a kept step, the one at `position` among those that were kept."""
    if isinstance(labels, Tensor):
        if kept.samples is None:
            raise CaptureError(
                f"step {kept.step.index} does not know which samples of the data set it saw; tell it with "
                "step(group, samples=…), or give the labels of each kept step as a list"
            )
        if len(labels) <= int(kept.samples.max()):
            raise CaptureError(
                f"there are {len(labels)} labels, but step {kept.step.index} saw sample {int(kept.samples.max())}"
            )
        return labels[torch.from_numpy(kept.samples)]
    if position >= len(labels) or len(labels[position]) != kept.size:
        given = "none" if position >= len(labels) else str(len(labels[position]))
        raise CaptureError(f"step {kept.step.index} has {kept.size} samples, but {given} labels were given for it")
    return labels[position]


def sum_members(
    gradients: Float[Tensor, "sample m n"], members: Bool[np.ndarray, "group sample"]
) -> Float64[Tensor, "group m n"]:
    """Sum of the gradients of the members of each group; one that is not finite spoils no other group."""
    of_samples, chosen = gradients.double(), torch.from_numpy(members)
    if not bool(of_samples.isfinite().all()):
        return torch.stack([of_samples[of_group].sum(0) for of_group in chosen])
    return (chosen.double() @ of_samples.flatten(1)).view(-1, *of_samples.shape[1:])


def _stack_samples(samples: dict[tuple[int, int], Tensor], offsets: np.ndarray) -> Float[Tensor, "sample m n"]:
    if any(gradient.is_sparse for gradient in samples.values()):
        samples = _occurring_rows(samples)
    some = next(iter(samples.values()))
    stack = torch.zeros(int(offsets[-1]), *some.shape, dtype=some.dtype)
    for (batch, sample), gradient in samples.items():
        stack[offsets[batch] + sample] = gradient
    return stack


def _occurring_rows(samples: dict[tuple[int, int], Tensor]) -> dict[tuple[int, int], Tensor]:
    """Sparse gradients without the rows that are zero in all of them, which change no singular value."""
    sparse = {key: gradient.coalesce() for key, gradient in samples.items()}
    occurring = torch.cat([gradient.indices()[0] for gradient in sparse.values()]).unique()  # type: ignore[no-untyped-call]
    dense = {}
    for key, gradient in sparse.items():
        dense[key] = gradient.values().new_zeros(max(len(occurring), 1), gradient.shape[1])
        dense[key][torch.searchsorted(occurring, gradient.indices()[0])] = gradient.values()
    return dense
