"""A figure on disk: the picture twice, for screen and for print, and the table of the numbers it shows."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from gradspec.figures.style import styled
from gradspec.files import PathLike, atomic_path, write_table


@styled
def save_figure(
    figure: Figure,
    data: pd.DataFrame,
    columns: Mapping[str, str | Mapping[str, Any]],
    *,
    png: PathLike,
    svg: PathLike,
    tsv: PathLike,
) -> None:
    """Write a figure and its data, each file whole or not at all; equal figures give equal bytes.

    Parameters
    ----------
    figure : Figure
        What was drawn.
    data : DataFrame
        The numbers that were drawn.
    columns : mapping
        Description of each column of `data`.
    png, svg, tsv : path
        Where they go; the sidecar of the table gets its name with ``.json``.
    """
    write_table(data, tsv, columns)
    # The parts are arranged once; both pictures then show the same arrangement, in half the time.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    with atomic_path(svg) as partial:
        figure.savefig(partial, format="svg", metadata={"Date": None})
    with atomic_path(png) as partial:
        figure.savefig(partial, format="png", metadata={"Software": None})
