"""Small, realistic inputs of the figures."""

from collections.abc import Sequence

import nibabel as nib
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from gradspec.figures.explore import show_further, show_learnt, summarise_for_page

LEVELS = ["control", "patient"]
HOSTILE_NAME = "</script><img src=x onerror=alert(1)>"
GRID = np.diag([6.0, 6.0, 6.0, 1.0])
GRID[:3, 3] = (-72, -108, -72)


def people(n: int) -> pd.DataFrame:
    return pd.DataFrame(
        {"participant_id": [f"sub-{i + 1:02d}" for i in range(n)], "group": [LEVELS[i % 2] for i in range(n)]}
    )


def blobs(centres: list[tuple[int, int, int]]) -> nib.Nifti1Image:
    """A Gaussian blob a volume, centred on a voxel of a 6 mm grid, 8 at its peak."""
    voxels = np.moveaxis(np.indices((25, 32, 26)), 0, -1)
    maps = [8 * np.exp(-((voxels - np.array(centre)) ** 2).sum(-1) / 8) for centre in centres]
    return nib.Nifti1Image(np.stack(maps, axis=-1).astype(np.float32), GRID)


def texts(figure: Figure) -> str:
    """Everything that is written in a figure, one piece a line."""
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def colours_of(ax: Axes, label: str) -> set[str]:
    """Colours of the lines of that label."""
    return {to_hex(line.get_color()).upper() for line in ax.lines if line.get_label() == label}


def explorer_data(model: str = "mlp", sites: tuple[str, ...] = ()) -> dict:
    """What the page to explore shows of a network of two layers, also by site where there are sites."""
    test = {"model": model, "layer": "b.weight", "kind": "gradient", "feature": "effective_rank"}
    differences = {
        "effect_size": 1.5,
        "effect_unit": "standard errors",
        "difference": 1.0,
        "ci_low": 0.5,
        "ci_high": 1.5,
        "p_corrected": 0.01,
    }
    layers = {name: {"type": "Linear", "shape": "3 × 2"} for name in ("a.weight", "b.weight")}
    groupings = {
        "diagnosis (learnt)": show_learnt(
            {model: _explored(LEVELS, epochs=(0, 1))}, pd.DataFrame([test | differences]), LEVELS
        )
    }
    if sites:
        by_site = {model: _explored(sites, epochs=(1,)).assign(grouping="site").drop(columns="spectral_norm")}
        permutations = [
            {
                **test,
                "grouping": "site",
                "by": by,
                "reference": sites[0],
                "comparison": other,
                "z": z,
                "difference": 2.0,
            }
            | {"null_low": -0.2, "null_high": 0.4, "p_corrected": 0.04 if abs(z) > 2 else 0.3}
            for by, other, z in (
                ("regrouping", sites[1], 1.0),
                ("regrouping", sites[2], -3.0),
                ("retraining", "x", 9.0),
            )
        ]
        groupings |= show_further(by_site, pd.DataFrame(permutations))
    return summarise_for_page(groupings, {model: layers}, 0.05)


def _explored(groups: Sequence[str], epochs: Sequence[int]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"repeat": repeat, "fold": 0, "layer": layer, "kind": "gradient", "epoch": epoch, "group": group}
            | {"effective_rank": place + epoch + repeat, "spectral_norm": np.nan if epoch == 1 else 2.0}
            for repeat in (0, 2)
            for layer in ("a.weight", "b.weight")
            for epoch in epochs
            for place, group in enumerate([*groups, "pooled"])
        ]
    )


