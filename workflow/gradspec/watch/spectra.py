"""Spectra of the folds that have finished, in small pictures that need no library of figures."""

from collections import defaultdict
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from gradspec.files import PathLike

_COLOURS = ("#0072B2", "#D55E00")  # of the two groups, as in all figures
_LAYERS = 6  # as many of a network are shown: the first and the last
_POINTS = 80
_WIDTH, _HEIGHT, _EDGE = 220, 110, 6


class FinishedFolds:
    """Keeps the largest singular values of the folds that have finished.

    Parameters
    ----------
    results : path
        Folder of results.
    """

    def __init__(self, results: PathLike) -> None:
        self._training = Path(results) / "training"
        self._seen: set[Path] = set()
        self._curves: dict[str, dict[str, dict[str, list[np.ndarray]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(list))
        )
        self._n_folds: dict[str, int] = defaultdict(int)

    def look(self) -> None:
        """Read what is new; files appear whole. One that cannot be read is left out."""
        for path in sorted(self._training.glob("*/repeat-*_fold-*/spectra.nc")):
            if path not in self._seen:
                self._seen.add(path)
                with suppress(Exception):
                    self._read(path)

    def _read(self, path: Path) -> None:
        import xarray as xr

        from gradspec.spectra.file import iterate_layers

        model = path.parents[1].name
        with xr.open_datatree(path, engine="h5netcdf") as tree:
            groups = [str(name) for name in tree["group"].values][: len(_COLOURS)]
            layers = [(name, layer["gradient"]) for name, layer in iterate_layers(tree) if "gradient" in layer]
            shown = layers if len(layers) <= _LAYERS else layers[: _LAYERS // 2] + layers[-_LAYERS // 2 :]
            read = {
                (layer, group): _thin(spectra.isel(index=0, group=place).values)
                for layer, spectra in shown
                for place, group in enumerate(groups)
            }
        for (layer, group), values in read.items():
            self._curves[model][layer][group].append(values)
        self._n_folds[model] += 1

    def draw(self) -> str:
        """Draw a picture a layer, each network in a row, or nothing where no fold has finished."""
        return "\n".join(
            f"<p>{escape(model)}: of {self._n_folds[model]} trainings</p>\n"
            f'<div class="layers">{"".join(_draw(model, layer, curves) for layer, curves in layers.items())}</div>'
            for model, layers in self._curves.items()
        )


def _thin(values: Any) -> Any:
    """Take as many values as a picture shows, evenly from the first to the last step."""
    at = np.linspace(0, len(values) - 1, min(_POINTS, len(values))).round().astype(int)
    return values[at]


def _draw(model: str, layer: str, curves: dict[str, list[Any]]) -> str:
    # Folds that stopped early have fewer points: their mean goes as far as the shortest.
    shortest = {group: min(map(len, each)) for group, each in curves.items()}
    means = {group: _log_mean([values[: shortest[group]] for values in each]) for group, each in curves.items()}
    finite = np.concatenate(list(means.values()))
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return ""
    low, high = float(finite.min()), float(finite.max())
    lines = "".join(
        f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{_points(values, low, high)}"/>'
        for colour, values in zip(_COLOURS, means.values(), strict=False)
    )
    said = (
        f"{model}, {layer}: largest singular value of the gradient over training, from {10**low:.2g} to {10**high:.2g}"
    )
    key = ", ".join(
        f'<span style="color:{colour}">{escape(group)}</span>' for colour, group in zip(_COLOURS, means, strict=False)
    )
    return (
        f'<figure><svg role="img" aria-label="{escape(said)}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}">{lines}<text x="4" y="11">{10**high:.2g}</text>'
        f'<text x="4" y="{_HEIGHT - 3}">{10**low:.2g}</text></svg>'
        f"<figcaption>{escape(layer)} ({key})</figcaption></figure>"
    )


def _log_mean(curves: list[np.ndarray]) -> np.ndarray:
    """Average logarithms, of zero none; steps that no fold has stay empty."""
    logs = np.log10(np.where(np.stack(curves) > 0, np.stack(curves), np.nan))
    known = np.isfinite(logs)
    return np.where(known.any(axis=0), np.nansum(logs, axis=0) / np.maximum(known.sum(axis=0), 1), np.nan)


def _points(values: np.ndarray, low: float, high: float) -> str:
    across = np.linspace(_EDGE, _WIDTH - _EDGE, len(values))
    down = _HEIGHT - _EDGE - (values - low) / max(high - low, 1e-9) * (_HEIGHT - 2 * _EDGE)
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True) if np.isfinite(y))
