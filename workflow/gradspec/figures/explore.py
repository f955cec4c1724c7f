"""The page on which a reader explores features of the spectra: one HTML file that needs nothing else.

The page is ``explore.html`` beside this module with the numbers put in as JSON. Its drawing is a few hundred lines of
plain JavaScript, not a plotting library: those weigh megabytes, which the report would carry once more, and draw
charts that neither a keyboard nor a screen reader can enter. A content security policy forbids the page all network.
"""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gradspec.figures.style import POOLED, group_colours, layer_label
from gradspec.files import PathLike, atomic_path
from gradspec.spectra.features import FEATURES
from gradspec.spectra.file import iterate_layers
from gradspec.spectra.table import FEATURE_COLUMNS

_DIGITS = 5
_PLACE = "{{ data }}"


def describe_layers(spectra: xr.DataTree) -> dict[str, dict[str, str]]:
    """Say what each layer of the spectra file is.

    Parameters
    ----------
    spectra : DataTree
        Merged spectra of a model.

    Returns
    -------
    dict of dict
        For each parameter its ``type`` (of the layer, as ``Linear``) and ``shape`` (as ``64 × 15``).
    """
    return {
        name: {
            "type": str(node.attrs.get("layer", "")),
            "shape": " × ".join(str(int(size)) for size in np.atleast_1d(node.attrs["shape"])),
        }
        for name, node in iterate_layers(spectra)
    }


def summarise_for_page(
    features: Mapping[str, pd.DataFrame],
    layers: Mapping[str, Mapping[str, Mapping[str, str]]],
    differences: pd.DataFrame,
    levels: Sequence[str],
    alpha: float,
) -> dict[str, Any]:
    """Bring together what the page shows.

    Parameters
    ----------
    features : mapping of str to DataFrame
        For each model its table of features.
    layers : mapping
        For each model what `describe_layers` returns.
    differences : DataFrame
        The table of group tests.
    levels : sequence of str
        The two groups, the reference first.
    alpha : float
        Level of significance.

    Returns
    -------
    dict
        JSON without NaN: ``groups``, ``colours``, ``alpha``, ``features`` and ``models``. Of a model, ``series`` holds
        under layer number, kind, feature and group (joined by a bar) mean and standard deviation over the training
        runs in each epoch, and ``tests`` under layer number, kind and feature the group test.
    """
    names = [name for name in FEATURE_COLUMNS if name in FEATURES or name.removesuffix("_per_loss") in FEATURES]
    return {
        "groups": [*levels, POOLED],
        "colours": group_colours(levels),
        "alpha": alpha,
        "features": {
            name: {"label": name.replace("_", " "), "unit": FEATURE_COLUMNS[name]["Units"]}
            | {"formula": FEATURES[name.removesuffix("_per_loss")].formula}
            for name in names
        },
        "models": {
            model: _summarise_model(table, layers[model], differences[differences["model"] == model], names, alpha)
            for model, table in features.items()
        },
    }


def _summarise_model(
    features: pd.DataFrame,
    layers: Mapping[str, Mapping[str, str]],
    differences: pd.DataFrame,
    names: Sequence[str],
    alpha: float,
) -> dict[str, Any]:
    order = list(dict.fromkeys(features["layer"]))
    epochs = sorted(int(epoch) for epoch in features["epoch"].unique())
    present = [name for name in names if name in features]
    by_epoch = features.groupby(["layer", "kind", "group", "epoch"], sort=False)[present]
    mean, sd = (part.unstack("epoch").swaplevel(axis=1) for part in (by_epoch.mean(), by_epoch.std()))  # noqa: PD010
    series = {}
    for layer, kind, group in mean.index:
        for name in present:
            values = [_numbers(part.loc[(layer, kind, group)].xs(name, level=1)[epochs]) for part in (mean, sd)]
            if any(value is not None for value in values[0]):
                series[f"{order.index(layer)}|{kind}|{name}|{group}"] = values
    tests = {
        f"{order.index(row['layer'])}|{row['kind']}|{row['feature']}": {
            **{
                name: _numbers([row[name]])[0]
                for name in ("effect_size", "difference", "ci_low", "ci_high", "p_corrected")
            },
            "significant": bool(row["p_corrected"] < alpha),
        }
        for row in differences.to_dict("records")
        if row["layer"] in order and pd.notna(row["effect_size"])
    }
    return {
        "runs": len(features[["repeat", "fold"]].drop_duplicates()),
        "epochs": epochs,
        "kinds": list(dict.fromkeys(features["kind"])),
        "features": present,
        "layers": [{"name": name, "label": layer_label(name), **layers[name]} for name in order],
        "series": series,
        "tests": tests,
    }


def _numbers(values: Any) -> list[float | None]:
    """Round to what a reader can use; None where there is no finite number."""
    return [float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None for value in map(float, values)]


def write_page(data: Mapping[str, Any], path: PathLike) -> None:
    """Write the page.

    Names of groups, networks and layers come from users: as JSON in which ``<``, ``>`` and ``&`` are written as
    escapes, and set as text by the script, they are never read as HTML.

    Parameters
    ----------
    data : mapping
        What `summarise_for_page` returns.
    path : path
        Where the page goes.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    page = files("gradspec.figures").joinpath("explore.html").read_text(encoding="utf-8")
    with atomic_path(path) as partial:
        partial.write_text(page.replace(_PLACE, text), encoding="utf-8")
