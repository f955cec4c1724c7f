"""The look that all figures share: colours of the groups, fonts, and small parts drawn again and again.

Colours are those of Okabe and Ito (2008), which people with any kind of colour vision can tell apart. The reference
group is blue and the comparison group vermilion in every figure, also at the two ends of the diverging colour map, so
that a colour always says which group has the larger value.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from itertools import cycle
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

POOLED = "pooled"
UNITS = {"gradient": "loss / weight", "activation": "activation", "delta": "loss / activation"}
"""Units of singular values, by what is decomposed."""
OF_THE_GRADIENT = "of the gradient"
REFERENCE_COLOUR = "#0072B2"
COMPARISON_COLOUR = "#D55E00"
POOLED_COLOUR = "#4D4D4D"
MISSING_COLOUR = "#DDDDDD"
_GROUP_COLOURS = (REFERENCE_COLOUR, COMPARISON_COLOUR, "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

DIVERGING = LinearSegmentedColormap.from_list(
    "groups", ["#00344F", REFERENCE_COLOUR, "#9CCBE4", "#FFFFFF", "#F6BE94", COMPARISON_COLOUR, "#6B2F00"]
).with_extremes(bad=MISSING_COLOUR)

RC = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.formatter.useoffset": False,  # an axis of "1e-6 + 1.000001" is read by nobody
    "axes.titlelocation": "left",
    "figure.titlesize": 12,
    "figure.facecolor": "white",
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
    "image.interpolation": "nearest",
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "savefig.dpi": 150,
    "svg.hashsalt": "gradspec",
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def styled(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Run `function` under the house's settings of matplotlib, and leave those of the caller as they were."""

    @wraps(function)
    def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(RC)
            return function(*args, **kwargs)

    return wrapper


def group_colours(levels: Sequence[str]) -> dict[str, str]:
    """Return the colour of each group and of all samples pooled.

    Parameters
    ----------
    levels : sequence of str
        The groups, the reference first; beyond the sixth the colours come round again.
    """
    return {**dict(zip(levels, cycle(_GROUP_COLOURS), strict=False)), POOLED: POOLED_COLOUR}


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure of `width` × `height` inches whose parts do not overlap."""
    return Figure(figsize=(width, height), layout="constrained")


def symmetric(values: Any) -> Normalize:
    """Return a colour scale from −m to m, where m is the largest finite magnitude of `values` (1 if there is none)."""
    finite = np.abs(np.asarray(values, dtype=float))
    finite = finite[np.isfinite(finite)]
    largest = float(finite.max(initial=0.0)) or 1.0
    return Normalize(-largest, largest)


def count_blocks(n_rows: int, longest: int = 6) -> tuple[int, int]:
    """Share `n_rows` rows of panels among side-by-side blocks, so that a long figure stays on a page.

    Returns
    -------
    blocks, rows : int
        Number of blocks (one up to `longest` rows, two beyond) and rows in each.
    """
    blocks = 1 if n_rows <= longest else 2
    return blocks, math.ceil(n_rows / blocks)


def layer_label(name: str) -> str:
    """Shorten a parameter's name to what tells the layers apart: ``weight`` is left out, since all are weights."""
    return name.replace("in_proj_weight", "in_proj").removesuffix(".weight").replace("weight_", "")


def count_runs(n: float) -> str:
    """Say how many training runs there are."""
    return f"{n:.0f} training run" + ("" if n == 1 else "s")


def unit_of(units: str, kind: str) -> str:
    """Unit of a feature as its definition states it, for one kind of spectra.

    Parameters
    ----------
    units : str
        Of `gradspec.spectra.table.FEATURE_COLUMNS`.
    kind : str
        What the spectra are of: gradient, activation or delta.
    """
    return "dimensionless" if units == "1" else units.replace(OF_THE_GRADIENT, UNITS[kind])


def band(mean: Any, sd: Any) -> tuple[Any, Any]:
    """Lower and upper end of mean ± sd, of a single run the mean itself; no feature of a spectrum is below zero."""
    half = np.nan_to_num(np.asarray(sd, dtype=float))
    return np.maximum(mean - half, np.minimum(mean, 0.0)), mean + half


def name_panel(ax: Any, text: str) -> None:
    """Write `text` in the middle of an empty panel."""
    ax.set_axis_off()
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=POOLED_COLOUR)


def mark_epochs(ax: Any, epochs: Iterable[float]) -> None:
    """Draw a black bar along the lower edge of a panel over each unbroken stretch of `epochs`."""
    marked = sorted(set(epochs))
    firsts = [epoch for epoch in marked if epoch - 1 not in marked]
    lasts = [epoch for epoch in marked if epoch + 1 not in marked]
    for first, last in zip(firsts, lasts, strict=True):
        ax.plot(
            [first - 0.4, last + 0.4],
            [0.02, 0.02],
            color="black",
            lw=3,
            solid_capstyle="butt",
            transform=ax.get_xaxis_transform(),
            label="_epochs that differ",
        )
