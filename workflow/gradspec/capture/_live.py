"""Scalars of every recorded step for TensorBoard, or whatever takes ``add_scalar``."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from gradspec.capture._history import Record
from gradspec.capture._leading import NORM


class Writer(Protocol):
    """What is needed of a ``torch.utils.tensorboard.SummaryWriter``."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int | None = None) -> None:
        """Take a number."""


def write_scalars(writer: Writer, record: Record, groups: Sequence[str]) -> None:
    r"""Send effective rank and spectral norm of each group, and the contrast between groups, of each weight.

    The effective rank is :math:`\exp(-\sum_i p_i \ln p_i)`, :math:`p_i = \sigma_i / \sum_j \sigma_j` (Roy and Vetterli
    2007). The contrast of a group with the first is :math:`\log_2` of the ratio of the Frobenius norms of their mean
    gradients a sample. Leading singular values alone have no effective rank.

    Parameters
    ----------
    writer : Writer
        Takes the numbers.
    record : Record
        A solved step.
    groups : sequence of str
        Names of the groups, then pooled.
    """
    for weight, solved in record.solved.items():
        spectra = solved.spectra.get("gradient")
        if spectra is None:
            continue
        node = weight.node.replace(".", "/")
        means = np.full(len(groups), np.nan)
        norms = solved.spectra.get(NORM)
        for index, (group, spectrum) in enumerate(zip(groups, spectra, strict=True)):
            values = spectrum[np.isfinite(spectrum)]
            total = values.sum()
            if total == 0:
                continue
            norm = np.sqrt(np.square(values).sum()) if norms is None else norms[index, 0]
            means[index] = norm / record.counts[index]
            if norms is None:
                shares = values[values > 0] / total
                rank = float(np.exp(-(shares * np.log(shares)).sum()))
                writer.add_scalar(f"effective_rank/{node}/{group}", rank, record.step.index)
            writer.add_scalar(f"spectral_norm/{node}/{group}", float(values[0]), record.step.index)
        for index in range(1, len(groups) - 1):
            contrast = np.log2(means[index] / means[0])
            if np.isfinite(contrast):
                tag = f"group_contrast/{node}/{groups[index]}-{groups[0]}"
                writer.add_scalar(tag, float(contrast), record.step.index)
