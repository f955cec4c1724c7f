"""Spectra relative to the size of a group."""

from typing import TYPE_CHECKING

from gradspec.capture._leading import BOUND, NORM
from gradspec.capture.errors import CaptureError

if TYPE_CHECKING:
    import xarray as xr


def per_group_mean(spectra: "xr.DataTree", reduction: str = "mean", weighted: bool = False) -> "xr.DataTree":
    r"""Singular values of each group's own mean gradient, from those of its share of the batch's gradient.

    A group's share of the gradient of a loss that is averaged over N samples grows with its number of samples
    :math:`n_g`; its mean gradient has the singular values :math:`\sigma N / n_g`, or :math:`\sigma / n_g` where the
    loss is summed. Groups of unequal size are compared by these; the rank of a group remains bounded by its rows.

    Parameters
    ----------
    spectra : DataTree
        As `SpectraRecorder.spectra` gives them.
    reduction : "mean" or "sum"
        How the losses of the samples make the loss.
    weighted : bool
        Whether samples count by the weights that `SpectraRecorder.step` was told, as in a weighted cross-entropy, whose
        mean is :math:`\sum_i w_i \ell_i / \sum_i w_i`: sums of weights take the place of numbers.

    Returns
    -------
    DataTree
        The same tree with ``gradient`` (its bounds and norms too) and ``delta`` of every node scaled, and
        ``normalization`` among its attributes; NaN for an empty group.

    Raises
    ------
    CaptureError
        When the reduction is another, or the spectra are normalised already.
    """
    if reduction not in ("mean", "sum"):
        raise CaptureError(f"reduction must be 'mean' or 'sum', not {reduction!r}")
    if "normalization" in spectra.attrs:
        raise CaptureError(f"these spectra are normalised already: {spectra.attrs['normalization']}")
    sizes = spectra["weight_sum" if weighted else "n"]
    pooled = sizes.isel(group=-1, drop=True) if reduction == "mean" else 1
    factor = (pooled / sizes.where(sizes > 0)).drop_vars("group")
    scaled = spectra.copy()
    for node in scaled.subtree:
        for kind in ("gradient", BOUND, NORM, "delta"):
            if kind in node.data_vars:
                node[kind] = node[kind] * factor
    of = "weights" if weighted else "samples"
    scaled.attrs["normalization"] = f"per-group mean of a loss that is a {reduction} over {of}"
    return scaled
