"""The table of features: a row a run, layer, kind, epoch and group."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from gradspec.progress import track
from gradspec.spectra.alignment import ALIGNMENT_COLUMNS
from gradspec.spectra.features import FEATURES, drop_rounding, raise_rounding, rounding_tolerance
from gradspec.spectra.file import KINDS, POOLED, iterate_layers

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_NORM_NOTE = (
    "; of the mean over the samples of the group, so that groups of unequal size compare (gradient: σ·N/n_g for a "
    "mean-reduced loss over N samples, σ/n_g for a summed one; activation and delta: root mean square over samples, "
    "σ/√n_g and σ·N/√n_g)"
)
_LOSS_NOTE = (
    "; over the loss of the group (mean over its samples for a mean-reduced loss), which makes it the norm of the "
    "gradient of the logarithm of the loss: groups that are not fitted equally well compare. Where the loss of the "
    "group was recorded and is not 0; not for activations, which do not depend on it"
)
_ROUNDING_NOTE = "; singular values up to σ_1·max(m, n)·2^-23 are rounding of single precision and count as zero"
_FLOOR_NOTE = "; singular values up to σ_1·max(m, n)·2^-23 are rounding of single precision and count as that"


def _per_loss(name: str) -> str:
    """Column of a norm relative to the loss."""
    return f"{name}_per_loss"


FEATURE_COLUMNS: dict[str, Any] = {
    "model": "Network",
    "repeat": "Repetition of the cross-validation, from 0",
    "fold": "Fold of that repetition, from 0",
    "layer": "Parameter, as in model.named_parameters(); parts of packed weights after a slash (q, k, v)",
    "kind": {
        "Description": "Matrix whose singular values are taken",
        "Levels": {
            "gradient": "Gradient of the weight, summed over the samples of the group",
            "activation": "Inputs of the layer, a row a sample (and time or position) of the group",
            "delta": "Back-propagated derivatives of the loss by the outputs of the layer, rows as for activation",
        },
    },
    "epoch": "Epoch, from 0; a feature is the mean over the steps of the epoch in which it is defined",
    "group": f"Group of samples; {POOLED} is the whole batch",
    "n": {"Description": "Samples of the group in a step, mean over the epoch", "Units": "sample"},
    **{
        name: {
            "Description": (
                definition.formula
                + (_NORM_NOTE if definition.is_norm else "")
                + (_FLOOR_NOTE if definition.takes_floor else _ROUNDING_NOTE)
            ),
            "Units": definition.unit,
            "Source": definition.source,
        }
        for name, definition in FEATURES.items()
    },
    **{
        _per_loss(name): {
            "Description": definition.formula + _NORM_NOTE + _LOSS_NOTE + _ROUNDING_NOTE,
            "Units": f"{definition.unit}, over the loss",
            "Source": definition.source,
        }
        for name, definition in FEATURES.items()
        if definition.is_norm
    },
}


def extract_features(tree: "xr.DataTree") -> "pd.DataFrame":
    """Compute every feature of every spectrum, and average over the steps of each epoch.

    Parameters
    ----------
    tree : DataTree
        Merged spectra of a model.

    Returns
    -------
    DataFrame
        Columns as in `FEATURE_COLUMNS`, and `ALIGNMENT_COLUMNS` where it was recorded. A feature that is undefined in
        all steps of an epoch is NaN.
    """
    return tabulate_runs(tree).drop(columns="run_index")


def tabulate_runs(tree: "xr.DataTree") -> "pd.DataFrame":
    """Compute the same with ``run_index`` in front, for trees in which repeat and fold do not tell the runs apart."""
    import pandas as pd

    n = tree["n"].values
    epochs, epoch_of_step = np.unique(tree["epoch"].values, return_inverse=True)
    groups = [str(group) for group in tree["group"].values]
    index = pd.MultiIndex.from_product([range(len(n)), epochs, groups], names=["run_index", "epoch", "group"])
    loss = _mean_loss(tree, n)
    samples = _epoch_means(np.where(n[..., -1:] > 0, n, np.nan), epoch_of_step)
    tables = []
    for layer, spectra in track(iterate_layers(tree), "layers"):
        tolerance = rounding_tolerance(tuple(map(int, np.atleast_1d(spectra.attrs["shape"]))))
        for kind in (kind for kind in KINDS if kind in spectra):
            dropped, raised = (change(spectra[kind].values, tolerance) for change in (drop_rounding, raise_rounding))
            scale = per_sample_scale(n, kind, tree.attrs["loss_reduction"])
            columns = {"n": samples.ravel()}
            for name, definition in FEATURES.items():
                values = definition.function(raised if definition.takes_floor else dropped) * (
                    scale if definition.is_norm else 1.0
                )
                columns[name] = _epoch_means(values, epoch_of_step).ravel()
                if definition.is_norm:
                    relative = np.full_like(values, np.nan) if kind == "activation" else values / loss
                    columns[_per_loss(name)] = _epoch_means(relative, epoch_of_step).ravel()
            for name in ALIGNMENT_COLUMNS if kind == "gradient" else ():
                if name in spectra:
                    columns[name] = _epoch_means(spectra[name].values, epoch_of_step).ravel()
            tables.append(pd.DataFrame(columns, index=index).reset_index().assign(layer=layer, kind=kind))
    table = pd.concat(tables, ignore_index=True)
    run = table["run_index"].to_numpy()
    table = table.assign(
        model=tree.attrs["model"], repeat=tree["repeat"].values[run], fold=tree["fold"].values[run]
    ).sort_values("run_index", kind="stable", ignore_index=True)
    return table[["run_index", *FEATURE_COLUMNS, *(name for name in ALIGNMENT_COLUMNS if name in table)]]


def per_sample_scale(
    n: Int[np.ndarray, "*batch group"], kind: str, loss_reduction: str
) -> Float[np.ndarray, "*batch group"]:
    r"""Factor that turns singular values of a group's share of the batch into those of a mean over its samples.

    With a mean-reduced loss over N samples the share of group g is :math:`G_g = \frac{1}{N} \sum_{i \in g} \nabla
    \ell_i`, so its mean gradient is :math:`G_g N / n_g`; with a summed loss it is :math:`G_g / n_g`. Activations and
    deltas are stacked, not summed, over samples, so their singular values grow with :math:`\sqrt{n_g}`; deltas also
    carry the 1/N of the loss.

    Parameters
    ----------
    n : array of int
        Samples of each group; the last group is pooled (N).
    kind : str
        ``gradient``, ``activation`` or ``delta``.
    loss_reduction : str
        ``mean`` or ``sum``.

    Returns
    -------
    array of float
        NaN for a group without samples.
    """
    size = np.where(n > 0, n, np.nan)
    numerator = size[..., -1:] if loss_reduction == "mean" and kind != "activation" else 1.0
    scale: Float[np.ndarray, "*batch group"] = numerator / (size if kind == "gradient" else np.sqrt(size))
    return scale


def _mean_loss(tree: "xr.DataTree", n: Int[np.ndarray, "run step group"]) -> Float[np.ndarray, "run step group"]:
    """Mean loss over the samples of each group, NaN where it is 0 or was not recorded."""
    if "group_loss" not in tree:
        return np.full(n.shape, np.nan)
    loss = tree["group_loss"].values
    if tree.attrs["loss_reduction"] == "sum":
        loss = loss / np.where(n > 0, n, np.nan)
    return np.where(loss != 0, loss, np.nan)


def _epoch_means(
    values: Float[np.ndarray, "run step group"], epoch_of_step: Int[np.ndarray, "step"]
) -> Float[np.ndarray, "run epoch group"]:
    """Mean over the steps of each epoch, of the values that are not NaN."""
    membership = (epoch_of_step == np.arange(epoch_of_step.max() + 1)[:, None]).astype(float)
    defined = ~np.isnan(values)
    total = np.einsum("es,rsg->reg", membership, np.where(defined, values, 0.0))
    count = np.einsum("es,rsg->reg", membership, defined.astype(float))
    means: Float[np.ndarray, "run epoch group"] = np.divide(
        total, count, out=np.full_like(total, np.nan), where=count > 0
    )
    return means
