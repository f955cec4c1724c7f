"""The page on which a reader explores features of the spectra: one HTML file that needs nothing else.

The page is ``explore.html`` beside this module with the numbers put in as JSON. Its drawing is a few hundred lines of
plain JavaScript, not a plotting library: those weigh megabytes, which the report would carry once more, and draw
charts that neither a keyboard nor a screen reader can enter. A content security policy forbids the page all network.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gradspec.figures.style import POOLED, UNITS, group_colours, layer_label, unit_of
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


@dataclass(frozen=True)
class PageGrouping:
    """A grouping of the participants that the page can show.

    Parameters
    ----------
    levels : tuple of str
        Its groups.
    features : mapping of str to DataFrame
        For each model its table of features by these groups.
    tests : DataFrame
        A row a model, layer, kind, feature and pair of groups: ``reference``, ``comparison``, ``difference``, ``low``,
        ``high``, ``effect`` and ``p_corrected``.
    effect, interval : str
        What ``effect``, and ``low`` to ``high``, are called.
    """

    levels: tuple[str, ...]
    features: Mapping[str, pd.DataFrame]
    tests: pd.DataFrame
    effect: str
    interval: str


def show_learnt(features: Mapping[str, pd.DataFrame], readings: pd.DataFrame, levels: Sequence[str]) -> PageGrouping:
    """Show the groups that are learnt.

    Parameters
    ----------
    features : mapping of str to DataFrame
        For each model its table of features.
    readings : DataFrame
        The table of readings.
    levels : sequence of str
        The two groups, the reference first.
    """
    reference, comparison = levels
    tests = readings.rename(columns={"ci_low": "low", "ci_high": "high", "effect_size": "effect"})
    tests = tests.assign(reference=reference, comparison=comparison)
    effect = f"effect size in {readings['effect_unit'].iloc[0]}"
    return PageGrouping((reference, comparison), features, tests, effect, "corrected interval")


def show_further(features: Mapping[str, pd.DataFrame], permutations: pd.DataFrame | None) -> dict[str, PageGrouping]:
    """Show each further grouping by its name.

    Parameters
    ----------
    features : mapping of str to DataFrame
        For each model its table of features by further groupings.
    permutations : DataFrame, optional
        The table of permutation tests; None where these groupings are not tested.
    """
    tests = pd.DataFrame(columns=["model", "grouping"])
    if permutations is not None:
        tests = permutations[permutations["by"] == "regrouping"]
        tests = tests.rename(columns={"null_low": "low", "null_high": "high", "z": "effect"})
    shown = {}
    for name in dict.fromkeys(name for table in features.values() for name in table["grouping"].unique()):
        tables = {model: table[table["grouping"] == name] for model, table in features.items()}
        groups = dict.fromkeys(
            group for table in tables.values() for group in table["group"].unique() if group != POOLED
        )
        shown[name] = PageGrouping(
            tuple(groups), tables, tests[tests["grouping"] == name], "z against lot", "under labels by lot"
        )
    return shown


def summarise_for_page(
    groupings: Mapping[str, PageGrouping], layers: Mapping[str, Mapping[str, Mapping[str, str]]], alpha: float
) -> dict[str, Any]:
    """Bring together what the page shows.

    Parameters
    ----------
    groupings : mapping of str to PageGrouping
        Groupings by name, the one that is shown first at the front.
    layers : mapping
        For each model what `describe_layers` returns.
    alpha : float
        Level of significance.

    Returns
    -------
    dict
        JSON without NaN: ``alpha``, ``features``, ``groupings`` and ``models``. Of a model by a grouping, ``series``
        holds under layer number, kind, feature and group (joined by a bar) mean and standard deviation over the
        training runs in each epoch, and ``tests`` under layer number, kind and feature the comparisons of groups, the
        clearest first.
    """
    columns = {column for shown in groupings.values() for table in shown.features.values() for column in table}
    names = [
        name
        for name in FEATURE_COLUMNS
        if name in columns and (name in FEATURES or name.removesuffix("_per_loss") in FEATURES)
    ]
    return {
        "alpha": alpha,
        "features": {
            name: {
                "label": name.replace("_", " "),
                "units": {kind: unit_of(FEATURE_COLUMNS[name]["Units"], kind) for kind in UNITS},
            }
            | {"formula": FEATURES[name.removesuffix("_per_loss")].formula}
            for name in names
        },
        "groupings": {
            name: {
                "groups": [*shown.levels, POOLED],
                "colours": group_colours(shown.levels),
                "effect": shown.effect,
                "interval": shown.interval,
            }
            for name, shown in groupings.items()
        },
        "models": {
            model: {
                "layers": [{"name": name, "label": layer_label(name), **about} for name, about in of_model.items()],
                "groupings": {
                    name: _summarise(
                        shown.features[model],
                        shown.tests[shown.tests["model"] == model],
                        {layer: number for number, layer in enumerate(of_model)},
                        names,
                        alpha,
                    )
                    for name, shown in groupings.items()
                },
            }
            for model, of_model in layers.items()
        },
    }


def _summarise(
    features: pd.DataFrame, tests: pd.DataFrame, numbers: Mapping[str, int], names: Sequence[str], alpha: float
) -> dict[str, Any]:
    """Summarise one model by one grouping; `numbers` are those of its layers."""
    epochs = sorted(int(epoch) for epoch in features["epoch"].unique())
    present = [name for name in names if name in features and features[name].notna().any()]
    by_epoch = features.groupby(["layer", "kind", "group", "epoch"], sort=False)[present]
    mean, sd = (part.unstack("epoch").swaplevel(axis=1) for part in (by_epoch.mean(), by_epoch.std()))  # noqa: PD010
    series = {}
    for layer, kind, group in mean.index:
        for name in present:
            values = [_numbers(part.loc[(layer, kind, group)].xs(name, level=1)[epochs]) for part in (mean, sd)]
            if any(value is not None for value in values[0]):
                series[f"{numbers[layer]}|{kind}|{name}|{group}"] = values
    return {
        "runs": len(features[["repeat", "fold"]].drop_duplicates()),
        "epochs": epochs,
        "kinds": list(dict.fromkeys(features["kind"])),
        "features": present,
        "series": series,
        "tests": _list_tests(tests, numbers, alpha),
    }


def _list_tests(tests: pd.DataFrame, numbers: Mapping[str, int], alpha: float) -> dict[str, list[dict[str, Any]]]:
    """List the comparisons of groups that were tested, the clearest first."""
    listed: dict[str, list[dict[str, Any]]] = {}
    if tests.empty:
        return listed
    tests = tests.dropna(subset="effect").sort_values("effect", key=abs, ascending=False, kind="stable")
    for row in tests.to_dict("records"):
        listed.setdefault(f"{numbers[row['layer']]}|{row['kind']}|{row['feature']}", []).append(
            {name: row[name] for name in ("reference", "comparison")}
            | {name: _numbers([row[name]])[0] for name in ("difference", "low", "high", "effect", "p_corrected")}
            | {"significant": bool(row["p_corrected"] < alpha)}
        )
    return listed


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