def group_tests(effects: dict[tuple[str, str, str], float], p_corrected: float = 0.01) -> pd.DataFrame:
    """The table of group tests with an effect size for each (model, layer, feature); below 1 it is not significant."""
    return pd.DataFrame(
        [
            {"model": model, "layer": layer, "kind": "gradient", "feature": feature, "n_runs": 8}
            | {"mean_reference": 2.0, "mean_comparison": 2.0 + effect, "difference": effect}
            | {"ci_low": effect - 0.5, "ci_high": effect + 0.5}
            | {"effect_size": effect, "effect_low": effect - 1, "effect_high": effect + 1}
            | {"p_value": p_corrected / 2 if abs(effect) > 1 else 0.2, "status": "exploratory"}
            | {"p_corrected": p_corrected if abs(effect) > 1 else 0.4, "correction": "benjamini-hochberg"}
            | {"effect_unit": "standard errors", "people": effect / 2, "detectable": 3.0, "n_permutations": np.nan}
            | {"test": "first look: noise-corrected jackknife t"}
            | {"reading": "different" if abs(effect) > 1 else "undecided" if effect == effect else "not tested"}
            for (model, layer, feature), effect in effects.items()
        ]
    )


def performance_table(areas: dict[str, tuple[float, float, float]]) -> pd.DataFrame:
    """The table of performance with estimate and interval of the area under the ROC curve of each model."""
    columns = ["estimate", "ci_low", "ci_high"]
    rows = [
        {"model": model, "metric": "roc_auc"} | dict(zip(columns, area, strict=True)) for model, area in areas.items()
    ]
    table = pd.DataFrame(rows).assign(n_participants=24, n_runs=8)
    return table.assign(p_value=np.where((table["ci_low"] > 0.5) | (table["ci_high"] < 0.5), 0.01, 0.3))


def cluster_table(model: str, layer: str, feature: str, first: float, last: float) -> pd.DataFrame:
    """The table of clusters with one stretch of epochs in which the groups differ."""
    row = {"model": model, "layer": layer, "kind": "gradient", "feature": feature, "p_corrected": 0.01}
    return pd.DataFrame([row | {"first_epoch": first, "last_epoch": last}])


def feature_table(
    layers: tuple[str, ...] = ("a.weight", "b.weight"), kinds: tuple[str, ...] = ("gradient",)
) -> pd.DataFrame:
    """The table of features of a network with four runs of six epochs; the comparison group has the larger rank."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "model": "mlp",
            "repeat": run // 2,
            "fold": run % 2,
            "layer": layer,
            "kind": kind,
            "epoch": epoch,
            "group": group,
        }
        | {"spectral_norm": 2.0 * np.exp(-epoch / 4) + 0.1 * rng.random(), "stable_rank": 1.5 + 0.1 * rng.random()}
        | {"effective_rank": 2.0 + 0.3 * place + 0.2 * epoch + 0.1 * rng.random()}
        for run in range(4)
        for layer in layers
        for kind in kinds
        for epoch in range(6)
        for place, group in enumerate([*LEVELS, "pooled"])
    ]
    return pd.DataFrame(rows)


def spectra_tree(
    layers: tuple[str, ...],
    *,
    n: tuple[int, int] = (4, 8),
    reduction: str = "mean",
    kind: str = "gradient",
    runs: int = 2,
) -> xr.DataTree:
    """Two steps an epoch, three epochs; the singular values are 1, 1/2, 1/3 … times (2, 4, 6) by group."""
    steps, width = 6, 4
    base = (1 / np.arange(1, width + 1)) * np.array([2.0, 4.0, 6.0])[:, np.newaxis]
    values = np.broadcast_to(base, (runs, steps, 3, width)).copy()
    values[:, 1::2] *= 3
    root = xr.Dataset(
        {
            "n": (("run_index", "step", "group"), np.tile([*n, sum(n)], (runs, steps, 1))),
            "epoch": ("step", np.repeat(np.arange(3), 2)),
        },
        coords={"run_index": np.arange(runs), "step": np.arange(steps), "group": [*LEVELS, "pooled"]},
        attrs={"model": "mlp", "loss_reduction": reduction},
    )
    node = xr.Dataset({kind: (("run_index", "step", "group", "index"), values)}, attrs={"shape": [8, 16]})
    nodes = {"/": root}
    for layer in layers:
        # As the recorder does: a packed weight has its place before its parts have theirs.
        nodes.setdefault(layer.partition("/")[0], xr.Dataset())
        nodes[layer] = node.copy(deep=True)
    return xr.DataTree.from_dict(nodes)
